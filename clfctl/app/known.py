"""What there is to look at, in the folder that the app was started for. No torch, no Streamlit."""

from functools import lru_cache
from pathlib import Path

from clfctl.errors import ClfctlError
from clfctl.evaluation.epoch_metrics import METRICS
from clfctl.runs.ensemble import find_ensembles, is_ensemble, read_ensemble
from clfctl.runs.folder import RunFolder, find_runs
from clfctl.runs.state import state_of
from clfctl.settings.ensembles import IN_WORDS
from clfctl.storage.files import reason_of
from clfctl.storage.tensor_file import read_metadata

# Runs whose state is remembered until their files change.
MOST_REMEMBERED = 1024


def models_in(source: Path) -> dict[str, Path]:
    """Return what can be asked, runs and then ensembles, each newest first, by names of their own.

    What a page sends back is looked up here: it is never taken for a path.
    """
    if not source.is_dir() or RunFolder(source).config.is_file() or is_ensemble(source):
        return {source.resolve().name: source}
    return {path.name: path for path in (*find_runs(source), *find_ensembles(source))}


def about(path: Path) -> str:
    """Return in a few words how good a run is, or what an ensemble is; empty for a file, or where that is not known."""
    if is_ensemble(path):
        return "" if why_not(path) else _rule_of(path)
    return _how_good(path, _stamps(path)) if RunFolder(path).config.is_file() else ""


def why_not(path: Path) -> str:
    """Return why the model of a run or an ensemble cannot be asked, empty where nothing is known against it."""
    if is_ensemble(path):
        try:
            read_ensemble(path)
        except ClfctlError as error:
            return error.message
        return ""
    run = RunFolder(path)
    if not run.config.is_file() or run.onnx.is_file():
        return ""
    state = state_of(run)
    if state.state == "broken":
        return state.why
    try:
        read_metadata(run.chosen)
    except (OSError, ValueError) as error:
        return f"{run.chosen.name}: {reason_of(error) if isinstance(error, OSError) else error}"
    return ""


def _rule_of(path: Path) -> str:
    found = read_ensemble(path)
    return f"{IN_WORDS[found.rule]} of {len(found.members)}"


@lru_cache(maxsize=MOST_REMEMBERED)
def _how_good(path: Path, stamps: tuple[int, ...]) -> str:  # noqa: ARG001 (other stamps are another state)
    state = state_of(RunFolder(path))
    metric = METRICS.get(state.best_metric or "")
    if state.best is None or metric is None:
        return state.state
    value = f"{100 * state.best:.1f} %" if metric.kind == "share" else f"{state.best:.4g}"
    return f"{metric.title} {value}"


def _stamps(path: Path) -> tuple[int, ...]:
    run = RunFolder(path)
    return tuple(file.stat().st_mtime_ns for file in (run.last, run.history, run.end) if file.is_file())
