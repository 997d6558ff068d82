"""Train image classifiers from the command line or from Python, with a learning rate that is never a surprise.

What stands here is the library. A name is imported when it is first used, so that `import clfctl` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from clfctl.version import __version__

if TYPE_CHECKING:
    from clfctl.api import (
        Preview,
        Trained,
        evaluate,
        export,
        predict,
        preview,
        resume,
        train,
    )
    from clfctl.api.branching import branch
    from clfctl.api.comparing import compare
    from clfctl.api.ensembling import ensemble
    from clfctl.api.explaining import explain
    from clfctl.api.tuning import tune
    from clfctl.comparing.comparison import Comparison
    from clfctl.engine.watching import Steps, Training, Watcher
    from clfctl.ensembles.make import MadeEnsemble
    from clfctl.errors import (
        CheckpointError,
        ClfctlError,
        DamagedError,
        DataError,
        Interrupted,
        ModelError,
        NonFiniteLossError,
        RunLockedError,
        UsageError,
        WriteError,
    )
    from clfctl.evaluation.record import Evaluation
    from clfctl.explaining.explanation import Explanation
    from clfctl.inference.prediction import Prediction
    from clfctl.inference.write_onnx import Exported
    from clfctl.runs.history import EpochResult
    from clfctl.schedules.base import Schedule
    from clfctl.schedules.compose import Chain, Warmup
    from clfctl.schedules.curves import WSD, Cosine, CosineRestarts, Linear, OneCycle, Polynomial
    from clfctl.schedules.decays import Constant, Exponential, InverseSqrt, MultiStep, Step
    from clfctl.schedules.greedy import Greedy
    from clfctl.schedules.plateau import Plateau
    from clfctl.settings.groups import EvalSettings, PlanSettings, TrainSettings
    from clfctl.tuning.found import TrialFound, Tuned

__all__ = [
    "WSD",
    "Chain",
    "CheckpointError",
    "ClfctlError",
    "Comparison",
    "Constant",
    "Cosine",
    "CosineRestarts",
    "DamagedError",
    "DataError",
    "EpochResult",
    "EvalSettings",
    "Evaluation",
    "Explanation",
    "Exponential",
    "Exported",
    "Greedy",
    "Interrupted",
    "InverseSqrt",
    "Linear",
    "MadeEnsemble",
    "ModelError",
    "MultiStep",
    "NonFiniteLossError",
    "OneCycle",
    "PlanSettings",
    "Plateau",
    "Polynomial",
    "Prediction",
    "Preview",
    "ProbeSettings",
    "Probed",
    "Probing",
    "RateFinding",
    "RunLockedError",
    "Schedule",
    "Step",
    "Steps",
    "Suggestion",
    "Sweep",
    "TrainSettings",
    "Trained",
    "Training",
    "TrialFound",
    "Tuned",
    "UsageError",
    "Warmup",
    "Watcher",
    "WriteError",
    "__version__",
    "branch",
    "compare",
    "ensemble",
    "evaluate",
    "explain",
    "export",
    "find_lr",
    "predict",
    "preview",
    "probe",
    "resume",
    "train",
    "tune",
]

_HOMES = {
    "clfctl.api": ("Preview", "Trained", "evaluate", "export", "predict", "preview", "resume", "train"),
    "clfctl.api.branching": ("branch",),
    "clfctl.api.comparing": ("compare",),
    "clfctl.api.ensembling": ("ensemble",),
    "clfctl.api.explaining": ("explain",),
    "clfctl.api.finding": ("find_lr",),
    "clfctl.api.probing": ("probe",),
    "clfctl.api.tuning": ("tune",),
    "clfctl.comparing.comparison": ("Comparison",),
    "clfctl.ensembles.make": ("MadeEnsemble",),
    "clfctl.engine.watching": ("Steps", "Training", "Watcher"),
    "clfctl.errors": (
        "CheckpointError", "ClfctlError", "DamagedError", "DataError", "Interrupted", "ModelError",
        "NonFiniteLossError", "RunLockedError", "UsageError", "WriteError",
    ),
    "clfctl.evaluation.record": ("Evaluation",),
    "clfctl.explaining.explanation": ("Explanation",),
    "clfctl.finding.found": ("RateFinding", "Suggestion"),
    "clfctl.finding.sweep": ("Sweep",),
    "clfctl.inference.prediction": ("Prediction",),
    "clfctl.inference.write_onnx": ("Exported",),
    "clfctl.probing.found": ("Probed", "Probing"),
    "clfctl.runs.history": ("EpochResult",),
    "clfctl.schedules.greedy": ("Greedy",),
    "clfctl.schedules": (
        "WSD", "Chain", "Constant", "Cosine", "CosineRestarts", "Exponential", "InverseSqrt", "Linear", "MultiStep",
        "OneCycle", "Plateau", "Polynomial", "Schedule", "Step", "Warmup",
    ),
    "clfctl.settings.groups": ("EvalSettings", "PlanSettings", "ProbeSettings", "TrainSettings"),
    "clfctl.tuning.found": ("TrialFound", "Tuned"),
}  # fmt: skip
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a name of the library when it is first asked for."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return what TAB offers in a notebook."""
    return __all__
