"""Several trained models kept as one, from Python."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clfctl.api.notes import Notes
from clfctl.settings.ensembles import KeptEnsembleSettings
from clfctl.settings.sources import from_fields

if TYPE_CHECKING:
    from clfctl.data.onlookers import Onlookers
    from clfctl.ensembles.make import MadeEnsemble


def ensemble(runs: Sequence[Path | str], **fields: Any) -> "MadeEnsemble":
    """Keep several runs, or checkpoints, as one model in a folder of its own, which every command takes.

    `fields` are `ensemble=` (`"mean"` unless given, `"vote"`, `"weighted"` or `"geometric"`), `run_name=`, `runs_dir=`,
    `data=`, `device=` and `export=`. The weights of `"weighted"` are fitted on the validation images that all runs hold
    out.
    """
    options = from_fields(KeptEnsembleSettings, fields).settings
    return made([Path(run) for run in runs], options, Notes().onlookers())


def made(runs: Sequence[Path], options: KeptEnsembleSettings, to: "Onlookers") -> "MadeEnsemble":
    """Make an ensemble as the settings say; see `ensemble`."""
    from clfctl.runs.ensemble import check_members

    check_members(runs)
    from clfctl.engine.as_it_was import as_it_was
    from clfctl.ensembles.make import make_ensemble

    with as_it_was(options.device or "auto"):
        return make_ensemble(runs, options, to)
