"""A schedule class of the user's own by its module and name: `mypkg.mod:MySchedule(x=1)`."""

import importlib
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, redirect_stdout
from contextvars import ContextVar
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import partial
from inspect import isabstract, isclass, signature
from typing import Any, Self

from clfctl.errors import ClfctlError, UsageError, first_line, nearest, shortened
from clfctl.schedules.base import Rate, Schedule, Segment, Span
from clfctl.schedules.compose import Around

INHERIT = "let it inherit from clfctl.schedules.Schedule, and say `lr`: docs/own-schedule.md"
PURE = "what it returns must follow from its parameters, base_lr, t and metrics alone: docs/own-schedule.md"
A_RATE = "a learning rate is a number that is at least 0 and finite"
# Times at which it is tried, and metrics that go up and down for one that follows them.
N_TIMES = 48
UPS_AND_DOWNS = (1.0, 0.6, 0.7, 0.8, 0.5, 0.9, 0.9, 0.4, 0.41, 0.42, 0.43, 0.44)
_IS_REFUSED = ContextVar("is_refused", default=False)


@dataclass(frozen=True)
class Own(Around):
    """A schedule of the user's own: what it raises, and a rate that no optimizer could use, becomes a sentence.

    `label` is its module and class. `place` are lines that show it in its expression. `again` makes another one.
    """

    label: str
    place: str = field(default="", compare=False)
    again: Callable[[], Schedule] | None = field(default=None, compare=False)

    @property
    def name(self) -> str:
        """The module and the class."""
        return self.label

    @property
    def follows_metrics(self) -> bool:
        """Whether it says that it follows metrics."""
        with self._told("asked whether it follows metrics"):
            return bool(self.inner.follows_metrics)

    def given(self, metrics: Sequence[float], base_lr: float) -> Rate:
        """Return the rate as a function of time; it raises UsageError for what is no learning rate."""
        with self._told("asked for its rate"):
            return self._checked(self.inner.given(metrics, base_lr))

    def by_epoch(self, metrics: Sequence[float], base_lr: float) -> Iterator[Rate]:
        """Yield the rate of each epoch in turn."""
        with self._told("asked for its rates"):
            rates = self.inner.by_epoch(metrics, base_lr)
        while True:
            with self._told("asked for its rates"):
                rate = next(rates)
            yield self._checked(rate)

    def fitted(self, span: Span) -> Self:
        """Return it with what it takes from the training."""
        with self._told("fitted"):
            inner: object = self.inner.fitted(span)
        if not isinstance(inner, Schedule):
            raise UsageError(f"{self.label}: `fitted` returns {_kind(inner)}, and not a Schedule{self.place}", INHERIT)
        return replace(self, inner=inner, again=partial(_fitted_again, self.again, span) if self.again else None)

    def parameters(self) -> dict[str, Any]:
        """Return what it has of its fields by now, of a dataclass; else nothing is known of it."""
        if not is_dataclass(self.inner):
            return {}
        return {each.name: getattr(self.inner, each.name) for each in fields(self.inner) if each.init}

    def segments(self, epochs: float) -> list[Segment]:
        """Return it as one segment."""
        return [Segment(self.label, 0.0, epochs, self)]

    def try_out(self, base_lr: float, epochs: float) -> None:
        """Raise UsageError if it has no rate somewhere in so many epochs, or not always the same one.

        It is asked in the order of time, then backwards, then another one that was made like it.
        """
        times = [epochs * number / N_TIMES for number in range(N_TIMES)]
        first = [self._at(base_lr, t) for t in times]
        backwards = [self._at(base_lr, t) for t in reversed(times)][::-1]
        other = replace(self, inner=self.again()) if self.again else self
        anew = [other._at(base_lr, t) for t in times]
        for t, one, *others in zip(times, first, backwards, anew, strict=True):
            if changed := [each for each in others if each != one]:
                what = f"at {t:g} epochs it returns {one:g}, and asked again {changed[0]:g}"
                raise UsageError(f"{self.label} is not a function of time: {what}{self.place}", PURE)

    def _at(self, base_lr: float, t: float) -> float:
        n_known = int(t) if self.follows_metrics else 0
        return self.given(tuple(UPS_AND_DOWNS[n % len(UPS_AND_DOWNS)] for n in range(n_known)), base_lr)(t)

    def _checked(self, rate: Rate) -> Rate:
        def checked(t: float) -> float:
            with self._told("asked", t):
                returned: Any = rate(t)
            try:
                lr = math.nan if isinstance(returned, str | bool) else float(returned)
            except (TypeError, ValueError, OverflowError):
                lr = math.nan
            if not 0 <= lr < math.inf:
                what = f"{self.label} returns {shortened(returned)} at {t:g} epochs{self.place}"
                raise UsageError(what, A_RATE)
            return lr

        return checked

    @contextmanager
    def _told(self, doing: str, t: float | None = None) -> Iterator[None]:
        when = f" at {t:g} epochs" if t is not None else f" when {doing}"
        try:
            with _printing_beside():
                yield
        except ClfctlError:
            raise
        except (Exception, SystemExit) as error:
            what = f"{self.label} raises {type(error).__name__}{when}: {first_line(error)}{self.place}"
            raise UsageError(what, "CLFCTL_DEBUG=1 shows where") from error


