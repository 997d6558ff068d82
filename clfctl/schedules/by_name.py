"""Any other scheduler class of torch or timm as a schedule: `torch:CyclicLR(base_lr=1e-5, max_lr=1e-3)`.

Such a class steps from value to value and keeps state. Here it is stepped once from its beginning, on an optimizer of
its own, and its values are recorded. That makes them a function of time again, which stopping and resuming cannot
disturb. Heavy libraries are imported when the first value is asked for.
"""

import inspect
import math
import re
import warnings
from array import array
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from itertools import repeat
from threading import Lock
from typing import Any, Literal, Self

from clfctl.errors import ClfctlError, UsageError, nearest
from clfctl.schedules.base import TOLERANCE, Bound, Every, Rate, Segment, Span, steady

Library = Literal["torch", "timm"]
LIBRARIES: tuple[Library, ...] = ("torch", "timm")
METRIC_DRIVEN = ("ReduceLROnPlateau", "PlateauLRScheduler")
MAX_STEPS = 10_000_000
REFUSED = {
    "LambdaLR": "it takes a Python function; pick a kind that has the curve",
    "MultiplicativeLR": "it takes a Python function; pick a kind that has the curve",
    "SequentialLR": "write its parts one after another: linear:2 > cosine",
    "ChainedScheduler": "write its parts one after another: linear:2 > cosine",
}


@dataclass(frozen=True)
class ByName(Bound):
    """A scheduler class of a library, with its arguments; stepped once an epoch, or at each batch if `every` says so.

    `steps_per_epoch` is only needed for that; `fitted` fills it. `place` are lines that show it in its expression.
    """

    library: Library
    scheduler: str
    arguments: tuple[tuple[str, Any], ...] = ()
    every: Every = "epoch"
    steps_per_epoch: int | None = None
    place: str = field(default="", compare=False)

    @property
    def name(self) -> str:
        """The library and the class."""
        return f"{self.library}:{self.scheduler}"

    @property
    def follows_metrics(self) -> bool:
        """Whether the class is stepped with a metric."""
        return self.scheduler in METRIC_DRIVEN

    def given(self, metrics: Sequence[float], base_lr: float) -> Rate:
        """Return the rate as a function of time.

        Raises UsageError if there is no such class, or it does not accept the arguments; so does the function where it
        does not allow that many steps.
        """
        if self.follows_metrics:
            return deque(self._after_each(metrics, base_lr), maxlen=1)[0]
        with self._shown():
            stepper = _stepped(self, base_lr)
        return partial(self._at, stepper)

    def by_epoch(self, metrics: Sequence[float], base_lr: float) -> Iterator[Rate]:
        """Yield the rate of each epoch in turn."""
        if not self.follows_metrics:
            yield from repeat(self.given(metrics, base_lr))
        rate = steady(base_lr)
        for rate in self._after_each(metrics, base_lr):
            yield rate
        yield from repeat(rate)

    def fitted(self, span: Span) -> Self:
        """Return the schedule with the batches of an epoch, and the direction of the metric that it follows."""
        arguments = dict(self.arguments)
        if self.follows_metrics:
            # Unless told, torch's class assumes "min" and timm's "max", whatever the metric is.
            arguments.setdefault("mode", span.mode)
        return replace(self, arguments=tuple(arguments.items()), steps_per_epoch=span.steps_per_epoch)

    def segments(self, epochs: float) -> list[Segment]:
        """Return it as one segment."""
        return [Segment(self.scheduler, 0.0, epochs, self)]

    def _at(self, stepper: "_Stepper", t: float) -> float:
        with self._shown():
            return stepper.at(self._steps(t))

    def _after_each(self, metrics: Sequence[float], base_lr: float) -> Iterator[Rate]:
        """Yield the rate before any metric, and after each of them."""
        with self._shown():
            stepper = _Stepper(self, base_lr)
            yield steady(stepper.rate)
            for metric in metrics:
                stepper.step(metric)
                yield steady(stepper.rate)

    @contextmanager
    def _shown(self) -> Iterator[None]:
        """Let an error show the place in the expression."""
        try:
            yield
        except UsageError as error:
            raise UsageError(error.message + self.place, error.hint) from None

    def _steps(self, t: float) -> int:
        if self.every == "epoch":
            return int(t + TOLERANCE)
        if self.steps_per_epoch is None:
            hint = "add `steps_per_epoch=`, the number of batches in an epoch"
            raise UsageError(
                f"{self.name} changes with every batch, and the number of batches in an epoch is not known here", hint
            )
        return int(t * self.steps_per_epoch + 1e-6)


