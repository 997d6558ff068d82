"""The state of a training: what a checkpoint holds and a resumed run gets back."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from clfctl.engine.averaging import EpochAverage, MovingAverage
from clfctl.engine.device import Precision
from clfctl.planning.plan import Values
from clfctl.runs.header import Position
from clfctl.runs.history import MOVED, START, EpochResult
from clfctl.runs.rates import EpochRates
from clfctl.schedules.recorded import TOLERANCE, Recorded, Window
from clfctl.settings.groups import TrainSettings


@dataclass
class Cursor:
    """Where training is.

    `epoch` and `batch` count from 0 and name the batch to be trained next. `losses` and `norms` (n_batches,) and
    `n_images` belong to the finished batches of the running epoch, `train_s` is the time that they took in seconds;
    `lr_start` and `lr` are the learning rates of its first and its latest step, `moved` what else a schedule moves, as
    in the history; `rates` are the learning rates that the optimizer had in each. `windows` are what schedules may look
    at inside of epochs, of the whole training; the list stays the same one.
    """

    losses: torch.Tensor
    epoch: int = 0
    batch: int = 0
    n_images: list[int] = field(default_factory=list)
    train_s: float = 0.0
    lr_start: float = 0.0
    lr: float = 0.0
    moved: dict[str, float] = field(default_factory=dict)
    history: list[EpochResult] = field(default_factory=list)
    rates: EpochRates = field(default_factory=EpochRates)
    windows: list[Window] = field(default_factory=list)
    norms: torch.Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.norms = torch.zeros_like(self.losses)

    @property
    def position(self) -> Position:
        """Where it is, as it is saved."""
        return Position(self.epoch, self.batch, len(self.losses))

    def take(self, values: Values) -> None:
        """Note what is set for the coming step."""
        self.lr = values.lr
        if self.batch == 0:
            self.lr_start = values.lr
        before, self.moved = self.moved if self.batch else {}, {}
        for name in MOVED:
            if (value := getattr(values, name)) is not None:
                self.moved |= {name + START: before.get(name + START, value), name: value}

    def next_epoch(self) -> None:
        """Move to the first batch of the next epoch."""
        self.epoch += 1
        self.start_epoch()

    def start_epoch(self) -> None:
        """Stand before the first batch of the epoch."""
        self.batch, self.n_images, self.train_s = 0, [], 0.0
        self.losses.zero_()
        self.rates.clear()
        self.norms.zero_()
        while self.windows and self.windows[-1].end > self.epoch + TOLERANCE:
            self.windows.pop()


@dataclass
class TrainState:
    """Everything that training changes, and the settings that it goes by.

    `changes` are the changes of the settings that were made when resuming, each as a line of the run's changes.jsonl;
    `ema` is the moving average of the weights, `mean` that of whole epochs, where there is one.
    `is_compiled` is whether compiling the model paid, None: not asked yet.
    """

    model: nn.Module
    optimizer: Optimizer
    precision: Precision
    settings: TrainSettings
    cursor: Cursor
    ema: MovingAverage | None = None
    mean: EpochAverage | None = None
    changes: list[dict[str, Any]] = field(default_factory=list)
    is_compiled: bool | None = None

    def recorded(self) -> Recorded:
        """Return what schedules go by: the monitored metric of every finished epoch, and the windows of batches."""
        metrics = tuple(result.metric(self.settings.monitor) for result in self.cursor.history)
        return Recorded(metrics, tuple(self.cursor.windows))

    def weights_to_use(self) -> nn.Module:
        """Return the model that is evaluated, and saved as best: an average where there is one, or the trained one."""
        if self.mean and self.mean.n_epochs:
            return self.mean.model
        return self.ema.model if self.ema else self.model
