"""Every kind of schedule by its name: the built-in ones, and your own."""

import dataclasses
import re
from typing import Any, TypeVar

from clfctl.errors import UsageError
from clfctl.schedules.averaging import Average
from clfctl.schedules.base import Kind
from clfctl.schedules.by_name import LIBRARIES
from clfctl.schedules.cooldown import Anneal
from clfctl.schedules.curves import WSD, Cosine, CosineRestarts, Linear, OneCycle, Polynomial
from clfctl.schedules.decays import Constant, Exponential, InverseSqrt, MultiStep, Step
from clfctl.schedules.greedy import Greedy
from clfctl.schedules.parameters import Parameter, parameters_of
from clfctl.schedules.plateau import Plateau

K = TypeVar("K", bound=Kind)

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
        Greedy,
        Anneal,
        Average,
    )
}


# Names of Hugging Face's that are none of ours: a kind of ours, with their defaults where nothing is stated.
ALIASES: dict[str, tuple[str, dict[str, Any]]] = {
    "cosine-with-restarts": ("cosine-restarts", {"cycles": 1, "every": "batch"}),
    "cosine-with-min-lr": ("cosine", {"every": "batch"}),
    "constant-with-warmup": ("constant", {}),
    "warmup-stable-decay": ("wsd", {"shape": "cosine"}),
    "reduce-lr-on-plateau": ("plateau", {"patience": 10, "factor": 0.1}),
}

# Options are made from these when the program starts; a kind that is added later takes its parameters in expressions.
_WITH_OPTIONS = tuple(KINDS.values())


def register_kind(kind: type[K]) -> type[K]:
    """Add a kind of your own under its name, for training and previews of this process; a decorator.

    Raises UsageError if another kind has the name, or if an expression could not hold it.
    """
    if not dataclasses.is_dataclass(kind):
        raise UsageError(f"{kind.__name__} must be a dataclass, with @dataclass(frozen=True) below @register_kind")
    name = getattr(kind, "name", "")
    if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9-]*", name):
        raise UsageError(f"{name!r} cannot be the name of a kind", "use small letters, digits and dashes")
    if name in (*LIBRARIES, *ALIASES) or KINDS.get(name, kind) is not kind:
        raise UsageError(f"there is a kind {name!r} already", "choose another name")
    KINDS[name] = kind
    return kind


def summary_of(kind: type[Kind]) -> str:
    """Return what a kind does, in one line."""
    return (kind.__doc__ or "").splitlines()[0]


def kinds_with(option: str) -> list[tuple[str, Parameter]]:
    """Return the kinds that an option is for, with the parameter that it sets."""
    return [
        (name, parameter)
        for name, kind in KINDS.items()
        if kind in _WITH_OPTIONS
        for parameter in parameters_of(kind)
        if parameter.option == option
    ]


def kind_options() -> list[str]:
    """Return the names of the options that set a parameter of a kind, each once."""
    return list(dict.fromkeys(each.option for kind in _WITH_OPTIONS for each in parameters_of(kind) if each.option))
