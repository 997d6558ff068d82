"""Settings of the optimizer and its step."""

from typing import Annotated

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from clfctl.settings.base import Fraction, Option, Settings
from clfctl.settings.fixed import NEW_STATE

MAX_EPOCHS = 10_000_000


class BaseRateSettings(Settings):
    """Optimization"""

    epochs: Annotated[PositiveInt, Field(le=MAX_EPOCHS), Option(short="-e", aliases=("num_epochs",))] = 25
    """Passes over the training images."""
    lr: Annotated[PositiveFloat, Option(aliases=("learning_rate", "base_lr"))] = 1e-4
    """Base learning rate: what warmup ends at and the schedule starts from."""
    optimizer: Annotated[str, Option(aliases=("opt",), values="optimizers", fixed=NEW_STATE)] = "adam"
    """`adam`, `adamw`, `sgd` (momentum 0.9) or any optimizer name of timm."""


class OptimizerSettings(BaseRateSettings):
    """Optimization"""

    weight_decay: NonNegativeFloat = 0.0
    """Weight decay; biases and normalization weights are left out of it."""
    label_smoothing: Fraction = 0.0
    """Share of the target that is spread evenly over all classes."""
    clip_grad: Annotated[NonNegativeFloat, Option(aliases=("grad_clip", "clip_grad_norm"))] = 0.0
    """Largest norm of the gradient, over all parameters; 0 does not clip."""
