"""Every group of settings that a command takes, made of those of its parts.

A class is a help panel (its docstring is the panel's title); a field's docstring is its help. Help never repeats a
default: it is shown from the field.
"""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from clfctl.settings.base import Option, Settings, UserPath, UserText
from clfctl.settings.branching import BranchSettings as BranchSettings  # a command of its own takes it
from clfctl.settings.data import DataSettings
from clfctl.settings.ensembles import EnsembleSettings as EnsembleSettings  # commands that take several runs
from clfctl.settings.ensembles import KeptEnsembleSettings as KeptEnsembleSettings  # a command of its own takes it
from clfctl.settings.extending import ExtendSettings
from clfctl.settings.in_browser import AppSettings as AppSettings  # a command of its own takes it
from clfctl.settings.network import ModelSettings, NetworkSettings
from clfctl.settings.optimization import AveragingSettings, BaseRateSettings, DistillationSettings, OptimizerSettings
from clfctl.settings.probing import ProbeSettings as ProbeSettings  # a command of its own takes it
from clfctl.settings.processes import ProcessSettings
from clfctl.settings.running import LoopSettings, MachineSettings, MonitorSettings, RunSettings
from clfctl.settings.running import RunsDirSettings as RunsDirSettings  # a command of its own takes it
from clfctl.settings.schedule import BesideSettings, KindSettings, ScheduleSettings
from clfctl.settings.serving import ServeSettings as ServeSettings  # a command of its own takes it
from clfctl.settings.tuning import StudyNameSettings
from clfctl.settings.tuning import TuningSettings as TuningSettings  # the first panel of its command


class SourceSettings(Settings):
    """Sources of settings"""

    config: Annotated[UserPath | None, Option(short="-c", values="files")] = None
    """TOML file of settings; `clfctl.toml` is read where there is one."""
    recipe: Annotated[str | None, Option(short="-r", values="recipes")] = None
    """Named starting point that every other source overrides; without a name, the recipes are listed."""


class PlanSettings(MonitorSettings, BesideSettings, KindSettings, ScheduleSettings, BaseRateSettings):
    """All that a learning-rate curve depends on"""


class TrainSettings(
    ProcessSettings,
    RunSettings,
    LoopSettings,
    AveragingSettings,
    DistillationSettings,
    PlanSettings,
    OptimizerSettings,
    ModelSettings,
    DataSettings,
):
    """Everything that a training run is made of"""

    @property
    def images_at_once(self) -> int:
        """Images that the model computes with at a time."""
        return self.batch_size // self.accumulate


# What a learning-rate curve depends on: the plan, and how many batches its epochs have. `lr-preview` takes every
# setting of a training, and its help shows these.
CURVE = (
    *PlanSettings.model_fields,
    *("data", "data_dir", "val_split", "max_per_class", "batch_size", "time", "find_batch_size", "config", "recipe"),
    *("model", "freeze", "unfreeze_at", "backbone_lr_scale", "layer_decay"),
)


class ResumeSettings(ExtendSettings, TrainSettings):
    """What resuming may change: only what is typed counts, neither the environment nor a file"""


class TuneSettings(StudyNameSettings, TuningSettings, TrainSettings):
    """A study, and what is the same in all of its trials"""


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


class ReportSettings(EvalSettings):
    """Evaluation"""

    explain: Annotated[int, Field(ge=0, le=24)] = 0
    """Heat maps of so many of the worst mistakes in the report: of the class that was named, and of the true one."""


class OutputSettings(Settings):
    """Output"""

    quiet: Annotated[bool, Option(short="-q", one_way=True)] = False
    """Print nothing but errors."""
    json_lines: Annotated[bool, Option(spelling="json", one_way=True, aliases=("json",))] = False
    """Print one JSON object a line instead of tables."""
