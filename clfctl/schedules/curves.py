"""Kinds with a beginning and an end, as long as the training; each docstring has the formula and its source.

Those that torch also has agree with its classes, stepped once for each unit of `t`, to 1e-12 of the base rate.
"""

import math
from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, Self

from annotated_types import Ge, Gt, Le, Lt

from clfctl.errors import UsageError
from clfctl.schedules.base import TOLERANCE, Clocked, LrEvery, Span, Timed, clock, length_of
from clfctl.schedules.parameters import Param
from clfctl.schedules.rates import Rate

TMax = Annotated[
    float,
    Ge(0),
    Param("Epochs from the start of the curve to its end, including warmup; 0: the whole training.", unit="epochs"),
]
# Epochs of a cosine below which it would be shorter than any batch.
SHORTEST = 1e-4
Fall = Literal["linear", "cosine", "1-sqrt"]
Four = tuple[float, float, float, float]
EtaMin = Annotated[float, Ge(0), Param("The lowest learning rate.", unit="rate")]


@dataclass(frozen=True)
class Curve(Timed):
    """A kind whose length `t_max`, if left open, is that of the training."""

    # A property, not a field: a field of the base would come before all others, and their order counts in expressions.
    @property
    @abstractmethod
    def t_max(self) -> float:
        """Epochs from the beginning of the curve to its end, 0: left open."""

    def fitted(self, span: Span) -> Self:
        """Return the curve with its length."""
        return self if self.t_max else self.of_length(span.epochs)

    def of_length(self, t_max: float) -> Self:
        """Return the same curve over `t_max` epochs."""
        length: dict[str, Any] = {"t_max": t_max}
        return replace(self, **length)


@dataclass(frozen=True)
class Linear(Clocked, Curve):
    """A straight line from `start` to `end` times the base rate.

    `base_lr * (start + (end - start) * min(1, t / t_max))`: torch.optim.lr_scheduler.LinearLR.
    """

    name = "linear"

    start: Annotated[float, Ge(0), Param("Factor at the beginning.", option="")] = 1.0
    end: Annotated[
        float | None, Ge(0), Param("Factor at the end; unset: 0, or 1 if the start is below 1.", option="")
    ] = None
    t_max: TMax = 0
    every: LrEvery = "batch"

    def at(self, base_lr: float, t: float) -> float:
        """Return the learning rate at `t` epochs."""
        end = float(self.start < 1) if self.end is None else self.end
        share = min(1.0, clock(t, self.every) / length_of(self, self.t_max))
        return base_lr * (self.start + (end - self.start) * share)


@dataclass(frozen=True)
class Polynomial(Clocked, Curve):
    """A power of the share of the training that is left.

    `eta_min + (base_lr - eta_min) * (1 - min(1, t / t_max)) ** power`: torch.optim.lr_scheduler.PolynomialLR; its
    default power is that of DeepLab (Chen et al. 2016, arXiv:1606.00915).
    """

    name = "polynomial"

    power: Annotated[float, Gt(0), Param("Exponent of the curve: 1 is a straight line, 2 falls early.")] = 0.9
    eta_min: EtaMin = 0.0
    t_max: TMax = 0
    every: LrEvery = "epoch"

    def at(self, base_lr: float, t: float) -> float:
        """Return the learning rate at `t` epochs."""
        left = 1 - min(1.0, clock(t, self.every) / length_of(self, self.t_max))
        return self.eta_min + (base_lr - self.eta_min) * math.pow(left, self.power)


@dataclass(frozen=True)
class Cosine(Clocked, Curve):
    """Half a cosine from the base rate down to `eta_min`.

    `eta_min + (base_lr - eta_min) * (1 + cos(pi * t / t_max)) / 2`: torch.optim.lr_scheduler.CosineAnnealingLR; SGDR
    (Loshchilov and Hutter 2017, arXiv:1608.03983) without the restarts. Past `t_max` it climbs again, as torch's.
    """

    name = "cosine"

    t_max: TMax = 0
    eta_min: EtaMin = 0.0
    every: LrEvery = "epoch"

    def at(self, base_lr: float, t: float) -> float:
        """Return the learning rate at `t` epochs."""
        angle = math.pi * clock(t, self.every) / length_of(self, self.t_max)
        return self.eta_min + (base_lr - self.eta_min) * (1 + math.cos(angle)) / 2

    def formula(self, base_lr: float, start: float, last: float) -> Rate:
        """Return `at` from `start` to `last`."""
        if self.every == "epoch":
            return super().formula(base_lr, start, last)
        length, low, depth = length_of(self, self.t_max), self.eta_min, base_lr - self.eta_min
        return lambda t: low + depth * (1 + math.cos(math.pi * t / length)) / 2


