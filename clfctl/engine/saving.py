"""What of a training goes into its checkpoints, and back."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from clfctl.data.pixels.transform import Preprocess
from clfctl.engine.state import TrainState
from clfctl.errors import CheckpointError
from clfctl.runs.checkpoint import (
    LOSSES,
    MODEL,
    OPTIMIZER,
    Checkpoint,
    optimizer_state,
    optimizer_tensors,
    save_checkpoint,
)
from clfctl.runs.folder import RunFolder
from clfctl.runs.history import EpochResult, read_history
from clfctl.settings.groups import TrainSettings

SETTINGS_OF_GROUPS = ("initial_lr", "weight_decay")


@dataclass(frozen=True)
class ModelInfo:
    """What is needed to use a model: saved in every checkpoint."""

    name: str
    classes: tuple[str, ...]
    preprocess: Preprocess


@dataclass(frozen=True)
class RunSaver:
    """Writes the checkpoints of a run."""

    run: RunFolder
    info: ModelInfo

    def save_last(self, state: TrainState, last_epoch: int) -> None:
        """Write all that is needed to go on from this batch.

        `last_epoch` is how many epochs are trained in all, as far as is known. Raises CheckpointError.
        """
        tensors, optimizer = optimizer_tensors(state.optimizer.state_dict())
        cursor = state.cursor
        tensors |= _model_tensors(state.model) | {LOSSES: cursor.losses}
        meta = self._meta(state) | {
            "optimizer": optimizer,
            "scaler": state.precision.scaler.state_dict(),
            "n_batches": len(cursor.losses),
            "last_epoch": last_epoch,
            "changes": state.changes,
            "cursor": {
                "epoch": cursor.epoch,
                "batch": cursor.batch,
                "n_images": cursor.n_images,
                "train_s": cursor.train_s,
                "lr_start": cursor.lr_start,
                "lr": cursor.lr,
            },
        }
        save_checkpoint(self.run.last, Checkpoint(tensors, meta), keep_previous=True)

    def save_best(self, state: TrainState) -> None:
        """Write the model alone, a third of `last` with Adam."""
        save_checkpoint(self.run.best, Checkpoint(_model_tensors(state.weights_to_use()), self._meta(state)))

    def what_is_kept(self) -> str:
        """Return which checkpoints there are, for a message."""
        kept = [f"{path}" for path in (self.run.best, self.run.last) if path.is_file()]
        return f"kept: {' and '.join(kept)}" if kept else "nothing was saved yet"

    def _meta(self, state: TrainState) -> dict[str, Any]:
        preprocess = self.info.preprocess
        return {
            "model": self.info.name,
            "classes": self.info.classes,
            "preprocess": vars(preprocess),
            "settings": state.settings.model_dump(mode="json"),
            "history": [result.as_record() for result in state.cursor.history],
            "n_threads": torch.get_num_threads(),
        }


def model_info(checkpoint: Checkpoint) -> ModelInfo:
    """Return what a checkpoint says of its model."""
    meta = checkpoint.meta
    saved = meta["preprocess"]
    preprocess = Preprocess(saved["image_size"], saved["crop_ratio"], tuple(saved["mean"]), tuple(saved["std"]))
    return ModelInfo(meta["model"], tuple(meta["classes"]), preprocess)


def saved_settings(checkpoint: Checkpoint) -> TrainSettings:
    """Return the settings that a checkpoint was trained with, whatever the environment says today."""
    return TrainSettings.model_validate(checkpoint.meta["settings"])


def history_of(checkpoint: Checkpoint) -> list[EpochResult]:
    """Return the finished epochs."""
    return read_history(checkpoint.meta["history"])


def load_model(model: nn.Module, checkpoint: Checkpoint) -> None:
    """Fill a model; its parameters keep their memory format. Raises CheckpointError if they do not fit."""
    try:
        model.load_state_dict(checkpoint.part(MODEL))
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise CheckpointError(f"the checkpoint does not fit the model {checkpoint.meta['model']}: {reason}") from None


def restore(state: TrainState, checkpoint: Checkpoint, *, restarts_epoch: bool = False) -> None:
    """Put a training where the checkpoint was written, or at the beginning of the epoch that it was in."""
    load_model(state.model, checkpoint)
    _restore_optimizer(state.optimizer, checkpoint)
    meta, cursor = checkpoint.meta, state.cursor
    state.precision.scaler.load_state_dict(meta["scaler"])
    saved = meta["cursor"]
    cursor.epoch, cursor.batch, cursor.n_images = saved["epoch"], saved["batch"], list(saved["n_images"])
    cursor.train_s, cursor.lr_start, cursor.lr = saved["train_s"], saved["lr_start"], saved["lr"]
    cursor.history = history_of(checkpoint)
    state.changes = list(meta["changes"])
    if restarts_epoch or not cursor.batch:
        cursor.start_epoch()
        return
    losses = checkpoint.tensors[LOSSES]
    if losses.shape != cursor.losses.shape:
        hint = "the data has another number of images; train anew from these weights with --weights"
        raise CheckpointError(f"the run had {len(losses)} batches an epoch, now there are {len(cursor.losses)}", hint)
    cursor.losses.copy_(losses)


def _model_tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    return {MODEL + name: tensor for name, tensor in model.state_dict().items()}


def _restore_optimizer(optimizer: Optimizer, checkpoint: Checkpoint) -> None:
    state = optimizer_state(checkpoint.part(OPTIMIZER), checkpoint.meta["optimizer"])
    for saved, own in zip(state["param_groups"], optimizer.param_groups, strict=True):
        # JSON has no tuples: Adam's betas came back as a list.
        saved |= {name: tuple(saved[name]) for name, value in own.items() if isinstance(value, tuple)}
        # What the settings say today, which may have changed; all else may have been moved by the optimizer itself.
        saved |= {name: own[name] for name in SETTINGS_OF_GROUPS if name in own}
    optimizer.load_state_dict(state)
    for parameter, values in optimizer.state.items():
        for name, value in values.items():
            if isinstance(value, torch.Tensor) and value.shape == parameter.shape and value.ndim == 4:
                # Saved contiguous; in another memory format the same run would give other bits.
                values[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
