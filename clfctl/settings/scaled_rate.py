"""The base learning rate that is trained with: `lr=` as it is stated, or scaled with the size of the batches."""

import math
from typing import assert_never

from clfctl.settings.data import ImageSettings
from clfctl.settings.optimization import BaseRateSettings


def base_lr_of(settings: BaseRateSettings) -> float:
    """Return the base learning rate for batches of the size that the settings have.

    `linear`, for SGD: Goyal et al. 2017, arXiv:1706.02677. `sqrt`, for Adam and its like: Malladi et al. 2022,
    arXiv:2205.10287. Settings that have no batch size have nothing to scale with.
    """
    if settings.reference_batch is None or not isinstance(settings, ImageSettings):
        return settings.lr
    ratio = settings.batch_size / settings.reference_batch
    match settings.scale_lr:
        case "none":
            return settings.lr
        case "linear":
            return settings.lr * ratio
        case "sqrt":
            return settings.lr * math.sqrt(ratio)
    assert_never(settings.scale_lr)


def about_scaled(settings: BaseRateSettings) -> str:
    """Return what rate is trained with in the place of the stated one, empty if that one is."""
    if settings.scale_lr == "none" or not isinstance(settings, ImageSettings):
        return ""
    meant = f"`lr={settings.lr:g}` is meant for batches of {settings.reference_batch} images"
    return f"{meant}, and these have {settings.batch_size}: {base_lr_of(settings):.6g} (`scale_lr={settings.scale_lr}`)"
