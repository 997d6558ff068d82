"""What there is to look at, in the folder that the app was started for. No torch, no Streamlit."""

from pathlib import Path

from clfctl.runs.ensemble import find_ensembles, is_ensemble
from clfctl.runs.folder import RunFolder, find_runs


def models_in(source: Path) -> dict[str, Path]:
    """Return what can be asked, runs and then ensembles, each newest first, by names of their own.

    What a page sends back is looked up here: it is never taken for a path.
    """
    if not source.is_dir() or RunFolder(source).config.is_file() or is_ensemble(source):
        return {source.resolve().name: source}
    return {path.name: path for path in (*find_runs(source), *find_ensembles(source))}
