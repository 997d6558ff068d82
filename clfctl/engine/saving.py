"""What of a training goes into its checkpoints, and back."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import nn

from clfctl.engine.memory_format import format_of
from clfctl.engine.optimizer_state import restore_optimizer
from clfctl.engine.param_groups import DIVIDING
from clfctl.engine.state import TrainState
from clfctl.errors import CheckpointError
from clfctl.models.card import Card
from clfctl.planning.place import Place, place_here
from clfctl.runs.best import Criterion, best_epochs
from clfctl.runs.checkpoint import (
    EMA,
    LOSSES,
    MEAN,
    MODEL,
    NORMS,
    Checkpoint,
    optimizer_tensors,
    save_checkpoint,
)
from clfctl.runs.folder import RunFolder
from clfctl.runs.header import Header, Resumption
from clfctl.runs.kept import kept_epochs
from clfctl.runs.rates import EpochRates
from clfctl.runs.windows import WINDOWS, window_of
from clfctl.schedules.recorded import Window
from clfctl.settings.groups import TrainSettings
from clfctl.settings.keeping import parse_keep
from clfctl.settings.older import read_older


@dataclass(frozen=True)
class RunSaver:
    """Writes the checkpoints of a run."""

    run: RunFolder
    card: Card
    place: Place = field(default_factory=place_here)
    n_processes: int = 1

    def save_last(self, state: TrainState, last_epoch: int) -> None:
        """Write all that is needed to go on from this batch.

        `last_epoch` is how many epochs are trained in all, as far as is known. Raises CheckpointError.
        """
        save_checkpoint(self.run.last, self._whole(state, last_epoch), keep_previous=True)

    def _whole(self, state: TrainState, last_epoch: int) -> Checkpoint:
        tensors, optimizer = optimizer_tensors(state.optimizer.state_dict())
        cursor = state.cursor
        tensors |= _model_tensors(state.model) | {LOSSES: cursor.losses, NORMS: cursor.norms}
        tensors |= {WINDOWS: torch.tensor(cursor.windows, dtype=torch.float64)} if cursor.windows else {}
        tensors |= _model_tensors(state.ema.model, EMA) if state.ema else {}
        mean = state.mean if state.mean and state.mean.n_epochs else None
        tensors |= _model_tensors(mean.model, MEAN) if mean else {}
        resumption = Resumption(
            position=cursor.position,
            n_images=cursor.n_images,
            train_s=cursor.train_s,
            lr_start=cursor.lr_start,
            lr=cursor.lr,
            moved=dict(cursor.moved),
            last_epoch=last_epoch,
            optimizer=optimizer,
            scaler=state.precision.scaler.state_dict(),
            changes=state.changes,
            is_compiled=state.is_compiled,
            averaged=(mean.n_epochs, mean.until) if mean else (0, 0),
            rates=cursor.rates.as_records(),
            n_processes=self.n_processes,
        )
        return Checkpoint(tensors, self._header(state, resumption).as_json())

    def save_best(self, state: TrainState) -> None:
        """Write the model alone, a third of `last` with Adam."""
        self.save_weights(self.run.best, state, state.weights_to_use())

    def save_weights(self, path: Path, state: TrainState, model: nn.Module, soup: Sequence[int] = ()) -> None:
        """Write a model alone, as of the finished epochs of a training, or a `soup` of some. Raises CheckpointError."""
        header = replace(self._header(state), soup=tuple(soup))
        save_checkpoint(path, Checkpoint(_model_tensors(model), header.as_json()))

    def keep_epoch(self, state: TrainState, criterion: Criterion, last_epoch: int) -> None:
        """Keep of the epoch that has ended what the settings ask for beside last and best, and drop what it replaces.

        Raises CheckpointError if it cannot be written.
        """
        history, keep = state.cursor.history, parse_keep(state.settings.keep)
        kept = kept_epochs(keep, history, criterion)
        if history[-1].epoch in kept:
            save_checkpoint(self.run.kept(history[-1].epoch), self._whole(state, last_epoch))
        # Only what was kept by this very rule: after a change of it what there is stays.
        for epoch in kept_epochs(keep, history[:-1], criterion) - kept:
            self.run.kept(epoch).unlink(missing_ok=True)
        if state.settings.soup:
            self._keep_ingredient(state, criterion)

    def _keep_ingredient(self, state: TrainState, criterion: Criterion) -> None:
        """Keep the weights of the epoch that has ended if it is among the best ones, and none of others."""
        history = state.cursor.history
        kept = {each.epoch for each in best_epochs(history, criterion, state.settings.soup)}
        if history[-1].epoch in kept:
            self.save_weights(self.run.ingredient(history[-1].epoch), state, state.weights_to_use())
        for path in self.run.ingredients():
            if path not in map(self.run.ingredient, kept):
                path.unlink(missing_ok=True)

    def what_is_kept(self) -> str:
        """Return which checkpoints there are, for a message."""
        kept = [f"{path}" for path in (self.run.best, self.run.last) if path.is_file()]
        return f"kept: {' and '.join(kept)}" if kept else "nothing was saved yet"

    def _header(self, state: TrainState, resumption: Resumption | None = None) -> Header:
        return Header(
            **self.card.as_json(),
            settings=self.place.kept(state.settings).model_dump(mode="json"),
            given_in=self.place.seen_from(self.run),
            history=state.cursor.history,
            n_threads=torch.get_num_threads(),
            memory_format=format_of(state.model),
            resumption=resumption,
        )


def saved_settings(checkpoint: Checkpoint) -> tuple[TrainSettings, tuple[str, ...]]:
    """Return the settings that a checkpoint was trained with, whatever the environment says today, and notes on them.

    Raises CheckpointError for settings that cannot be used.
    """
    return read_older(checkpoint.header.settings, checkpoint.path)


def windows_in(checkpoint: Checkpoint) -> list[Window]:
    """Return the windows of batches that a checkpoint has; earlier versions kept none."""
    recorded = checkpoint.tensors.get(WINDOWS)
    return [] if recorded is None else [window_of(each) for each in recorded.tolist()]


def load_model(model: nn.Module, checkpoint: Checkpoint, prefix: str = MODEL) -> None:
    """Fill a model; its parameters keep their memory format. Raises CheckpointError if they do not fit."""
    try:
        model.load_state_dict(checkpoint.part(prefix))
    except RuntimeError as error:
        reason = str(error).strip().rpartition("\n")[2].strip()
        raise CheckpointError(f"the checkpoint does not fit the model {checkpoint.header.model}: {reason}") from None


def restore(state: TrainState, checkpoint: Checkpoint, *, restarts_epoch: bool = False) -> None:
    """Put a training where the checkpoint was written, or at the beginning of the epoch that it was in."""
    saved, cursor = checkpoint.resumption, state.cursor
    load_model(state.model, checkpoint)
    before = saved_settings(checkpoint)[0]
    keeps = all(getattr(before, name) == getattr(state.settings, name) for name in DIVIDING)
    _restore_averages(state, checkpoint)
    try:
        restore_optimizer(state.optimizer, state.model, checkpoint, keeps_groups=keeps)
        state.precision.scaler.load_state_dict(dict(saved.scaler))
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        what = f"the optimizer state in {checkpoint.path} does not fit this run: {error}"
        raise CheckpointError(what, f"train a new run from its model with `start_from={checkpoint.path}`") from error
    cursor.epoch, cursor.batch, cursor.n_images = saved.position.epoch, saved.position.batch, list(saved.n_images)
    cursor.train_s, cursor.lr_start, cursor.lr = saved.train_s, saved.lr_start, saved.lr
    cursor.moved = dict(saved.moved)
    cursor.history = list(checkpoint.header.history)
    cursor.rates = EpochRates(saved.rates)
    cursor.windows[:] = windows_in(checkpoint)
    state.changes = list(saved.changes)
    state.is_compiled = saved.is_compiled if state.settings.compile else None
    if restarts_epoch or not cursor.batch:
        cursor.start_epoch()
        return
    losses = checkpoint.tensors[LOSSES]
    if losses.shape != cursor.losses.shape:
        hint = f"the data has another number of images; train a new run from its model: `start_from={checkpoint.path}`"
        raise CheckpointError(f"the run had {len(losses)} batches an epoch, now there are {len(cursor.losses)}", hint)
    cursor.losses.copy_(losses)
    norms = checkpoint.tensors.get(NORMS)
    if norms is None:
        cursor.norms.fill_(math.nan)
    else:
        cursor.norms.copy_(norms)


def _restore_averages(state: TrainState, checkpoint: Checkpoint) -> None:
    if state.ema and checkpoint.part(EMA):
        load_model(state.ema.model, checkpoint, EMA)
    elif state.ema:
        state.ema.begin()  # asked for when resuming: from here on
    n_epochs, until = checkpoint.resumption.averaged
    if state.mean and until > state.mean.first:  # else it begins later than before
        load_model(state.mean.model, checkpoint, MEAN)
        state.mean.n_epochs, state.mean.until = n_epochs, until


def _model_tensors(model: nn.Module, prefix: str = MODEL) -> dict[str, torch.Tensor]:
    return {prefix + name: tensor for name, tensor in model.state_dict().items()}
