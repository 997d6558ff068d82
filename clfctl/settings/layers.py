"""Settings divided by where they come from, so that others can be put above or between them."""

from typing import Any

from clfctl.settings.sources import Layer, Resolved


def layers_of(resolved: Resolved[Any]) -> list[Layer]:
    """Return the values of settings by their sources, the strongest first; `from_layers` makes the same of them."""
    stated = resolved.settings.model_fields_set
    layers = []
    for rank in sorted({resolved.ranks[name] for name in stated}):
        names = [name for name in resolved.ranks if name in stated and resolved.ranks[name] == rank]
        layers.append(Layer(resolved.origins[names[0]], {name: getattr(resolved.settings, name) for name in names}))
    return layers
