"""The training loop: an iterator of epochs that knows no screen, and can stop and go on at any batch."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import nn

from clfctl.data.loader import Batch, Loader
from clfctl.data.sources.base import ImageSource
from clfctl.engine.determinism import naming_the_operation
from clfctl.engine.device import seed_step
from clfctl.engine.epoch_mean import take_into_mean
from clfctl.engine.evaluate import Batches, evaluate
from clfctl.engine.frozen import begin_epoch
from clfctl.engine.head_only import HeadOnly
from clfctl.engine.memory import in_memory
from clfctl.engine.micro_batches import Normalizer
from clfctl.engine.non_finite import keep, record_of
from clfctl.engine.progress import Progress
from clfctl.engine.rates import note_rates, set_rates
from clfctl.engine.recording import Recorder
from clfctl.engine.replica import Replica
from clfctl.engine.saving import RunSaver
from clfctl.engine.signals import StopSignals, stopped
from clfctl.engine.state import TrainState
from clfctl.engine.step import Normalize, Stepper
from clfctl.engine.teacher import Lesson
from clfctl.engine.together import Shares, Together
from clfctl.engine.watching import Steps
from clfctl.engine.world import ALONE, World
from clfctl.errors import NonFiniteLossError
from clfctl.evaluation.epoch_metrics import Tally, measured
from clfctl.planning.plan import Plan, Values
from clfctl.runs.best import Criterion, as_souped, criterion_of, kept_of
from clfctl.runs.history import EpochResult
from clfctl.runs.rates import cut_rates, keep_rates
from clfctl.schedules.recorded import TOLERANCE, Recorded


@dataclass
class Trainer:
    """Trains `state.model` in `epochs()`; `saver` keeps its checkpoints, `progress` tells others where it is.

    `class_weights` (n_classes,) are those of the training loss, None: all alike; `lesson` is what is learned from a
    teacher. `features` takes the place of the images and of the whole model where all but the classifier is frozen.
    `on_steps` is handed the steps since the last time, where the losses are looked at anyway.
    """

    state: TrainState
    plan: Plan
    train_loader: Loader
    val_loader: Loader
    normalize: Normalize
    saver: RunSaver
    progress: Progress = field(default_factory=Progress)
    signals: StopSignals = field(default_factory=StopSignals)
    class_weights: torch.Tensor | None = None
    lesson: Lesson | None = None
    features: HeadOnly | None = None
    on_steps: Callable[[Steps], None] | None = None
    world: World = ALONE

    def __post_init__(self) -> None:
        state = self.state
        self._recorder = Recorder(state.cursor, self.train_loader.n_batches)
        self._planned: Callable[[float], Values]
        self._look = math.inf
        of = state.model, state.optimizer, state.precision, self.normalize, state.settings
        replica = None if self.world.is_alone else Replica(self.world, state.settings)
        self.whole = self._stepper = Stepper(*of, self.class_weights, self.lesson, replica)
        weights = None if self.class_weights is None else self.class_weights.cpu()
        self._together = Together(self.world, self.signals, self.train_loader.bad_images, weights)

    def epochs(self) -> Iterator[EpochResult]:
        """Yield each epoch when it is trained, validated and saved.

        Raises Interrupted, with the state saved, when a signal asks to stop; NonFiniteLossError, with nothing
        overwritten, when a loss is not finite.
        """
        if self.world.is_first:
            cut_rates(self.saver.run, self.state.cursor.epoch)
        with self.signals:
            while not self.is_finished():
                if self._is_stop_asked():
                    self._stop()
                self._train_epoch()
                yield self._finish_epoch(self._validate())

    def read_from(self, train: ImageSource, val: ImageSource) -> None:
        """Read the same images from other sources of them, such as those with a cache before them."""
        self.train_loader, self.val_loader = self.train_loader.reading(train), self.val_loader.reading(val)

    def step(self, batch: Batch, number: int) -> torch.Tensor:
        """Train on a batch, the `number`-th of the run, at the rates that are set; return its loss, on the device."""
        with naming_the_operation():
            loss = self._stepper.step(batch, number)
        if self.state.ema:
            self.state.ema.update(number + 1)
        return loss

    def can_train_on(self, batch: Batch) -> bool:
        """Return whether a batch has images enough to be trained on."""
        return self._stepper.can_train_on(batch)

    def begin(self, epoch: int) -> Batches:
        """Bring what an epoch trains, from 0, into training mode; return what it reads: images, or their features."""
        features = self._features_of(epoch)
        self._stepper = features.stepper if features else self.whole
        begin_epoch(self._stepper.model, self.state.optimizer, epoch)
        if self._stepper.replica:
            self._stepper.replica.begin(self._stepper.model)
        return features.train if features else self.train_loader

    def batches(self, loader: Batches, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Yield the training batches of an epoch, from batch `start` on, of which other processes have shares too."""
        return self._together.batches(loader.batches(epoch, start))

    def evaluated(self) -> tuple[nn.Module, Batches, Normalizer]:
        """Return what is evaluated after the running epoch, what it reads, and what makes that ready for it."""
        model = self.state.weights_to_use()
        if features := self._features_of(self.state.cursor.epoch):
            return features.of(model), features.val, features.stepper.normalize
        return model, self.val_loader, self.normalize

    def _features_of(self, epoch: int) -> HeadOnly | None:
        """Return what takes the place of images and model in an epoch, None if they themselves do."""
        return self.features if self.features and self.features.is_on(epoch) else None

    def save_last(self) -> None:
        """Write the checkpoint to go on from."""
        if self.world.is_first:
            self.saver.save_last(self.state, self.plan.last_epoch(self.metrics()))

    def is_finished(self) -> bool:
        """Return whether all epochs are trained, or early stopping has fired and its cooldown is over."""
        return self.state.cursor.epoch >= self.plan.last_epoch(self.metrics())

    def stopped_early(self) -> bool:
        """Return whether early stopping has fired."""
        return self.plan.stopped_after(self.metrics()) is not None

    def metrics(self) -> Recorded:
        """Return the monitored metric of every finished epoch, with what batches showed beside them."""
        return self.state.recorded()

    def best(self) -> EpochResult | None:
        """Return the epoch whose weights are kept as best; None if there are none, or the file was removed."""
        return kept_of(self.state.cursor.history) if self.saver.run.best.is_file() else None

    def criterion(self, *newer: EpochResult) -> Criterion:
        """Return what the best epoch goes by, from what is known of the finished epochs and of newer ones."""
        settings = self.state.settings
        return criterion_of(settings.keep_best, settings.monitor, [*self.state.cursor.history, *newer])

    def _train_epoch(self) -> None:
        cursor = self.state.cursor
        self._enter_phase("train", self.train_loader.n_batches, cursor.batch)
        loader = self.begin(cursor.epoch)
        started, trained_s = time.perf_counter(), cursor.train_s
        self.plan_ahead()
        for batch in self.batches(loader, cursor.epoch, cursor.batch):
            self.train_batch(batch)
            is_stop_asked = self._is_stop_asked()
            if is_stop_asked or self._is_save_due():
                cursor.train_s = trained_s + time.perf_counter() - started
                if is_stop_asked:
                    self._stop()
                self._check_losses()
                self.save_last()
        self._check_losses()
        cursor.train_s = trained_s + time.perf_counter() - started

    def plan_ahead(self) -> None:
        """Bind the plan to what is recorded: until its next look, what it sets depends on the time alone."""
        recorded = self.metrics()
        self._planned, self._look = self.plan.given(recorded), self.plan.next_look(self._recorder.now(), recorded)

    def train_batch(self, batch: Batch) -> None:
        """Train on the next batch of the running epoch, at what is planned, and move on."""
        cursor, progress = self.state.cursor, self.progress
        cursor.take(self._set_rates())
        progress.lr = cursor.lr
        step = cursor.epoch * self.train_loader.n_batches + cursor.batch
        seed_step(self.state.precision.device, self.state.settings.seed, step, self.world.rank)
        self._recorder.lrs.append(cursor.lr)
        n_images = batch.n_images if self.can_train_on(batch) else 0
        if n_images:
            with in_memory(self.state, self.saver.run):
                cursor.losses[cursor.batch] = self.step(batch, step)
            cursor.norms[cursor.batch] = self._stepper.norms[-1][1]
        note_rates(self.state, self.plan.base_lr)
        cursor.n_images.append(n_images)
        cursor.batch += 1
        progress.batch, progress.images = cursor.batch, progress.images + n_images
        if self._recorder.is_due(self._look):
            self._check_losses(ends_window=True)
            if self._recorder.now() >= self._look - TOLERANCE:
                self.plan_ahead()

    def _set_rates(self) -> Values:
        """Write what is planned for the coming step into the optimizer, and return it."""
        t = self._recorder.now()
        values = self._planned(t)
        set_rates(self.state.optimizer, values, self.plan.base_lr, t)
        return values

    def _validate(self) -> dict[str, float]:
        self._enter_phase("val", self.val_loader.n_batches, 0)

        def on_batch(batch: Batch) -> None:
            self.progress.batch += 1
            self.progress.images += batch.n_images
            if self._is_stop_asked():
                self._stop()

        take_into_mean(self.state, self.train_loader.of_all(), self.normalize, self._is_stop_asked)
        if self._is_stop_asked():
            self._stop()
        model, loader, normalize = self.evaluated()
        self.world.share_buffers(model)
        shares, precision = Shares(loader, self._together), self.state.precision
        return evaluate(model, shares, precision, normalize, on_batch, self.world)

    def _finish_epoch(self, val_metrics: dict[str, float]) -> EpochResult:
        cursor = self.state.cursor
        n_images = torch.tensor(cursor.n_images, dtype=torch.float64)
        total = int(n_images.sum())
        loss = float((cursor.losses.cpu().double() * n_images).sum())
        if math.isnan(val_metrics["val_loss"]) and len(self.val_loader.part):
            raise self._non_finite("validation loss", len(cursor.n_images) - 1)
        val_s = time.perf_counter() - self.progress.started_s
        result = EpochResult(
            epoch=cursor.epoch + 1,
            lr_start=cursor.lr_start,
            lr=cursor.lr,
            metrics=measured("train", Tally(total, loss)) | val_metrics,
            is_best=False,
            images_per_s=total / max(cursor.train_s, 1e-9),
            time_s=cursor.train_s + val_s,
            moved=dict(cursor.moved),
        )
        # Against the epoch whose weights there are, which after a change is not always the best of all.
        criterion = self.criterion(result)
        is_best = criterion.is_better(result, as_souped(self.saver.run, self.best(), criterion.metric))
        is_best = self.world.first_says(is_best)  # it alone sees what it writes
        result = replace(result, is_best=is_best)
        if self.world.is_first:
            keep_rates(self.saver.run, cursor.rates)  # before the checkpoint that counts the epoch as finished
        cursor.history.append(result)
        cursor.next_epoch()
        self._save(result)
        return result

    def _save(self, result: EpochResult) -> None:
        every = self.state.settings.save_every
        if result.is_best and self.world.is_first:
            self.saver.save_best(self.state)
            self.saver.run.soup.unlink(missing_ok=True)  # of one that was there in its place
        if self.world.is_first:
            self.saver.keep_epoch(self.state, self.criterion(), self.plan.last_epoch(self.metrics()))
        if self.is_finished() or (every and result.epoch % every == 0):
            self.save_last()

    def _is_save_due(self) -> bool:
        """Return whether to save between two batches of an epoch; its end is for `save_every`."""
        every, batch = self.state.settings.save_every_batches, self.state.cursor.batch
        return bool(every) and batch % every == 0 and batch < self.train_loader.n_batches

    def _check_losses(self, *, ends_window: bool = False) -> None:
        """Raise NonFiniteLossError if a loss since the last call is not finite, else hand the steps over."""
        bad = self._recorder.look(self.on_steps, ends_window=ends_window)
        if bad is not None:
            raise self._non_finite("training loss", bad)

    def _is_stop_asked(self) -> bool:
        return self._together.received() is not None

    def _non_finite(self, which: str, batch: int) -> NonFiniteLossError:
        loader, norms = self.train_loader.of_all(), self.whole.norms
        record = record_of(which, batch, self.state, self.plan, loader, norms)
        error = keep(record, self.saver, writes=self.world.is_first)
        error.is_told = not self.world.is_first
        return error

    def _stop(self) -> None:
        received = self._together.received()
        assert received is not None
        self._check_losses()
        self.save_last()
        raise self.world.known(stopped(received, self.state.cursor.position, self.saver.run.path))

    def _enter_phase(self, phase: str, n_batches: int, batch: int) -> None:
        progress = self.progress
        progress.epoch, progress.phase, progress.n_batches = self.state.cursor.epoch, phase, n_batches
        progress.first_batch = progress.batch = batch
        progress.images, progress.started_s = 0, time.perf_counter()
        progress.n_bad_images = len(self.train_loader.bad_images.found)
