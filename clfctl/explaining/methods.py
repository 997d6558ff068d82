"""The methods that make heat maps, by name. No torch here: TAB and a misspelt name must not cost it."""

import importlib.util
from dataclasses import dataclass

from clfctl.errors import ModelError, UsageError, nearest

PACKAGE = "captum"
INSTALL = "install it with: pip install 'clfctl[explain]'"


@dataclass(frozen=True)
class Method:
    """A way to a map: of the layer that was looked at, or of the image itself; `words` say what a map shows.

    `needs_gradients` is false of what asks the model and nothing else; what `needs_package` is captum's.
    """

    name: str
    words: str
    of_layer: bool = True
    needs_gradients: bool = True
    needs_package: bool = False


METHODS = {
    each.name: each
    for each in (
        Method("gradcam", "where the layer's features speak for the class, weighted by their mean gradient"),
        Method("gradcam++", "as gradcam, weighted by positive gradients alone: several objects of one class"),
        Method("layercam", "as gradcam, weighted place by place: also for earlier layers, with finer maps"),
        Method("eigencam", "what the layer's features have most in common, whatever the class", needs_gradients=False),
        Method(
            "integrated-gradients",
            "how much each pixel adds to the class, from the mean colour to the image",
            of_layer=False,
            needs_package=True,
        ),
        Method(
            "occlusion",
            "by how much the probability falls where a window is covered",
            of_layer=False,
            needs_gradients=False,
            needs_package=True,
        ),
    )
}
DEFAULT = "gradcam"


def method_of(name: str) -> Method:
    """Return a method by its name. Raises UsageError for an unknown one, ModelError if its package is missing."""
    plain = name.lower().replace("_", "-")
    if plain not in METHODS:
        hint = nearest(plain, METHODS) or f"there are {', '.join(METHODS)}"
        raise UsageError(f"{name!r} is not a method", hint, field="method")
    method = METHODS[plain]
    if method.needs_package and importlib.util.find_spec(PACKAGE) is None:
        raise ModelError(f"{plain} needs {PACKAGE}, which cannot be found", INSTALL, field="method")
    return method
