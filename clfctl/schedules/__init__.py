"""Learning-rate schedules: pure formulas that training and preview evaluate alike. No torch here, and no settings."""

from clfctl.schedules.base import Kind, Mode, Part, Schedule, Span, before
from clfctl.schedules.by_name import ByName
from clfctl.schedules.catalog import KINDS
from clfctl.schedules.compose import Chain, Cooldown, Restart, Scaled, Warmup
from clfctl.schedules.curve import sample_curve
from clfctl.schedules.expression import Expression, ExpressionError, parse_expression
from clfctl.schedules.kinds import (
    WSD,
    Constant,
    Cosine,
    CosineRestarts,
    Exponential,
    InverseSqrt,
    Linear,
    MultiStep,
    OneCycle,
    Polynomial,
    Step,
)
from clfctl.schedules.plateau import Plateau

__all__ = [
    "KINDS",
    "WSD",
    "ByName",
    "Chain",
    "Constant",
    "Cooldown",
    "Cosine",
    "CosineRestarts",
    "Exponential",
    "Expression",
    "ExpressionError",
    "InverseSqrt",
    "Kind",
    "Linear",
    "Mode",
    "MultiStep",
    "OneCycle",
    "Part",
    "Plateau",
    "Polynomial",
    "Restart",
    "Scaled",
    "Schedule",
    "Span",
    "Step",
    "Warmup",
    "before",
    "parse_expression",
    "sample_curve",
]
