"""From a model's name and settings to a network, whatever source it comes from."""

from dataclasses import replace
from functools import partial

from torch import nn

from clfctl.models.built import Built
from clfctl.models.sources import source_of
from clfctl.models.weights import load_weights
from clfctl.models.which import what_fits
from clfctl.settings.data import FitSetting
from clfctl.settings.image_size import Auto, ImageSize
from clfctl.settings.network import ModelSettings


def build_model(
    settings: ModelSettings,
    n_classes: int,
    image_size: ImageSize | Auto = "auto",
    *,
    fit: FitSetting = "auto",
    is_small: bool = False,
) -> Built:
    """Return the model with a head of `n_classes`, filled as the settings say.

    It sees what it was made to see, but for an `image_size` and a `fit` that are stated, which may be "auto".
    `is_small` data is seen whole, not by its centre. Raises UsageError for a model or size that there is not,
    ModelError if weights cannot be had or do not fit.
    """
    source = source_of(settings.model)
    built = source.build(settings, n_classes, image_size)
    if fit != "auto":
        built = built.fitting(fit)
    if is_small:
        built = built.seeing_all()
    if settings.weights:
        adapt, explain = partial(source.adapted, built.model), partial(what_fits, stated=settings.model)
        loaded = load_weights(built.model, settings.weights, source.head(built.model), adapt, explain)
        built = replace(built, origin=f"{settings.weights}{loaded}")
    return built


def rebuild_model(name: str, n_classes: int, settings: ModelSettings, image_size: ImageSize) -> nn.Module:
    """Return the model called `name` without weights worth keeping: to be filled from a checkpoint."""
    return source_of(name).rebuild(name, n_classes, settings, image_size)