@dataclass(frozen=True)
class CosineRestarts(Clocked):
    """Cosines one after another, each from the top.

    Cycle i lasts `t_0 * t_mult ** i` epochs: torch.optim.lr_scheduler.CosineAnnealingWarmRestarts; SGDR (Loshchilov
    and Hutter 2017, arXiv:1608.03983). `decay` lowers the top of each cycle, as timm's cycle_decay.
    """

    name = "cosine-restarts"

    cycles: Annotated[
        int, Gt(0), Le(10_000), Param("Number of cosines in the training, if the length of the first is not given.")
    ] = 3
    t_0: Annotated[
        float, Ge(0), Param("Epochs of the first cosine; 0: chosen so that all cycles fit.", unit="epochs")
    ] = 0
    t_mult: Annotated[float, Ge(1), Param("How many times as long each cosine is as the one before.")] = 1.0
    decay: Annotated[
        float, Gt(0), Le(1), Param("Factor by which each restart lowers the peak.", option="cycle_decay")
    ] = 1.0
    eta_min: EtaMin = 0.0
    every: LrEvery = "epoch"

    def at(self, base_lr: float, t: float) -> float:
        """Return the learning rate at `t` epochs."""
        length, left, cycle = length_of(self, self.t_0), clock(t, self.every), 0
        if self.t_mult == 1:
            cycle = math.floor((left + TOLERANCE) / length)
            left = max(0.0, left - cycle * length)
        while left >= length - TOLERANCE:
            left, length, cycle = max(0.0, left - length), length * self.t_mult, cycle + 1
        top = base_lr * self.decay**cycle
        return self.eta_min + (top - self.eta_min) * (1 + math.cos(math.pi * left / length)) / 2

    def fitted(self, span: Span) -> Self:
        """Return the schedule with the length of its first cycle."""
        if self.t_0:
            return self
        try:
            lengths = sum(self.t_mult**i for i in range(self.cycles))
        except OverflowError:
            lengths = math.inf
        if span.epochs / lengths < SHORTEST:
            what = f"{self.cycles} cosines, each {self.t_mult:g} times as long as the one before"
            raise UsageError(f"{what}, do not fit into {span.epochs:g} epochs", "use fewer cycles, or a smaller t_mult")
        return replace(self, t_0=span.epochs / lengths)

    def __post_init__(self) -> None:
        """Raise UsageError for a parameter out of its limits, and for a first cosine that is shorter than any batch."""
        super().__post_init__()
        if 0 < self.t_0 < SHORTEST:
            raise UsageError(f"t_0 of {self.name} is {self.t_0!r}; it must be at least {SHORTEST}, or 0")


