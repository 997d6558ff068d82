"""From what the user names to a model that can be asked: ONNX Runtime where it may answer, torch where it must."""

from collections.abc import Callable
from pathlib import Path

from clfctl.errors import CheckpointError, ModelError, UsageError
from clfctl.inference.packages import has_runtime
from clfctl.inference.predictor import Predictor
from clfctl.runs.folder import CHECKPOINT_SUFFIX, ONNX_SUFFIX, RunFolder, open_run, run_of
from clfctl.runs.header import checksum_of
from clfctl.storage.names import shell


def check_model(path: Path) -> None:
    """Raise UsageError if a path is neither a run nor a file that can be a model, without reading it."""
    if path.suffix == ONNX_SUFFIX and not path.is_dir():
        if not path.is_file():
            raise UsageError(
                f"{path} {'is not a file' if path.exists() else 'does not exist'}", "clfctl export makes one"
            )
    elif path.is_file():
        if path.suffix != CHECKPOINT_SUFFIX:
            hint = f"give a run folder, a checkpoint ({CHECKPOINT_SUFFIX}) or an {ONNX_SUFFIX} file"
            raise UsageError(f"{path} is not a model that clfctl made", hint)
    else:
        open_run(path)


def open_predictor(path: Path, n_threads: int, tell: Callable[[str], None]) -> Predictor:
    """Open a run, a checkpoint or a model.onnx; ONNX Runtime computes each question with `n_threads` threads.

    A run's model.onnx answers for it if it was made from the checkpoint that would be used; if not, `tell` gets a line.
    Raises UsageError, CheckpointError or ModelError.
    """
    check_model(path)
    if path.is_dir():
        run = open_run(path)
        return _exported(run, n_threads, tell) or _by_torch(run, run.chosen)
    if path.suffix == ONNX_SUFFIX:
        from clfctl.inference.onnx_predictor import load_onnx

        return load_onnx(path, n_threads)
    return _by_torch(run_of(path), path)


def _exported(run: RunFolder, n_threads: int, tell: Callable[[str], None]) -> Predictor | None:
    """Return a run's model.onnx, if there is one that answers as the checkpoint would."""
    if not run.onnx.is_file():
        return None
    again = f"torch answers instead, after a few seconds; {shell('export', run.path)} makes it again"
    if not has_runtime():
        tell(f"{run.onnx} needs ONNX Runtime (pip install 'clfctl[onnx]'); torch answers instead.")
        return None
    from clfctl.inference.onnx_predictor import load_onnx

    try:
        exported = load_onnx(run.onnx, n_threads)
    except (CheckpointError, ModelError) as error:
        tell(f"{error}; {again}.")
        return None
    if run.chosen.is_file() and exported.info.made_of != _checksum(run.chosen):
        tell(f"{run.onnx} was made from an older checkpoint; {again}.")
        return None
    return exported


def _checksum(path: Path) -> str:
    try:
        return checksum_of(path)
    except (OSError, ValueError):
        return ""  # torch's reader says what is wrong with it


def _by_torch(run: RunFolder, file: Path) -> Predictor:
    from clfctl.engine.as_it_was import as_it_was
    from clfctl.inference.torch_predictor import TorchPredictor
    from clfctl.inference.trained import load_trained

    with as_it_was():  # a model that is built draws weights, before it is given those of the file
        trained = load_trained(run, file)
    return TorchPredictor(trained.file, trained.model, trained.info, trained.precision)
