"""Every setting of clfctl: name, type, limits, default and help, declared once.

A class is a help panel (its docstring is the panel's title); a field's docstring is its help. Help never repeats a
default: it is shown from the field.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, field_validator

from clfctl.errors import nearest
from clfctl.evaluation.epoch_metrics import AS_MONITORED, METRICS
from clfctl.settings.base import FieldError, Option, Settings, UserPath, UserText
from clfctl.settings.schedule import KindSettings, ScheduleSettings

MAX_EPOCHS = 10_000_000
Fraction = Annotated[float, Field(ge=0, lt=1)]
NEW_WEIGHTS = "the trained weights belong to the model as it is"
NEW_SPLIT = "training and validation images would be mixed"
NEW_IMAGES = "an epoch would have different batches"
NEW_STATE = "the state of one optimizer is of no use to another"
OTHER_PLACE = "the run has a folder already; rename that instead"
AugmentLevel = Literal["none", "light", "medium", "strong", "trivial", "rand"]
Balance = Literal["none", "sampler", "loss"]
BadImagePolicy = Literal["skip", "error"]
Amp = Literal["auto", "off", "bf16", "fp16"]


def _check_metric(field: str, name: str, known: Collection[str]) -> str:
    if name not in known:
        raise FieldError(field, f"{name!r} is not a metric", nearest(name, known) or "there are: " + ", ".join(known))
    return name


class SourceSettings(Settings):
    """Sources of settings"""

    config: Annotated[UserPath | None, Option(short="-c", values="files")] = None
    """TOML file of settings; `clfctl.toml` is read where there is one."""
    recipe: Annotated[str | None, Option(short="-r", values="recipes")] = None
    """Named starting point that every other source overrides."""


class DataSettings(Settings):
    """Data"""

    data: Annotated[UserText, Option(short="-d", values="data", metavar="NAME|DIR|FILE")] = "digits"
    """`digits`, a torchvision data set by name (`fashion-mnist`, `cifar10`, `flowers102`, …), a folder of class
    folders, a folder with train/, val/ and test/, a .csv, .tsv or .parquet table with the columns path and label,
    WebDataset shards (a .tar or a folder of them), or Hugging Face data: Parquet files with images inside, or what
    `save_to_disk` wrote."""
    data_dir: Annotated[UserPath, Option(values="folders")] = Path("data")
    """Where torchvision data sets are, or are downloaded to."""
    download: bool = False
    """Download a torchvision data set that is not in the data folder yet."""
    val_split: Annotated[Fraction, Option(aliases=("validation_split",), fixed=NEW_SPLIT)] = 0.2
    """Share of the training images kept for validation where the data has no val/: stratified by class, and the same
    for the same seed."""
    image_size: Annotated[PositiveInt, Option(aliases=("img_size", "input_size"), fixed=NEW_WEIGHTS)] = 224
    """Height and width of the images that the model gets, in pixels."""
    augment: Annotated[AugmentLevel, Option(aliases=("augmentation",))] = "light"
    """Random changes of training images: `light` is a random resized crop and a horizontal flip; `medium` also changes
    brightness, contrast and saturation, `strong` changes them more, and the angle; `trivial` and `rand` are `light`
    with TrivialAugment or RandAugment."""
    random_erasing: Annotated[Fraction, Option(aliases=("reprob",))] = 0.0
    """Share of the training images in which a random box is covered with the mean colour."""
    mixup: Annotated[NonNegativeFloat, Option(aliases=("mixup_alpha",))] = 0.0
    """Mix training images and their labels in pairs, with shares drawn from Beta(alpha, alpha) for this alpha, such as
    0.2; 0 does not mix."""
    cutmix: Annotated[NonNegativeFloat, Option(aliases=("cutmix_alpha",))] = 0.0
    """Paste a box of another image into each training image, and mix their labels by area: alpha as for mixup, such as
    1; with both, each gets half of the batches."""
    batch_size: Annotated[PositiveInt, Option(short="-b")] = 32
    """Images per optimizer step."""
    workers: Annotated[
        NonNegativeInt | Literal["auto"],
        Option(aliases=("num_workers",), metavar="N|auto", accepts="a whole number of at least 0, or auto"),
    ] = "auto"
    """Threads that decode images ahead of the model; 0 decodes in the training thread, `auto` reads a few images and
    takes one for each core, or more where the disk is slow. Results do not depend on it."""
    balance: Annotated[Balance, Option(aliases=("class_balance",))] = "none"
    """What to do about classes with fewer images: nothing, draw them as often as the others (`sampler`), or give them
    more weight in the loss (`loss`)."""
    max_per_class: Annotated[NonNegativeInt, Option(fixed=NEW_IMAGES)] = 0
    """Training images kept of each class, the same for the same seed; 0 keeps all."""
    cache: Literal["none", "ram", "disk"] = "none"
    """Keep the images decoded and scaled to little more than the training size: in memory (`ram`), or in a file that
    the next run on the same images uses too (`disk`). Several times as fast where decoding takes most of the time."""
    cache_dir: Annotated[UserPath | None, Option(values="folders")] = None
    """Where `cache=disk` puts its files, and what is packed in Parquet files and compressed shards is unpacked; unset:
    clfctl/ in the user's cache folder, such as ~/.cache/clfctl."""
    on_bad_image: BadImagePolicy = "skip"
    """What to do with an image that cannot be read: name it, count it and go on without it, or stop."""


