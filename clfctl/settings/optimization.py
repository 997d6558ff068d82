"""Settings of the optimizer and its step."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from clfctl.settings.base import Fraction, Option, Settings
from clfctl.settings.fixed import NEW_STATE

MAX_EPOCHS = 10_000_000

LossName = Literal["cross-entropy", "focal", "bce"]


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
    loss: LossName = "cross-entropy"
    """What is minimized: cross-entropy; `focal`, which looks more at the images that are still hard; or `bce`, in
    which each class is a question of its own."""
    focal_gamma: NonNegativeFloat = 2.0
    """How much less `loss=focal` looks at what is learned already; 0 is cross-entropy."""
    label_smoothing: Fraction = 0.0
    """Share of the target that is spread evenly over all classes."""
    clip_grad: Annotated[NonNegativeFloat, Option(aliases=("grad_clip", "clip_grad_norm"))] = 0.0
    """Largest norm of the gradient, over all parameters; 0 does not clip."""
    accumulate: Annotated[
        PositiveInt, Option(aliases=("accumulate_grad_batches", "grad_accum_steps", "gradient_accumulation_steps"))
    ] = 1
    """Parts that each batch is computed in, one after the other: the gradient of `batch_size=` images in the memory
    of a part. It must divide the batch size."""
