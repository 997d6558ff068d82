"""What a call names to be asked: one model, or several that answer as one."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clfctl.settings.ensembles import EnsembleSettings
from clfctl.settings.sources import from_fields

if TYPE_CHECKING:
    from clfctl.runs.ensemble import Model

Named = Path | str | Sequence[Path | str]


def model_named(model: Named, ensemble: str | None, *, fits: bool = False) -> "Model":
    """Return what is to be asked, of one path or several; see `model_from`. Raises UsageError."""
    from clfctl.runs.ensemble import model_from

    rule = from_fields(EnsembleSettings, {"ensemble": ensemble}).settings.ensemble
    return model_from([Path(each) for each in ([model] if isinstance(model, Path | str) else model)], rule, fits=fits)
