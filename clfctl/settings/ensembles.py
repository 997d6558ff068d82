"""How several models answer as one, and where an ensemble is kept."""

from typing import Annotated, Literal, get_args

from clfctl.settings.base import Option, Settings, UserPath, UserText
from clfctl.settings.running import RunNameSettings

Rule = Literal["mean", "vote", "weighted", "geometric"]
RULES: tuple[Rule, ...] = get_args(Rule)
USUAL: Rule = "mean"
IN_WORDS: dict[Rule, str] = {
    "mean": "mean",
    "vote": "vote",
    "weighted": "weighted mean",
    "geometric": "geometric mean",
}


class EnsembleSettings(Settings):
    """Ensemble"""

    ensemble: Annotated[Rule | None, Option(metavar="mean|vote|weighted|geometric")] = None
    """How several runs answer as one: by the `mean` of their probabilities, by `vote`, by a mean whose weights are
    fitted on validation images (`weighted`), or by the `geometric` mean; unset: `mean`."""


class KeptEnsembleSettings(EnsembleSettings, RunNameSettings):
    """Ensemble"""

    runs_dir: Annotated[UserPath | None, Option(values="folders")] = None  # type: ignore[assignment]  # has a default
    """Folder that the ensemble is made in; unset: where the first run is."""
    data: Annotated[UserText | None, Option(short="-d", values="data", metavar="NAME|DIR|FILE")] = None
    """Where the images of the runs are now, to fit weights on; unset: where they were."""
    device: str | None = None
    """`cpu`, `cuda`, `cuda:1`, `mps`; unset: what the runs were trained with."""
    export: bool = True
    """Write model.onnx too, so that `clfctl predict` needs no torch; needs the extra `onnx`."""
