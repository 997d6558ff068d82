"""Settings of the optimizer and its step."""

from typing import Annotated, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from clfctl.settings.base import FieldError, Fraction, Option, Settings, UserPath
from clfctl.settings.fixed import NEW_MOMENTS, NEW_STATE, RATE_FOUND_BEFORE

MAX_EPOCHS = 10_000_000
SHARE = "a number at least 0 and less than 1"
# What `freeze` says for all layers but the classifier.
BACKBONE = "backbone"

# `freeze=2` of Python and TOML is a number.
TextOrNumber = Annotated[str, BeforeValidator(lambda given: str(given) if type(given) is int else given)]

LossName = Literal["cross-entropy", "focal", "bce"]
ScaleLr = Literal["none", "linear", "sqrt"]


class BaseRateSettings(Settings):
    """Optimization"""

    epochs: Annotated[PositiveInt, Field(le=MAX_EPOCHS), Option(short="-e", aliases=("num_epochs",))] = 25
    """Passes over the training images."""
    lr: Annotated[
        PositiveFloat,
        Option(aliases=("learning_rate", "base_lr"), metavar="X|auto", accepts="a number greater than 0, or auto"),
    ] = 1e-4
    """Base learning rate: what warmup ends at and the schedule starts from. `auto`: the same as `find_lr=`."""
    find_lr: Annotated[bool, Option(fixed=RATE_FOUND_BEFORE)] = False
    """Look for the base learning rate before training, by a range test (`clfctl lr-find`) of 20 s at most, and keep
    what is found; where none is found, `lr=` is what it is without."""
    scale_lr: ScaleLr = "none"
    """Scale `lr=` with the batch size, that of all processes together, from `reference_batch=` on: `linear`, as for
    SGD, or with its square root, `sqrt`, as for Adam; `eta_min=` and other rates that are stated stay what they are."""
    reference_batch: Annotated[PositiveInt | None, Option(aliases=("lr_base_size",))] = None
    """Batch size that `lr=` is meant for, where it is scaled: 256 in many papers."""
    optimizer: Annotated[str, Option(aliases=("opt",), values="optimizers", fixed=NEW_STATE)] = "adam"
    """`adam`, `adamw`, `sgd` (momentum 0.9) or any optimizer name of timm, such as `lion`, `muon` or `kron`."""
    weight_decay: NonNegativeFloat = 0.0
    """Weight decay; biases and normalization weights are left out of it."""
    momentum: Annotated[Fraction | None, Option(accepts=SHARE, fixed=NEW_MOMENTS)] = None
    """Momentum of optimizers that have it, such as `sgd` and `muon`; unset: the optimizer's own."""
    beta1: Annotated[Fraction | None, Option(accepts=SHARE, fixed=NEW_MOMENTS)] = None
    """Decay of the optimizer's first moment, of Adam and its relatives; unset: the optimizer's own."""
    beta2: Annotated[Fraction | None, Option(accepts=SHARE, fixed=NEW_MOMENTS)] = None
    """Decay of the optimizer's second moment, of optimizers that have one; unset: the optimizer's own."""

    @model_validator(mode="after")
    def _scales_what_is_stated(self) -> Self:
        if self.scale_lr == "none":
            return self
        if self.find_lr:
            what = "`lr=auto` looks for the rate of the batches as they are, and there is none to be scaled"
            raise FieldError("scale_lr", what, "state a number with `lr=`, or leave `scale_lr=` out")
        if self.reference_batch is None:
            what = f"{self.scale_lr} scaling needs the batch size that `lr={self.lr:g}` is meant for"
            hint = "say it with `reference_batch=`: 256 in many papers, 32 for the default rate here"
            raise FieldError("scale_lr", what, hint)
        return self


class FineTuningSettings(Settings):
    """Fine-tuning"""

    freeze: Annotated[TextOrNumber, Option(metavar="backbone|N|PATTERN")] = ""
    """Parameters that keep their first values: `backbone` (all but the classifier), the first N of the model's layer
    groups, or those whose names match a pattern (`blocks.0.*`, or a regular expression)."""
    unfreeze_at: Annotated[PositiveInt | None, Option(metavar="EPOCHS")] = None
    """Train what is frozen after this many epochs too; unset: never."""
    freeze_batch_norm: Annotated[bool | None, Option(aliases=("freeze_bn",))] = None
    """Batch normalization keeps the mean and variance that it has, in training too; its weights are trained. Unset: yes
    where a classifier was fitted to them before the rest is trained, as with `unfreeze_at=` or from a probe's run."""
    backbone_lr_scale: PositiveFloat = 1.0
    """Learning rate of all but the classifier, as a multiple of `lr=`."""
    layer_decay: Annotated[
        float | None,
        Field(gt=0, lt=1),
        Option(accepts="a number greater than 0 and less than 1, such as 0.75; unset, all layers have one rate"),
    ] = None
    """Learning rate of each layer group as a multiple of the next one's, such as 0.75; the last has `lr=`."""


class OptimizerSettings(FineTuningSettings, BaseRateSettings):
    """Optimization"""

    loss: LossName = "cross-entropy"
    """What is minimized: cross-entropy; `focal`, which looks more at the images that are still hard; or `bce`, in
    which each class is a question of its own."""
    focal_gamma: NonNegativeFloat = 2.0
    """How much less `loss=focal` looks at what is learned already; 0 is cross-entropy."""
    opt_eps: Annotated[
        PositiveFloat | None, Option(aliases=("eps",), accepts="a number greater than 0", fixed=NEW_MOMENTS)
    ] = None
    """What keeps the optimizer from dividing by zero, of optimizers that divide; unset: the optimizer's own."""
    label_smoothing: Fraction = 0.0
    """Share of the target that is spread evenly over all classes."""
    clip_grad: Annotated[NonNegativeFloat, Option(aliases=("grad_clip", "clip_grad_norm"))] = 0.0
    """Largest norm of the gradient, over all parameters; 0 does not clip."""
    accumulate: Annotated[
        PositiveInt, Option(aliases=("accumulate_grad_batches", "grad_accum_steps", "gradient_accumulation_steps"))
    ] = 1
    """Parts that each batch is computed in, one after the other: the gradient of `batch_size=` images in the memory
    of a part. It must divide the batch size."""


class DistillationSettings(Settings):
    """Distillation"""

    distill: Annotated[UserPath | None, Option(aliases=("teacher",), values="trained", metavar="RUN|CHECKPOINT")] = None
    """Learn from a trained model too: a run (its best checkpoint) or a checkpoint file that knows all of the classes.
    It answers for the very views that are trained on."""
    distill_weight: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Share of the loss that is the distance to the teacher's answers; the labels have the rest."""
    distill_temperature: PositiveFloat = 4.0
    """What both models' logits are divided by before they are compared: larger ones show more of what the teacher
    thinks of the wrong classes."""


class AveragingSettings(Settings):
    """Averages of the weights"""

    ema: Fraction = 0.0
    """Decay of a moving average of the weights, such as 0.999, which is evaluated and saved as best in their place; it
    begins small and grows with the steps; 0: no average."""
    soup: Annotated[NonNegativeInt, Field(le=100), Option(accepts="0, or 2 to 100")] = 0
    """Keep the weights of this many best epochs, and at the end save the mean of those that make it better on the
    validation images as best; 0: no soup."""

    @field_validator("soup")
    @classmethod
    def _is_more_than_one(cls, n: int) -> int:
        if n == 1:
            raise FieldError(
                "soup", "a soup of one epoch is that epoch", "use 2 or more, such as `soup=5`, or 0 for none"
            )
        return n
