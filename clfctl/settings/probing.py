"""Settings of a probe: which networks, and how many views of an image."""

from typing import Annotated

from pydantic import BeforeValidator, Field, PositiveFloat, field_validator

from clfctl.settings.base import FieldError, Option
from clfctl.settings.data import ImageSettings
from clfctl.settings.network import WeightsSettings
from clfctl.settings.running import MachineSettings, RunNameSettings


def _listed(value: object) -> object:
    """Return the names of `a,b`, or of a list of such texts."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list | tuple):
        return value
    return [name.strip() for text in texts for name in str(text).split(",") if name.strip()]


class ProbeSettings(RunNameSettings, MachineSettings, WeightsSettings, ImageSettings):
    """A probe"""

    model: Annotated[
        tuple[str, ...],
        BeforeValidator(_listed),
        Option(short="-m", metavar="NAME|RUN", accepts="names of models, or run folders"),
    ] = ("efficientnet_b0",)
    """Networks to probe: timm models or runs; give it several times, or names separated by commas, to compare them."""
    views: Annotated[int, Field(ge=1, le=12)] = 2
    """Views of each training image that the classifier is fitted on, 1 to 12: 2 adds the mirror image, more add closer
    crops. Validation images are seen once, as they are."""
    c: Annotated[PositiveFloat | None, Option(accepts="a number greater than 0, such as 0.003")] = None
    """Inverse strength of the regularization of the classifier; unset: chosen by cross-validation."""

    @field_validator("model")
    @classmethod
    def _is_named(cls, models: tuple[str, ...]) -> tuple[str, ...]:
        if not models or len(set(models)) < len(models):
            given = ", ".join(models) or "nothing"
            raise FieldError("model", f"{given} is given", "name one network or more, each once")
        return models
