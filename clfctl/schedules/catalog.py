"""Every built-in kind of schedule by its name."""

from clfctl.schedules.base import Kind
from clfctl.schedules.curves import WSD, Cosine, CosineRestarts, Linear, OneCycle, Polynomial
from clfctl.schedules.decays import Constant, Exponential, InverseSqrt, MultiStep, Step
from clfctl.schedules.parameters import Parameter, parameters_of
from clfctl.schedules.plateau import Plateau

# In the order of the guide: the three most used, then from simple to special.
KINDS: dict[str, type[Kind]] = {
    kind.name: kind
    for kind in (
        Step,
        Plateau,
        Cosine,
        Constant,
        MultiStep,
        Exponential,
        Linear,
        Polynomial,
        CosineRestarts,
        OneCycle,
        InverseSqrt,
        WSD,
    )
}


def summary_of(kind: type[Kind]) -> str:
    """Return what a kind does, in one line."""
    return (kind.__doc__ or "").splitlines()[0]


def kinds_with(option: str) -> list[tuple[str, Parameter]]:
    """Return the kinds that an option is for, with the parameter that it sets."""
    return [
        (name, parameter)
        for name, kind in KINDS.items()
        for parameter in parameters_of(kind)
        if parameter.option == option
    ]


def kind_options() -> list[str]:
    """Return the names of the options that set a parameter of a kind, each once."""
    return list(dict.fromkeys(each.option for kind in KINDS.values() for each in parameters_of(kind) if each.option))
