"""Values offered on TAB, from caches and folders: nothing heavy is imported, and nothing here may fail."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import get_args

import typer

# What a checkpoint calls the tensors of its model.
MODEL_TENSORS = "model."
OPTIMIZERS = ("adam", "adamw", "sgd", "rmsprop", "nadam", "lamb", "lion", "adafactor", "muon")


def offer(values: str | None, choices: tuple[str, ...]) -> Callable[[str], list[str]] | None:
    """Return the completer for a kind of value or for given choices; None where the shell completes files itself."""
    if choices:
        return lambda incomplete: _starting(choices, incomplete)
    return COMPLETERS.get(values or "")


def models(incomplete: str) -> list[str]:
    """Offer model names, from the cache of timm's list."""
    from clfctl.models.sources import model_names

    return _starting(model_names(), incomplete)


def recipes(incomplete: str) -> list[str]:
    """Offer the recipes."""
    from clfctl.settings.sources import recipe_names

    return _starting(recipe_names(), incomplete)


def data_sets(incomplete: str) -> list[str]:
    """Offer the data sets known by name, folders, tables and shards."""
    from clfctl.data.sources.names import DATA_NAMES, SHARDS

    return _starting(DATA_NAMES, incomplete) + tables(incomplete) + _entries(incomplete, SHARDS)


def schedules(incomplete: str) -> list[str]:
    """Offer the kinds of schedule."""
    from clfctl.schedules.catalog import KINDS

    return _starting(KINDS, incomplete)


def subjects(incomplete: str) -> list[str]:
    """Offer what can be previewed: kinds of schedule and run folders."""
    return schedules(incomplete) or runs(incomplete)


def formats(incomplete: str) -> list[str]:
    """Offer the formats of a preview."""
    from clfctl.display.preview import FORMATS

    return _starting(FORMATS, incomplete)


def parameters(incomplete: str) -> list[str]:
    """Offer what a preview can draw."""
    from clfctl.planning.preview.parameter import QUANTITIES

    return _starting(QUANTITIES, incomplete)


def rivals(incomplete: str) -> list[str]:
    """Offer the loaders that ours can be compared with."""
    from clfctl.data.sources.names import RIVALS

    return _starting(RIVALS, incomplete)


def optimizers(incomplete: str) -> list[str]:
    """Offer the most used optimizers; any name of timm's is accepted."""
    return _starting(OPTIMIZERS, incomplete)


def metrics(incomplete: str) -> list[str]:
    """Offer the metrics of an epoch."""
    from clfctl.evaluation.epoch_metrics import METRICS

    return _starting(METRICS, incomplete)


def sorts(incomplete: str) -> list[str]:
    """Offer what compared runs can be sorted by."""
    from clfctl.comparing.comparison import NAME, sort_modes

    return _starting((NAME, *sort_modes()), incomplete)


def trackers(incomplete: str) -> list[str]:
    """Offer trackers, also after a comma."""
    from clfctl.settings.tracked import TRACKERS

    before, comma, last = incomplete.rpartition(",")
    return [before + comma + name for name in _starting(TRACKERS, last) if name not in before.split(",")]


def ways(incomplete: str) -> list[str]:
    """Offer the ways in which the rate of a longer run goes on."""
    from clfctl.settings.extending import Way

    return _starting(get_args(Way), incomplete)


def runs(incomplete: str) -> list[str]:
    """Offer the run folders that exist under runs/, newest first."""
    from clfctl.runs.folder import find_runs

    found = [str(run) for run in find_runs(Path("runs"))]
    return _starting(found, incomplete) or folders(incomplete)


def checkpoints(incomplete: str) -> list[str]:
    """Offer which checkpoint of a run to take, and files."""
    return _starting(("best", "last"), incomplete) + folders(incomplete) + _entries(incomplete, (".safetensors",))


def trained(incomplete: str) -> list[str]:
    """Offer what can be asked about images: runs, ensembles, and files of models."""
    from clfctl.runs.folder import CHECKPOINT_SUFFIX, ONNX_SUFFIX

    return [*measurable(incomplete), *_entries(incomplete, (ONNX_SUFFIX, CHECKPOINT_SUFFIX))]


