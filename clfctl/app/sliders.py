"""A schedule's parameters as sliders: their ranges are made from the declarations that stand beside the formulas."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import annotated_types

from clfctl.schedules.parameters import Parameter, fit_value, parameters_of, plain_type
from clfctl.schedules.writing import with_arguments
from clfctl.settings.data_defaults import changed_by_data

Look = Literal["slider", "choice", "switch", "several", "text"]
# A slider is moved by hand: of a wider range every tenth or hundredth value can be told apart.
MOST_VALUES = 100
# What has no upper limit ends at so many times its default.
TIMES = 10
# From here on, and down from there, a default stands for its order of magnitude.
LARGE, SMALL = 1000.0, 0.01
MAGNITUDES = 3
# A learning rate is looked for so many orders of magnitude below the base rate.
RATE_MAGNITUDES = 4


@dataclass(frozen=True)
class Slider:
    """How one parameter is set: the `values` that it can take, in their order; without any it is typed, as text.

    `kind` of slider: `slider` of numbers, where None is `unset`; `choice` of words; `switch`; `several` numbers.
    """

    parameter: Parameter
    kind: Look
    values: tuple[Any, ...] = ()

    @property
    def name(self) -> str:
        """The parameter as expressions spell it."""
        return self.parameter.name

    @property
    def default(self) -> Any:
        """The value that it has without being set."""
        return self.parameter.default


def sliders_of(kind: Any, epochs: int, lr: float) -> list[Slider]:
    """Return a slider for every parameter of a kind of schedule, in a training of so many epochs at a base rate."""
    return [_slider_of(parameter, epochs, lr) for parameter in parameters_of(kind)]


def expression_of(name: str, sliders: Iterable[Slider], values: dict[str, Any]) -> str:
    """Return the expression of a kind with the values that are not its defaults, by name.

    What a data set has a default of its own for is stated too: the same expression means the same with any data.
    """
    chosen = {each.name: values.get(each.name, each.default) for each in sliders}
    open_ = {each.name for each in sliders if each.parameter.option in changed_by_data()}
    usual = {each.name: each.default for each in sliders}
    return with_arguments(name, {key: value for key, value in chosen.items() if value != usual[key] or key in open_})


def value_text(value: Any) -> str:
    """Return a value of a slider for people: as short as it can be read back."""
    if value is None:
        return "unset"
    return f"{value:g}" if isinstance(value, float) else str(value)


def rates_around(rate: float, below: int, above: int) -> list[float]:
    """Return numbers in steps of 1, 2, 5 from so many orders of magnitude below a rate to so many above, ascending."""
    middle = math.floor(math.log10(rate))
    return [float(f"{step}e{power}") for power in range(middle - below, middle + above + 1) for step in (1, 2, 5)]


def _slider_of(parameter: Parameter, epochs: int, lr: float) -> Slider:
    kind = plain_type(parameter.type)
    if parameter.read or kind is str:
        return Slider(parameter, "text")
    if kind is bool:
        return Slider(parameter, "switch", (False, True))
    if get_origin(kind) is Literal:
        return Slider(parameter, "choice", get_args(kind))
    if get_origin(kind) is tuple:
        return Slider(parameter, "several", tuple(float(each) for each in range(1, epochs)))
    found = {each for each in _numbers(parameter, kind, epochs, lr) if _is_allowed(each, parameter)}
    numbers = sorted(kind(float(f"{each:.10g}")) for each in found)
    may_be_unset = parameter.default is None or NoneType in get_args(parameter.type)
    if parameter.default is not None:
        numbers = sorted({*numbers, kind(parameter.default)})
    return Slider(parameter, "slider", (*((None,) if may_be_unset else ()), *numbers))


def _numbers(parameter: Parameter, kind: Any, epochs: int, lr: float) -> Iterable[float]:
    """Return the numbers of a slider, within the limits or not."""
    low, high = _limits(parameter)
    if parameter.unit == "epochs":
        return _steps(min(low, 1), max(epochs, 1), 1)
    if parameter.unit == "rate":
        highest = max(lr, parameter.default or 0.0)
        return (0.0, *(each for each in rates_around(lr, RATE_MAGNITUDES, MAGNITUDES) if each <= highest))
    usual = float(parameter.default or 1)
    if usual >= LARGE or usual < SMALL:
        return (0.0, *rates_around(usual, MAGNITUDES, MAGNITUDES))
    if high > TIMES * max(1.0, usual):
        high = max(low + 1, TIMES * usual)
    return _steps(low, high, 1 if kind is int else 10.0 ** (math.ceil(math.log10(high)) - 2))


def _limits(parameter: Parameter) -> tuple[float, float]:
    low, high = 0.0, math.inf
    for each in parameter.limits:
        match each:
            case annotated_types.Gt(gt=bound) | annotated_types.Ge(ge=bound):
                low = float(bound)  # type: ignore[arg-type]  # a number, for numbers
            case annotated_types.Lt(lt=bound) | annotated_types.Le(le=bound):
                high = float(bound)  # type: ignore[arg-type]  # as above
    return low, high


def _steps(low: float, high: float, step: float) -> list[float]:
    """Return the multiples of a step from `low` to `high`; of more than fit a slider some are left out."""
    step *= max(1, math.ceil((high - low) / step / MOST_VALUES))
    first, last = math.floor(low / step + 1e-9) + 1, math.floor(high / step + 1e-9)
    return [low, *(step * each for each in range(first, last + 1)), high]


def _is_allowed(number: float, parameter: Parameter) -> bool:
    try:
        fit_value(number, parameter)
    except ValueError:
        return False
    return True
