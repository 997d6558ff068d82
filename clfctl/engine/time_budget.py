"""How many epochs fit in a length of time, by real steps, validation and a save that are measured at the beginning."""

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from torch import Tensor

from clfctl.data.cache.make import Sources
from clfctl.data.loader import AHEAD, Batch
from clfctl.data.onlookers import Onlookers, no_bar, no_line
from clfctl.engine.assemble import Parts
from clfctl.engine.check import check_plan
from clfctl.engine.evaluate import answers
from clfctl.engine.memory import in_memory
from clfctl.engine.read_features import read_features
from clfctl.engine.rehearsal import rehearsal
from clfctl.engine.trainer import Trainer
from clfctl.engine.world import ALONE, World
from clfctl.planning.plan import make_plan
from clfctl.planning.time_limit import epochs_that_fit, limit_of
from clfctl.settings.clock import clock_in_words, parse_clock

# What is measured with: a share of the time, but no more than is needed for a steady number.
SHARE, LONGEST_S = 0.02, 20.0
N_LEAST = 4


@dataclass(frozen=True)
class Pace:
    """How long things take, in seconds: a step, validation, and a save of all that is saved after an epoch."""

    step_s: float
    validation_s: float
    save_s: float

    def epoch_s(self, n_batches: int) -> float:
        """Return how long an epoch takes."""
        return n_batches * self.step_s + self.validation_s + self.save_s


def fit_time(
    parts: Parts,
    tell: Callable[[str], None],
    sources: Sources | None = None,
    spent_s: float = 0.0,
    world: World = ALONE,
) -> tuple[Parts, list[str]]:
    """Return the parts with the number of epochs that the time allows, in the place of the time, and what was measured.

    Images are read from `sources`, as training will; `spent_s` seconds of the time are gone already. Several processes
    measure together, and the first one's clock counts. Raises UsageError where the schedule is refused at that length,
    ClfctlError where a batch does not fit into the memory.
    """
    settings = parts.settings
    if not settings.time:
        return parts, []
    started, whole_s = time.perf_counter(), parse_clock(settings.time)
    tell(f"Time   measuring a few steps, for the epochs that fit in {settings.time}")
    with rehearsal(parts, world=world) as trainer, in_memory(trainer.state):
        if sources:
            trainer.read_from(sources.train, sources.val)
        n_batches, longest_s = trainer.train_loader.n_batches, min(LONGEST_S, SHARE * whole_s)
        once_s = _features_s(trainer, parts, longest_s)
        pace = measure_pace(trainer, longest_s)
    epoch_s, left_s = pace.epoch_s(n_batches), whole_s - spent_s - (time.perf_counter() - started) - once_s
    epoch_s, left_s = world.first_says([epoch_s, left_s])
    epochs = epochs_that_fit(settings, n_batches, left_s / epoch_s)
    chosen = settings.model_copy(update={"epochs": epochs, "time": ""})
    plan = make_plan(chosen, n_batches)
    check_plan(chosen, plan)
    step = f"{clock_in_words(pace.step_s)} a step, {clock_in_words(pace.validation_s)} to validate"
    fits = f"{plan.epochs} {'epoch' if plan.epochs == 1 else 'epochs'} of about {clock_in_words(epoch_s)}"
    lines = [f"Time   {fits} in {settings.time}, by what was measured: {step}"]
    if plan.epochs * epoch_s > left_s:
        lines.append(f"Note   one epoch takes longer than `time={settings.time}`; it is trained all the same")
    elif epochs == limit_of(settings):
        lines.append(f"Note   `epochs={epochs}` is the limit, and {clock_in_words(left_s - epochs * epoch_s)} are left")
    return replace(parts, settings=chosen), lines


def _features_s(trainer: Trainer, parts: Parts, seconds: float) -> float:
    """Let the epochs read features if all of them will, and return how long it takes to compute these."""
    if parts.settings.unfreeze_at is not None or not trainer.world.is_alone:
        return 0.0
    whole, loaders = trainer.state.model, (trainer.train_loader, trainer.val_loader)
    if not read_features(trainer, parts.data, Onlookers(no_line, no_bar), is_trial=True):
        return 0.0
    normalize, precision = trainer.normalize, trainer.state.precision
    return sum(_pass_s(answers(whole, each, precision, normalize), each.n_batches, seconds) for each in loaders)


def measure_pace(trainer: Trainer, seconds: float) -> Pace:
    """Return how long things take in a training that is thrown away, from about so many seconds of it."""
    step_s = _step_s(trainer, seconds)
    started = time.perf_counter()
    trainer.save_last()
    trainer.saver.save_best(trainer.state)
    save_s = time.perf_counter() - started
    return Pace(step_s, _validation_s(trainer, seconds), save_s)


def _step_s(trainer: Trainer, seconds: float) -> float:
    """Return the time of a step: first one to warm up, then those whose images were loaded meanwhile, then others."""
    # With all that will ever be trained: what is frozen at first makes it faster for some epochs.
    loader = trainer.begin(trainer.state.settings.unfreeze_at or 0)
    epochs = (trainer.batches(loader, epoch) for epoch in itertools.count())
    batches = itertools.chain.from_iterable(epochs)
    _steps(trainer, batches, 1)
    ahead_s = _steps(trainer, batches, 1)
    n_ahead = trainer.world.first_says(min(trainer.train_loader.workers + AHEAD, int(seconds / ahead_s)))
    if n_ahead:
        ahead_s = _steps(trainer, batches, n_ahead) / n_ahead
    n = trainer.world.first_says(max(N_LEAST, round(seconds / ahead_s)))
    return _steps(trainer, batches, n) / n


def _steps(trainer: Trainer, batches: Iterator[Batch], n: int) -> float:
    """Train on so many batches; return the seconds that it took, until the device was done."""
    started, losses = time.perf_counter(), []
    for number, batch in enumerate(itertools.islice(batches, n)):
        if trainer.can_train_on(batch):
            losses.append(trainer.step(batch, number))
    for loss in losses[-1:]:
        loss.item()  # waits for the device
    return time.perf_counter() - started


def _validation_s(trainer: Trainer, seconds: float) -> float:
    """Return the time of a validation, from as much of it as is done in so many seconds."""
    model, loader, normalize = trainer.evaluated()
    return _pass_s(answers(model, loader, trainer.state.precision, normalize), trainer.val_loader.n_batches, seconds)


def _pass_s(answered: Iterator[tuple[Batch, list[Tensor]]], n_batches: int, seconds: float) -> float:
    """Return how long it takes to answer so many batches, from as many as are answered in so many seconds."""
    if not n_batches:
        return 0.0
    started, n = time.perf_counter(), 0
    for _, logits in answered:
        for each in logits:
            each.sum().item()
        n += 1
        if time.perf_counter() - started > seconds:
            break
    return (time.perf_counter() - started) / n * n_batches