class _Stepper:
    """A scheduler on an optimizer of its own, and the rates that it has had.

    Raises UsageError for anything that the class raises, and for a rate that no optimizer could use.
    """

    def __init__(self, of: ByName, base_lr: float) -> None:
        import torch

        # With momentum: classes that cycle it refuse an optimizer that has none.
        self.of, self.optimizer = of, torch.optim.SGD([torch.zeros(1)], base_lr, momentum=0.9)
        self.rates = array("d")
        self._lock = Lock()  # equal schedules share one, in whatever thread they are
        arguments = dict(of.arguments)
        cls = find_class(of.library, of.scheduler)
        if of.library == "timm" and of.every == "batch":
            arguments.setdefault("t_in_epochs", False)
        takes = ", ".join(list(inspect.signature(cls).parameters)[1:])
        with _explained(lambda: f"{of.name} cannot be made", f"it takes {takes}"):
            self.scheduler = cls(self.optimizer, **arguments)
            self.optimizer.step()  # torch warns of a scheduler that is stepped first
            self._keep()

    @property
    def rate(self) -> float:
        """The rate after the steps so far."""
        return self.rates[-1]

    def at(self, n_steps: int) -> float:
        """Return the rate after `n_steps` steps."""
        if n_steps > MAX_STEPS:
            what = f"{self.of.name} would have to be stepped {n_steps:,} times, and {MAX_STEPS:,} is the limit"
            raise UsageError(what, "use a kind that has the curve as a formula: clfctl lr-preview --list")
        if len(self.rates) <= n_steps:
            with self._lock, self._stepping():
                while len(self.rates) <= n_steps:
                    self._step()
        return self.rates[n_steps]

    def step(self, metric: float | None = None) -> None:
        """Make one step and keep the rate."""
        with self._stepping():
            self._step(metric)

    def _step(self, metric: float | None = None) -> None:
        if self.of.library == "timm":
            step = self.scheduler.step if self.of.every == "epoch" else self.scheduler.step_update
            step(len(self.rates), metric)
        else:
            self.scheduler.step() if metric is None else self.scheduler.step(metric)
        self._keep()

    def _keep(self) -> None:
        rate = float(self.optimizer.param_groups[0]["lr"])
        if not 0 <= rate < math.inf:
            raise ValueError(f"its learning rate is {rate:g}")
        self.rates.append(rate)

    def _stepping(self) -> AbstractContextManager[None]:
        return _explained(lambda: f"{self.of.name} failed at step {len(self.rates)}")


@contextmanager
def _explained(what: Callable[[], str], hint: str = "") -> Iterator[None]:
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    except Exception as error:
        raise UsageError(f"{what()}: {_reason(error)}", hint) from None


def find_class(library: Library, name: str) -> Any:
    """Return a scheduler class; raises UsageError, with the nearest names, if there is none of that name."""
    if name in REFUSED:
        raise UsageError(f"{library}:{name} cannot be used here", REFUSED[name])
    if library == "torch":
        import torch.optim.lr_scheduler as module
    else:
        module = _timm_module()
    known = [
        each for each in dir(module) if each.endswith(("LR", "Scheduler", "Restarts", "Plateau")) and each[0] != "_"
    ]
    known = [each for each in known if each not in REFUSED and each not in ("LRScheduler", "Scheduler")]
    if name not in known:
        hint = nearest(name, known) or "there are " + ", ".join(known)
        raise UsageError(f"{library} has no scheduler {name!r}", hint)
    return getattr(module, name)


def _timm_module() -> Any:
    try:
        import timm.scheduler
    except ImportError as error:
        raise ClfctlError(f"timm cannot be imported: {error}") from None
    return timm.scheduler


@lru_cache(maxsize=16)
def _stepped(of: ByName, base_lr: float) -> _Stepper:
    return _Stepper(of, base_lr)


def _reason(error: Exception) -> str:
    lines = str(error).splitlines() or [type(error).__name__]
    return re.sub(r"^\w*\.?__init__\(\) ", "", lines[0])
