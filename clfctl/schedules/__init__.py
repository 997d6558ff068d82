"""Learning-rate schedules: pure formulas that training and preview evaluate alike. No torch here, and no settings."""

from clfctl.schedules.averaging import Average, averages_from
from clfctl.schedules.base import Kind, Mode, Rate, Schedule, Segment, Span, before
from clfctl.schedules.by_name import ByName
from clfctl.schedules.catalog import KINDS, register_kind
from clfctl.schedules.compose import Chain, Restart, Scaled, Warmup
from clfctl.schedules.cooldown import Anneal, Cooldown
from clfctl.schedules.curves import WSD, Cosine, CosineRestarts, Linear, OneCycle, Polynomial
from clfctl.schedules.decays import Constant, Exponential, InverseSqrt, MultiStep, Step
from clfctl.schedules.expression import Expression, ExpressionError, parse_expression
from clfctl.schedules.greedy import Greedy
from clfctl.schedules.momentum import momentum_of
from clfctl.schedules.plateau import Plateau
from clfctl.schedules.recorded import Recorded, Window, windows_of
from clfctl.schedules.sampling import sample_curve
from clfctl.schedules.stable import StableWarmup

__all__ = [
    "KINDS",
    "WSD",
    "Anneal",
    "Average",
    "ByName",
    "Chain",
    "Constant",
    "Cooldown",
    "Cosine",
    "CosineRestarts",
    "Exponential",
    "Expression",
    "ExpressionError",
    "Greedy",
    "InverseSqrt",
    "Kind",
    "Linear",
    "Mode",
    "MultiStep",
    "OneCycle",
    "Plateau",
    "Polynomial",
    "Rate",
    "Recorded",
    "Restart",
    "Scaled",
    "Schedule",
    "Segment",
    "Span",
    "StableWarmup",
    "Step",
    "Warmup",
    "Window",
    "averages_from",
    "before",
    "momentum_of",
    "parse_expression",
    "register_kind",
    "sample_curve",
    "windows_of",
]
