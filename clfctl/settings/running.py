"""Settings of the loop, the machine it runs on and the run folder."""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Literal

from pydantic import NonNegativeInt, field_validator

from clfctl.errors import nearest
from clfctl.evaluation.epoch_metrics import AS_MONITORED, METRICS
from clfctl.settings.base import FieldError, Option, Settings, UserPath
from clfctl.settings.clock import CLOCK, parse_clock
from clfctl.settings.fixed import CHOSEN_EPOCHS, FOUND_BEFORE, NEW_SPLIT, OTHER_PLACE
from clfctl.settings.keeping import KEEP, parse_keep
from clfctl.settings.tracked import trackers_in

Amp = Literal["auto", "off", "tf32", "bf16", "fp16"]


def _check_metric(field: str, name: str, known: Collection[str]) -> str:
    if name not in known:
        raise FieldError(field, f"{name!r} is not a metric", nearest(name, known) or "there are: " + ", ".join(known))
    return name


class MonitorSettings(Settings):
    """Training"""

    monitor: Annotated[str, Option(values="metrics", metavar="METRIC", accepts="the name of a metric")] = "val_loss"
    """Metric that early stopping and plateau go by: any that epochs record, such as `val_loss`, `val_top1` or
    `val_f1`."""
    early_stopping: Annotated[NonNegativeInt, Option(aliases=("early_stopping_patience",))] = 0
    """Stop after this many epochs without improvement of the monitored metric; 0 never stops early."""
    cooldown: NonNegativeInt = 0
    """When early stopping fires, anneal the learning rate to `eta_min=` over this many more epochs, then stop."""

    @field_validator("monitor")
    @classmethod
    def _is_metric(cls, name: str) -> str:
        return _check_metric("monitor", name, METRICS)


class MachineSettings(Settings):
    """Training"""

    seed: Annotated[NonNegativeInt, Option(fixed=NEW_SPLIT)] = 0
    """Seed of everything random: first weights, split, order, augmentation, dropout."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda`, `cuda:1`, `mps`."""
    amp: Annotated[Amp, Option(aliases=("precision",))] = "auto"
    """Mixed precision; `auto`: on CUDA bf16 (fp16 where the GPU has no bf16), elsewhere off. `tf32` computes float32 on
    the tensor cores of an NVIDIA GPU, with a mantissa of 10 bits."""


class ComputeSettings(MachineSettings):
    """Training"""

    deterministic: bool = False
    """Compute by algorithms alone that give the same bits every time, also on a GPU; they may be slower. What has none
    is refused."""
    compile: bool = False
    """Compile the training step with torch.compile, if measuring it at the beginning says that it pays."""
    checkpoint_activations: bool = False
    """Compute activations again in the backward pass instead of keeping them: about half of the memory for a third more
    time, and the same gradients."""


class LoopSettings(ComputeSettings, MonitorSettings):
    """Training"""

    time: Annotated[str, Option(metavar="1h30m", accepts=CLOCK, fixed=CHOSEN_EPOCHS)] = ""
    """Train for about so long: a few steps are measured, then as many epochs are planned as fit, and the schedule is
    that of so many. `epochs=` beside it is the most that are trained."""

    find_batch_size: Annotated[bool, Option(fixed=FOUND_BEFORE)] = False
    """Try larger and larger batches before training, from `batch_size=` on, and take the largest that fits in memory;
    the learning rate stays what it is."""

    @field_validator("time")
    @classmethod
    def _is_clock(cls, text: str) -> str:
        if text not in ("", "0"):
            parse_clock(text)
        return "" if text == "0" else text


class RunsDirSettings(Settings):
    """Run folder"""

    runs_dir: Annotated[UserPath, Option(values="folders")] = Path("runs")
    """Folder that holds all runs."""


class RunNameSettings(RunsDirSettings):
    """Run folder"""

    run_name: Annotated[str, Option(short="-n", aliases=("name",), fixed=OTHER_PLACE)] = ""
    """Name of the run's folder; `{n}` becomes the first unused number; empty: a name is made up."""


class RunSettings(RunNameSettings):
    """Run folder"""

    save_every: Annotated[NonNegativeInt, Option(aliases=("checkpoint_every",))] = 1
    """Epochs between two saves of the last state; 0 saves only at the end and when stopped."""
    save_every_batches: NonNegativeInt = 0
    """Batches between two saves inside an epoch, for epochs that take long; 0 saves only between epochs."""
    keep_best: Annotated[
        str, Option(values="metrics", metavar="METRIC", accepts=f"the name of a metric, or {AS_MONITORED}")
    ] = "val_top1"
    """Metric by which the best checkpoint is chosen, equal epochs by val_loss; `monitor`: whatever `monitor=` is.
    Without validation images it is that in any case."""
    keep: Annotated[str, Option(metavar="'every N'|best:N", accepts=KEEP)] = ""
    """Keep whole checkpoints, which `clfctl branch` can go on from: that of every N-th epoch (`'every 5'`), or of the N
    best ones by `keep_best=` (`best:3`). Each takes the room of the last state."""
    export: bool = True
    """Write model.onnx at the end of training, so that `clfctl predict` needs no torch; needs the extra `onnx`."""

    track: Annotated[
        str, Option(values="trackers", metavar="tensorboard|mlflow|wandb|csv", accepts="names of trackers, or none")
    ] = ""
    """Write what is recorded to a tracker too, or to several separated by commas: `tensorboard`, `mlflow` and `wandb`
    need the extra of that name, `csv` none. `none` ends it in a run that has begun."""

    @field_validator("track")
    @classmethod
    def _names_trackers(cls, text: str) -> str:
        return ",".join(trackers_in(text))

    @field_validator("keep")
    @classmethod
    def _says_what_to_keep(cls, text: str) -> str:
        return str(parse_keep(text))

    @field_validator("keep_best")
    @classmethod
    def _is_metric_or_monitor(cls, name: str) -> str:
        return _check_metric("keep_best", name, [*METRICS, AS_MONITORED])
