"""Momentum, betas and epsilon as the settings state them, by the names that an optimizer's class has for them."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch.optim import Optimizer

from clfctl.errors import UsageError
from clfctl.settings.optimization import OptimizerSettings

# Betas that stand in one tuple, by their place in it.
_PLACES = {"beta1": 0, "beta2": 1}
# Names of classes for what a setting means. RMSprop calls the decay of its second moment alpha.
_NAMES = {"momentum": "momentum", "opt_eps": "eps", "beta1": "beta1", "beta2": "alpha"}


def stated_options(
    settings: OptimizerSettings, kind: Callable[..., Optimizer], preset: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return what the settings state, as keywords of the optimizer's class; what they do not state is left out.

    `preset` is what the optimizer's name stands for beside its class. Raises UsageError for a setting that the class
    has no parameter for.
    """
    own = {name: each.default for name, each in inspect.signature(kind).parameters.items()}
    defaults, takes = own | dict(preset or {}), fields_of(own)
    found: dict[str, Any] = {}
    for field in ("momentum", "beta1", "beta2", "opt_eps"):
        value = getattr(settings, field)
        if value is None:
            continue
        if field not in takes:
            others = " and ".join(f"`{each}=`" for each in takes)
            hint = f"leave `{field}=` out" + (f"; it has {others}" if others else "")
            raise UsageError(f"{settings.optimizer} has no such parameter", hint, field=field)
        if field in _PLACES and "betas" in own:
            # Adafactor has no first moment unless it is stated, and the second beta is never read.
            betas = list(found.get("betas", defaults["betas"] or (value, 0.999)))
            betas[_PLACES[field]] = value
            found["betas"] = tuple(betas)
        else:
            found[_NAMES[field]] = value
    return found


def fields_of(defaults: Mapping[str, Any]) -> list[str]:
    """Return the settings that an optimizer's class, of such defaults, has parameters for."""
    of_betas = ("beta1", "beta2") if isinstance(defaults.get("betas"), tuple) else ("beta1",)
    betas = of_betas if "betas" in defaults else ()
    return [field for field, name in _NAMES.items() if field in betas or name in defaults]