@dataclass(frozen=True)
class OneCycle(Clocked, Curve):
    """Up from a small rate to the base rate, then down to almost nothing, within the training.

    torch.optim.lr_scheduler.OneCycleLR with `max_lr` the base rate; Smith and Topin 2018 (arXiv:1708.07120). torch
    counts N steps where the curve has N - 1 intervals: a curve of `t_max` epochs has `total_steps = t_max + 1`.
    """

    name = "onecycle"

    pct_start: Annotated[float, Gt(0), Lt(1), Param("Share of the curve that rises.")] = 0.3
    div_factor: Annotated[float, Gt(0), Param("The curve starts at the base rate divided by this.")] = 25.0
    final_div_factor: Annotated[float, Gt(0), Param("The curve ends at its initial rate divided by this.")] = 1e4
    shape: Annotated[Literal["cosine", "linear"], Param("How it rises and falls.", option="")] = "cosine"
    three_phase: Annotated[
        bool, Param("Fall back to the initial rate first, as slowly as it rose, and only then to the end.", option="")
    ] = False
    t_max: TMax = 0
    every: LrEvery = "batch"
    cycle_momentum: Annotated[
        bool, Param("Move the momentum too (SGD's, Adam's beta1), against the rate: down, and up again.", option="")
    ] = False
    base_momentum: Annotated[float, Ge(0), Lt(1), Param("Momentum at the top of the rate.", option="")] = 0.85
    max_momentum: Annotated[float, Ge(0), Lt(1), Param("Momentum at the beginning and at the end.", option="")] = 0.95

    def at(self, base_lr: float, t: float) -> float:
        """Return the learning rate at `t` epochs."""
        return self._along(t, *self._rates(base_lr))

    def momentum(self, t: float) -> float:
        """Return the momentum at `t` epochs, where it moves too."""
        return self._along(t, self.max_momentum, self.base_momentum, self.max_momentum, self.max_momentum)

    def formula(self, base_lr: float, start: float, last: float) -> Rate:
        """Return `at` from `start` to `last`: what is left of it within a phase."""
        phase = self._phase(start, *self._rates(base_lr))
        is_one = phase == self._phase(last, *self._rates(base_lr)) and last <= length_of(self, self.t_max)
        if self.every == "epoch" or not is_one:
            return super().formula(base_lr, start, last)
        began, length, first, final = phase
        height = final - first
        if self.shape == "linear":
            return lambda t: first + height * ((t - began) / length)
        return lambda t: first + height * ((1 - math.cos(math.pi * ((t - began) / length))) / 2)

    def _rates(self, base_lr: float) -> Four:
        """Return the rates at the start, at the top, after the second of three phases, and at the end."""
        low = base_lr / self.div_factor
        return low, base_lr, low, low / self.final_div_factor

    def _phase(self, t: float, start: float, top: float, middle: float, end: float) -> Four:
        """Return the beginning and the length of the phase at `t`, in epochs, and what it goes from and to."""
        length = length_of(self, self.t_max)
        risen = self.pct_start * length
        fallen = 2 * risen if self.three_phase else risen
        if t <= risen:
            return 0.0, risen, start, top
        if t <= fallen:
            return risen, risen, top, middle
        return fallen, length - fallen, middle if self.three_phase else top, end

    def _along(self, t: float, start: float, top: float, middle: float, end: float) -> float:
        """Return what goes from `start` to `top`, where there are three phases to `middle`, and then to `end`."""
        t = min(length_of(self, self.t_max), clock(t, self.every))
        began, length, first, final = self._phase(t, start, top, middle, end)
        share = (t - began) / length
        return first + (final - first) * (share if self.shape == "linear" else (1 - math.cos(math.pi * share)) / 2)


@dataclass(frozen=True)
class WSD(Clocked, Curve):
    """Stay at the base rate and fall only at the end: warmup-stable-decay, with warmup as a setting of its own.

    MiniCPM (Hu et al. 2024, arXiv:2404.06395); the decay `1-sqrt` is Hägele et al.'s (2024, arXiv:2405.18392). With s
    the share of the decay that is done, the rate is `eta_min + (base_lr - eta_min) * f`, f being `1 - s`,
    `(1 + cos(pi * s)) / 2` or `1 - sqrt(s)`.
    """

    name = "wsd"

    decay: Annotated[float, Gt(0), Le(1), Param("Share of the curve that falls.")] = 0.2
    shape: Annotated[Fall, Param("How it falls.", option="decay_shape")] = "1-sqrt"
    eta_min: EtaMin = 0.0
    t_max: TMax = 0
    every: LrEvery = "batch"
    exact: Annotated[
        bool,
        Param(
            "With 1-sqrt, the first step of the fall has the whole rate, of which rounding may take 1e-8.", option=""
        ),
    ] = False

    def at(self, base_lr: float, t: float) -> float:
        """Return the learning rate at `t` epochs."""
        length = length_of(self, self.t_max)
        decay = self.decay * length
        fallen = clock(t, self.every) - (length - decay)
        # Not for all: runs from before this was known go on with the rate that they would have had.
        if self.exact and fallen < TOLERANCE:
            fallen = 0.0
        share = min(1.0, max(0.0, fallen / decay))
        return self.eta_min + (base_lr - self.eta_min) * falling(self.shape, share)

    def moves(self, start: float, last: float) -> bool:
        """Return whether the rate may change from `start` to `last`: not before it falls."""
        length = length_of(self, self.t_max)
        return clock(last, self.every) > length - self.decay * length and super().moves(start, last)


def falling(shape: Fall, share: float) -> float:
    """Return the height of a curve from 1 to 0 after `share` of its way."""
    match shape:
        case "linear":
            return 1 - share
        case "cosine":
            return (1 + math.cos(math.pi * share)) / 2
        case "1-sqrt":
            return 1 - math.sqrt(share)