class NetworkSettings(Settings):
    """Model"""

    model: Annotated[str, Option(short="-m", values="models", fixed=NEW_WEIGHTS)] = "custom"
    """`custom`, `efficientnet_b0` or any other timm model name."""
    dropout: Annotated[Fraction, Option(aliases=("drop_rate",))] = 0.0
    """Share of the features before the classifier that each training step leaves out."""
    drop_path: Annotated[Fraction, Option(aliases=("drop_path_rate",))] = 0.0
    """Largest share of images for which a training step skips a block (stochastic depth); timm models that have it."""


class ModelSettings(NetworkSettings):
    """Model"""

    pretrained: Annotated[bool | None, Option(fixed=NEW_WEIGHTS)] = None
    """Start from the model's published weights; unset: yes for every timm model that has them."""
    weights: Annotated[UserPath | None, Option(values="files", fixed=NEW_WEIGHTS)] = None
    """Start from the weights in this file (.safetensors, .pth, .pt); a classifier of another size is replaced by a new
    one."""


class BaseRateSettings(Settings):
    """Optimization"""

    epochs: Annotated[PositiveInt, Field(le=MAX_EPOCHS), Option(short="-e", aliases=("num_epochs",))] = 25
    """Passes over the training images."""
    lr: Annotated[PositiveFloat, Option(aliases=("learning_rate", "base_lr"))] = 1e-4
    """Base learning rate: what warmup ends at and the schedule starts from."""
    optimizer: Annotated[str, Option(aliases=("opt",), values="optimizers", fixed=NEW_STATE)] = "adam"
    """`adam`, `adamw`, `sgd` (momentum 0.9) or any optimizer name of timm."""


class OptimizerSettings(BaseRateSettings):
    """Optimization"""

    weight_decay: NonNegativeFloat = 0.0
    """Weight decay; biases and normalization weights are left out of it."""
    label_smoothing: Fraction = 0.0
    """Share of the target that is spread evenly over all classes."""
    clip_grad: Annotated[NonNegativeFloat, Option(aliases=("grad_clip", "clip_grad_norm"))] = 0.0
    """Largest norm of the gradient, over all parameters; 0 does not clip."""


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
    """Mixed precision; `auto`: on CUDA bf16 (fp16 where the GPU has no bf16), elsewhere off."""


class LoopSettings(MachineSettings, MonitorSettings):
    """Training"""


class RunsDirSettings(Settings):
    """Run folder"""

    runs_dir: Annotated[UserPath, Option(values="folders")] = Path("runs")
    """Folder that holds all runs."""


class RunSettings(RunsDirSettings):
    """Run folder"""

    run_name: Annotated[str, Option(short="-n", aliases=("name",), fixed=OTHER_PLACE)] = ""
    """Name of the run's folder; `{n}` becomes the first unused number; empty: a name is made up."""
    save_every: Annotated[NonNegativeInt, Option(aliases=("checkpoint_every",))] = 1
    """Epochs between two saves of the last state; 0 saves only at the end and when stopped."""
    save_every_batches: NonNegativeInt = 0
    """Batches between two saves inside an epoch, for epochs that take long; 0 saves only between epochs."""
    keep_best: Annotated[
        str, Option(values="metrics", metavar="METRIC", accepts=f"the name of a metric, or {AS_MONITORED}")
    ] = "val_top1"
    """Metric by which the best checkpoint is chosen, equal epochs by val_loss; `monitor`: whatever `monitor=` is.
    Without validation images it is that in any case."""
    export: bool = True
    """Write model.onnx at the end of training, so that `clfctl predict` needs no torch; needs the extra `onnx`."""

    @field_validator("keep_best")
    @classmethod
    def _is_metric_or_monitor(cls, name: str) -> str:
        return _check_metric("keep_best", name, [*METRICS, AS_MONITORED])


class PlanSettings(MonitorSettings, KindSettings, ScheduleSettings, BaseRateSettings):
    """All that a learning-rate curve depends on"""


class TrainSettings(RunSettings, LoopSettings, PlanSettings, OptimizerSettings, ModelSettings, DataSettings):
    """Everything that a training run is made of"""


class ResumeSettings(TrainSettings):
    """What resuming may change: only what is typed counts, neither the environment nor a file"""


class BenchSettings(MachineSettings, OptimizerSettings, NetworkSettings, DataSettings):
    """What the speed of a training depends on: its data, its network, its step, its device"""


class EvalSettings(Settings):
    """Evaluation"""

    data: Annotated[UserText | None, Option(short="-d", values="data", metavar="NAME|DIR|FILE")] = None
    """Data other than that of the run: its val or test images, or all of them if it has no such parts."""
    split: Literal["val", "test"] = "val"
    """Part of the data to evaluate on."""
    checkpoint: Annotated[UserText, Option(values="checkpoints", metavar="best|last|FILE")] = "best"
    """State of the run to evaluate, or any checkpoint file."""
    tta: Annotated[int, Field(ge=1, le=12)] = 1
    """Test-time augmentation: the mean of this many views of each image, 1 to 12; 2 adds the mirror image, more add
    closer crops."""
    top: PositiveInt = 10
    """Classes and confusions to show; the files contain all."""
    device: str | None = None
    """`cpu`, `cuda`, `cuda:1`, `mps`; unset: what the run was trained with."""
    batch_size: Annotated[PositiveInt | None, Option(short="-b")] = None
    """Images at a time; unset: as many as in training."""


class OutputSettings(Settings):
    """Output"""

    quiet: Annotated[bool, Option(short="-q", one_way=True)] = False
    """Print nothing but errors."""
    json_lines: Annotated[bool, Option(spelling="json", one_way=True, aliases=("json",))] = False
    """Print one JSON object a line instead of tables."""
