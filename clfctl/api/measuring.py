"""How good a model is, for the library and the command: a checkpoint of a run, or an ensemble."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from clfctl.errors import UsageError
from clfctl.runs.folder import CHECKPOINT_SUFFIX, ONNX_SUFFIX, RunFolder, checkpoint_file, open_run
from clfctl.settings.groups import EvalSettings

if TYPE_CHECKING:
    from clfctl.data.onlookers import Onlookers
    from clfctl.inference.evaluate import Measured
    from clfctl.runs.ensemble import Model


def measured(model: "Model", options: EvalSettings, to: "Onlookers") -> "Measured":
    """Measure a checkpoint of a run, or an ensemble, and return the evaluation with all that it was made of."""
    from clfctl.runs.ensemble import ensemble_in

    if ensemble := ensemble_in(model):
        from clfctl.engine.as_it_was import as_it_was
        from clfctl.ensembles.evaluate import evaluate_ensemble

        with as_it_was(options.device or "auto"):
            return evaluate_ensemble(ensemble, options, to)
    assert isinstance(model, Path)
    path, run = model, _run_measured(model)
    # A checkpoint that is named in the place of its run is the one that is meant.
    is_named = path.is_file() and path.suffix == CHECKPOINT_SUFFIX and options.checkpoint == "best"
    file = checkpoint_file(run, str(path) if is_named else options.checkpoint)
    from clfctl.engine.as_it_was import as_it_was
    from clfctl.inference.evaluate import evaluate_checkpoint

    with as_it_was(options.device or "auto"):
        found = evaluate_checkpoint(run, file, options, to)
    if not _is_onnx(path):
        return found
    from clfctl.evaluation.predictions import readable

    note = f"What is measured is the checkpoint {file}, not {path}."
    to.tell(note)
    return replace(found, evaluation=replace(found.evaluation, notes=(*found.evaluation.notes, readable(note))))


def _run_measured(path: Path) -> RunFolder:
    """Return the run to measure, or that in which a file lies. Raises UsageError if there is none."""
    from clfctl.runs.ensemble import find_ensembles

    try:
        return open_run(path, find_ensembles)
    except UsageError:
        if not _is_onnx(path):
            raise
    hint = "name the run or the ensemble that it was exported from"
    raise UsageError(f"{path} lies in no run: there is no checkpoint to measure", hint)


def _is_onnx(path: Path) -> bool:
    return path.suffix == ONNX_SUFFIX and path.is_file()
