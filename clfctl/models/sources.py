"""Where models come from, and which source has a name. No torch here: TAB and a misspelt name must not cost it."""

from clfctl.errors import UsageError, nearest
from clfctl.models.custom import CustomModels
from clfctl.models.source import ModelSource
from clfctl.models.timm_models import TimmModels

# The first that has a name builds it. A new source is a file of its own, and an entry here.
SOURCES: tuple[ModelSource, ...] = (CustomModels(), TimmModels())


def model_names() -> list[str]:
    """Return the names of all models that can be offered."""
    return [name for source in SOURCES for name in source.names()]


def source_of(name: str) -> ModelSource:
    """Return the source that has a model. Raises UsageError, with the nearest names, if none has."""
    for source in SOURCES:
        if source.has(name):
            return source
    hint = nearest(name.partition(".")[0], model_names()) or ", or ".join(source.hint for source in SOURCES)
    raise UsageError(f"{name!r} is not a model", hint, field="model")
