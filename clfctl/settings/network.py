"""Settings of the network, and where its first weights come from."""

from typing import Annotated

from clfctl.settings.base import Fraction, Option, Settings, UserPath
from clfctl.settings.fixed import NEW_WEIGHTS


class NetworkSettings(Settings):
    """Model"""

    model: Annotated[str, Option(short="-m", values="models", fixed=NEW_WEIGHTS)] = "custom"
    """`custom`, `resnet9_small` or `resnet9` (for images of 28 to 64 pixels), `efficientnet_b0` or any other timm model
    name."""
    dropout: Annotated[Fraction, Option(aliases=("drop_rate",))] = 0.0
    """Share of the features before the classifier that each training step leaves out."""
    drop_path: Annotated[Fraction, Option(aliases=("drop_path_rate",))] = 0.0
    """Largest share of images for which a training step skips a block (stochastic depth); timm models that have it."""


class WeightsSettings(Settings):
    """Model"""

    pretrained: Annotated[bool | None, Option(fixed=NEW_WEIGHTS)] = None
    """Start from the model's published weights; unset: yes for every timm model that has them."""
    weights: Annotated[UserPath | None, Option(values="files", fixed=NEW_WEIGHTS)] = None
    """Start from the weights in this file (.safetensors, .pth, .pt); a classifier of another size is replaced by a new
    one."""


class ModelSettings(WeightsSettings, NetworkSettings):
    """Model"""

    start_from: Annotated[
        UserPath | None,
        Option(spelling="from", aliases=("from",), values="trained", metavar="RUN|CHECKPOINT", fixed=NEW_WEIGHTS),
    ] = None
    """Start from the model of a run (its best checkpoint) or of a checkpoint file, whatever classes it has: those of
    the same name keep their part of the classifier. Model and image size are taken over unless stated."""