def exportable(incomplete: str) -> list[str]:
    """Offer runs, ensembles and checkpoints."""
    return [*measurable(incomplete), *_entries(incomplete, (".safetensors",))]


def with_checkpoints(incomplete: str) -> list[str]:
    """Offer runs and checkpoints, such as another network may learn from."""
    return [*runs(incomplete), *_entries(incomplete, (".safetensors",))]


def measurable(incomplete: str) -> list[str]:
    """Offer the runs that exist under runs/, newest first, and the ensembles."""
    from clfctl.runs.ensemble import find_ensembles
    from clfctl.runs.folder import find_runs

    found = [str(each) for each in (*find_runs(Path("runs")), *find_ensembles(Path("runs")))]
    return _starting(found, incomplete) or folders(incomplete)


def prediction_formats(incomplete: str) -> list[str]:
    """Offer the formats of predictions."""
    from clfctl.commands.predict_options import FORMATS

    return _starting(FORMATS, incomplete)


def explaining_methods(incomplete: str) -> list[str]:
    """Offer the methods that make heat maps."""
    from clfctl.explaining.methods import METHODS

    return _starting(METHODS, incomplete)


def classes_of_run(context: typer.Context, incomplete: str) -> list[str]:
    """Offer the classes of the run that is named before."""
    from clfctl.runs.header import read_header

    checkpoint = _checkpoint_of(context)
    return _starting(read_header(checkpoint).classes, incomplete) if checkpoint else []


def layers_of_run(context: typer.Context, incomplete: str) -> list[str]:
    """Offer the layers of the run that is named before, from the names of its tensors: those one level further down."""
    from clfctl.storage.tensor_file import read_header

    checkpoint = _checkpoint_of(context)
    if checkpoint is None:
        return []
    with checkpoint.open("rb") as file:
        entries = read_header(file).entries
    names = [entry.name.removeprefix(MODEL_TENSORS) for entry in entries if entry.name.startswith(MODEL_TENSORS)]
    level = incomplete.count(".") + 1
    layers = (name.split(".")[:-1] for name in names)
    return _starting(list(dict.fromkeys(".".join(each[:level]) for each in layers if len(each) >= level)), incomplete)


def _checkpoint_of(context: typer.Context) -> Path | None:
    """Return the checkpoint that answers for the run among the words of a command line, if it is there."""
    from clfctl.runs.folder import CHECKPOINT_SUFFIX, RunFolder

    path = Path(context.params.get("run") or "")
    file = RunFolder(path).chosen if path.is_dir() else path
    return file if file.suffix == CHECKPOINT_SUFFIX and file.is_file() else None


def folders(incomplete: str) -> list[str]:
    """Offer folders."""
    return _entries(incomplete)


def tables(incomplete: str) -> list[str]:
    """Offer folders and tables of images."""
    from clfctl.data.sources.names import TABLES

    return folders(incomplete) + _entries(incomplete, TABLES)


def _entries(incomplete: str, suffixes: tuple[str, ...] = ()) -> list[str]:
    """Return the files that end so, in any case, or without suffixes the folders, each with a slash."""
    path = Path(incomplete or ".")
    parent = path if incomplete.endswith("/") or not incomplete else path.parent
    try:
        entries = sorted(entry for entry in parent.iterdir() if not entry.name.startswith("."))
    except OSError:
        return []
    if suffixes:
        return _starting([str(entry) for entry in entries if entry.name.lower().endswith(suffixes)], incomplete)
    return _starting([f"{entry}/" for entry in entries if entry.is_dir()], incomplete)


def _starting(words: Iterable[str], start: str) -> list[str]:
    return [word for word in words if word.startswith(start)]


COMPLETERS: dict[str, Callable[[str], list[str]]] = {
    "models": models,
    "recipes": recipes,
    "schedules": schedules,
    "data": data_sets,
    "optimizers": optimizers,
    "runs": runs,
    "folders": folders,
    "checkpoints": checkpoints,
    "trained": with_checkpoints,
    "metrics": metrics,
    "trackers": trackers,
    "ways": ways,
}