@contextmanager
def importing_nothing() -> Iterator[None]:
    """Refuse classes of the user's own inside, in this thread: the run that names one may be a stranger's."""
    before = _IS_REFUSED.set(True)
    try:
        yield
    finally:
        _IS_REFUSED.reset(before)


def own_schedule(module: str, name: str, arguments: Mapping[str, Any], place: str = "") -> Own:
    """Return a schedule of a class that is found in the current folder, or among what is installed.

    Raises UsageError if there is none of that name, if it is not a Schedule, if it does not take the arguments, and
    where nothing may be imported.
    """
    if _IS_REFUSED.get():
        raise UsageError(
            f"{module}:{name} is code of whoever made it, and is not run here", "clfctl lr-preview runs it"
        )
    cls, label = _class(module, name, place), f"{module}:{name}"

    def made() -> Schedule:
        try:
            with _printing_beside():
                schedule: Schedule = cls(**arguments)
        except UsageError as error:
            raise UsageError(f"{label}: {error.message}{place}", error.hint) from None
        except (Exception, SystemExit) as error:
            takes = ", ".join(signature(cls).parameters) or "no arguments"
            raise UsageError(f"{label} cannot be made: {first_line(error)}{place}", f"it takes {takes}") from error
        return schedule

    return Own(made(), label, place, made)


def own_schedules(schedule: Any) -> Iterator[Own]:
    """Yield the schedules of the user's own that a schedule is made of."""
    if isinstance(schedule, Own):
        yield schedule
    elif isinstance(schedule, Schedule | tuple):
        for each in vars(schedule).values() if isinstance(schedule, Schedule) else schedule:
            yield from own_schedules(each)


def _class(module: str, name: str, place: str) -> type[Schedule]:
    there = _imported(module, place)
    found: Any = getattr(there, name, None)
    if found is None:
        known = [each for each, value in vars(there).items() if _is_schedule(value, module)]
        hint = nearest(name, known) or ("it has " + ", ".join(known) if known else INHERIT)
        raise UsageError(f"the module {module} has no class {name!r}{place}", hint)
    if not isclass(found):
        raise UsageError(f"{module}:{name} is {_kind(found)}, and not a class{place}", INHERIT)
    if not issubclass(found, Schedule):
        raise UsageError(f"the class {module}:{name} is not a Schedule{place}", INHERIT)
    return found


def _imported(module: str, place: str) -> Any:
    here = os.getcwd()  # noqa: PTH109 (what is imported is found by text)
    if not {here, ""} & set(sys.path):
        sys.path.append(here)  # last: a file of the current folder hides nothing that is installed
    importlib.invalidate_caches()
    try:
        with _printing_beside():
            return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and (module == error.name or module.startswith(f"{error.name}.")):
            hint = "it is looked for in the current folder, then among what is installed"
            raise UsageError(f"there is no module {module!r}{place}", hint) from None
        raise UsageError(f"{module} cannot be imported: {first_line(error)}{place}") from error
    except (Exception, SystemExit) as error:
        what = f"{module} cannot be imported: {type(error).__name__}: {first_line(error)}{place}"
        raise UsageError(what, "CLFCTL_DEBUG=1 shows where") from error


def _printing_beside() -> AbstractContextManager[object]:
    """Let what a user's code prints go to standard error: standard output may be read by a program, as csv or JSON."""
    return redirect_stdout(sys.stderr)


def _is_schedule(value: Any, module: str) -> bool:
    return isclass(value) and issubclass(value, Schedule) and value.__module__ == module and not isabstract(value)


def _fitted_again(again: Callable[[], Schedule], span: Span) -> Schedule:
    return again().fitted(span)


def _kind(value: Any) -> str:
    return f"a {type(value).__name__}"
