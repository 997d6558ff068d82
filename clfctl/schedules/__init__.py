"""Learning-rate schedules: pure formulas that training and preview evaluate alike. No torch here."""

from clfctl.schedules.base import Schedule
from clfctl.schedules.build import build_schedule, mode_of
from clfctl.schedules.compose import Chain, Warmup
from clfctl.schedules.curve import sample_curve
from clfctl.schedules.kinds import Cosine, Plateau, Step

__all__ = ["Chain", "Cosine", "Plateau", "Schedule", "Step", "Warmup", "build_schedule", "mode_of", "sample_curve"]
