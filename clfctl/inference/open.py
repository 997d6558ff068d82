"""From what the user names to a model that can be asked: ONNX Runtime where it may answer, torch where it must."""

from collections.abc import Callable, Sequence
from pathlib import Path

from clfctl.errors import CheckpointError, ModelError, UsageError
from clfctl.inference.packages import has_runtime
from clfctl.inference.predictor import Predictor
from clfctl.runs.ensemble import Ensemble, EnsembleFolder, Model, find_ensembles, is_ensemble, read_ensemble
from clfctl.runs.folder import CHECKPOINT_SUFFIX, ONNX_SUFFIX, RunFolder, open_run, run_of
from clfctl.runs.header import checksum_of
from clfctl.storage.names import shell


def check_model(model: Model) -> None:
    """Raise UsageError if what is named is neither a run nor a file that can be a model, without reading it.

    Of an ensemble's folder what it keeps is read. Raises DamagedError if that cannot be, or a member is missing.
    """
    if isinstance(model, Ensemble):
        for each in model.members:
            check_model(each.path)
        return
    path = model
    if is_ensemble(path):
        read_ensemble(path)
    elif path.suffix == ONNX_SUFFIX and not path.is_dir():
        if not path.is_file():
            raise UsageError(
                f"{path} {'is not a file' if path.exists() else 'does not exist'}", "clfctl export makes one"
            )
    elif path.is_file():
        if path.suffix != CHECKPOINT_SUFFIX:
            hint = f"give a run folder, a checkpoint ({CHECKPOINT_SUFFIX}) or an {ONNX_SUFFIX} file"
            raise UsageError(f"{path} is not a model that clfctl made", hint)
    else:
        open_run(path, find_ensembles)


def named_models(first: Path, words: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Return the models that a command line names before its images, and the images: `RUN RUN cat.jpg`.

    The first is one whatever it is; of the words after it so many as are runs, ensembles, checkpoints or .onnx files.
    """
    n = next((place for place, word in enumerate(words) if not is_model(Path(word))), len(words))
    return [first, *map(Path, words[:n])], list(words[n:])


def is_model(path: Path) -> bool:
    """Return whether a path is that of something that can be asked, by its looks."""
    if path.is_dir():
        return is_ensemble(path) or RunFolder(path).config.is_file()
    return path.suffix in (ONNX_SUFFIX, CHECKPOINT_SUFFIX) and path.is_file()


def open_predictor(model: Model, n_threads: int, tell: Callable[[str], None]) -> Predictor:
    """Open whatever can be asked about images; ONNX Runtime computes each question with `n_threads` threads.

    That is a run, a checkpoint, an .onnx file, the folder of an ensemble, or an ensemble of several of the first three
    (`model_from` makes one of a list of paths). The model.onnx of a run or an ensemble answers for it if it was made
    from the checkpoints that would be used; if not, `tell` gets a line. Raises UsageError, CheckpointError or
    ModelError.
    """
    check_model(model)
    if isinstance(model, Ensemble):
        return _together(model, n_threads, tell)
    if is_ensemble(model):
        ensemble, folder = read_ensemble(model), EnsembleFolder(model)
        whole = _exported(folder.path, folder.onnx, _told(ensemble.made_of), n_threads, tell)
        return whole or _together(ensemble, n_threads, tell)
    if model.is_dir():
        run = open_run(model)
        made_of = _told(lambda: checksum_of(run.chosen)) if run.chosen.is_file() else None
        return _exported(run.path, run.onnx, made_of, n_threads, tell) or _by_torch(run, run.chosen)
    if model.suffix == ONNX_SUFFIX:
        from clfctl.inference.onnx_predictor import load_onnx

        return load_onnx(model, n_threads)
    return _by_torch(run_of(model), model)


def _together(ensemble: Ensemble, n_threads: int, tell: Callable[[str], None]) -> Predictor:
    from clfctl.inference.ensemble_predictor import put_together

    return put_together(ensemble, [open_predictor(each.path, n_threads, tell) for each in ensemble.members])


def _exported(
    path: Path, onnx: Path, made_of: str | None, n_threads: int, tell: Callable[[str], None]
) -> Predictor | None:
    """Return the model.onnx of a run or an ensemble, if there is one that answers as its checkpoints would.

    `made_of` is what tells these from others, None where there is none: then model.onnx is all that is left.
    """
    if not onnx.is_file():
        return None
    again = f"torch answers instead, after a few seconds; {shell('export', path)} makes it again"
    if not has_runtime():
        tell(f"{onnx} needs ONNX Runtime (pip install 'clfctl[onnx]'); torch answers instead.")
        return None
    from clfctl.inference.onnx_predictor import load_onnx

    try:
        exported = load_onnx(onnx, n_threads)
    except (CheckpointError, ModelError) as error:
        tell(f"{error}; {again}.")
        return None
    if made_of is not None and exported.info.made_of != made_of:
        tell(f"{onnx} was made from an older checkpoint; {again}.")
        return None
    return exported


def _told(digest: Callable[[], str]) -> str:
    """Return a digest, empty where it cannot be had."""
    try:
        return digest()
    except (OSError, ValueError):
        return ""  # torch's reader says what is wrong with it


def _by_torch(run: RunFolder, file: Path) -> Predictor:
    from clfctl.engine.as_it_was import as_it_was
    from clfctl.inference.torch_predictor import TorchPredictor
    from clfctl.inference.trained import load_trained

    with as_it_was():  # a model that is built draws weights, before it is given those of the file
        return TorchPredictor(load_trained(run, file))
