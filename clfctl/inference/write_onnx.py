"""A trained model as model.onnx, kept only if it gives what torch gives. Training ends with it too."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clfctl.data.onlookers import Onlookers, no_bar, no_line
from clfctl.errors import ClfctlError, ModelError, UsageError
from clfctl.inference.packages import missing_packages
from clfctl.inference.rework_options import Rework
from clfctl.runs.ensemble import find_ensembles
from clfctl.runs.folder import ONNX_SUFFIX, RunFolder, open_run, run_of
from clfctl.settings.groups import TrainSettings
from clfctl.storage.files import explained, in_bytes, replace_file

if TYPE_CHECKING:
    from clfctl.data.pixels.decode import Pixels
    from clfctl.data.pixels.transform import Preprocess
    from clfctl.data.sources.base import Data, Part
    from clfctl.inference.agreement import Agreement
    from clfctl.inference.judge import Judged
    from clfctl.inference.trained import TrainedModel

N_CHECKED = 16
INSTALL = "install it with: pip install 'clfctl[onnx]'"
NOBODY, PLAIN = Onlookers(no_line, no_bar), Rework()


@dataclass(frozen=True)
class Exported:
    """A file that was written: its size, and by how much at most a probability differs over some images.

    That is of the model in float32, with its pixels prepared; `int8` and `whole` say what became of it after that.
    """

    file: Path
    n_bytes: int
    difference: float
    n_images: int
    images: str
    int8: "Judged | None" = None
    whole: "Agreement | None" = None

    def as_record(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self) | {"file": str(self.file)}

    def lines(self) -> Sequence[str]:
        """Return sentences for people."""
        return str(self), *(line for each in (self.int8, self.whole) if each for line in each.lines())

    def __str__(self) -> str:
        same = f"matches torch to within {self.difference:.1g} on {self.n_images} images of {self.images}"
        return f"{self.file}: {in_bytes(self.n_bytes)}, {same}"


def export_model(path: Path, output: Path | None = None, wanted: Rework = PLAIN, to: Onlookers = NOBODY) -> Exported:
    """Write the model of a run, or of a checkpoint file, as ONNX; by default beside it. Raises ClfctlError."""
    run, file = which_checkpoint(path)
    target = output or (run.onnx if path.is_dir() else path.with_suffix(ONNX_SUFFIX))
    check_target(target)
    from clfctl.engine.as_it_was import as_it_was

    with as_it_was():
        return write_onnx(run, file, target, wanted=wanted, to=to)


def check_target(target: Path) -> None:
    """Raise UsageError if a file cannot be an export's, ModelError if the packages for it are missing."""
    if target.suffix != ONNX_SUFFIX:
        hint = f"its name must end in {ONNX_SUFFIX}"
        raise UsageError(f"{target} is not a name for an ONNX file", hint, field="output")
    if not target.parent.is_dir():
        raise UsageError(f"there is no folder {target.parent}", "make it first, or choose another", field="output")
    if missing := missing_packages():
        raise ModelError(f"clfctl export needs {' and '.join(missing)}, which cannot be found", INSTALL)


def export_after_training(run: RunFolder, part: "Part", tell: Callable[[str], None]) -> Exported | None:
    """Write a run's model.onnx if that is possible; what keeps it from being written is told, and fails nothing."""
    if missing_packages():
        return None
    try:
        exported = write_onnx(run, run.chosen, run.onnx, part)
    except Exception as error:  # a run of hours is not to fail because of what can be made again
        what = str(error) if isinstance(error, ClfctlError) else f"{type(error).__name__}: {error}"
        tell(f"{run.onnx.name} was not written: {what}. The run is whole without it.")
        return None
    tell(f"Exported {exported}.")
    return exported


def is_exported(run: RunFolder) -> bool:
    """Return whether a run's model.onnx is there, made of the checkpoint that is to be used."""
    from clfctl.runs.header import checksum_of

    return is_made_of(run.onnx, lambda: checksum_of(run.chosen))


def is_made_of(onnx: Path, digest: Callable[[], str]) -> bool:
    """Return whether a model.onnx is there, made of what has this digest.

    That may raise OSError or ValueError where there is none.
    """
    try:
        # It stands in the metadata as it is: ONNX Runtime need not load the model for it.
        return digest().encode() in onnx.read_bytes()
    except (OSError, ValueError):
        return False


def which_checkpoint(path: Path) -> tuple[RunFolder, Path]:
    """Return a run and its checkpoint to use, or those that a checkpoint file names. Raises UsageError."""
    if path.is_file():
        if path.suffix == ONNX_SUFFIX:
            hint = "name what is to be exported, not its ONNX file"
            raise UsageError(f"{path} is not a run or a checkpoint (.safetensors)", hint)
        return run_of(path), path
    run = open_run(path, find_ensembles)
    return run, run.chosen


def write_onnx(
    run: RunFolder,
    file: Path,
    target: Path,
    part: "Part | None" = None,
    *,
    wanted: Rework = PLAIN,
    to: Onlookers = NOBODY,
) -> Exported:
    """Export a checkpoint, compare it with torch on real images, and write it, as it is wanted, if both say the same.

    The images are those of `part`, or else those that the run held out from training, if they are still there, or else
    two photographs that scikit-learn has. Raises CheckpointError, ModelError or WriteError; the old file stays then.
    """
    from clfctl.inference.export import TOLERANCE, difference, to_onnx
    from clfctl.inference.onnx_predictor import start_onnx
    from clfctl.inference.trained import load_trained
    from clfctl.runs.header import checksum_of

    trained = load_trained(run, file)
    info = replace(trained.info, made_of=checksum_of(file))
    model = trained.model.to("cpu").float()
    pixels, images = some_pixels(part, trained.settings, info.preprocess)
    content = to_onnx(model, info)
    found = difference(start_onnx(target, content, n_threads=1), model, info, pixels)
    if not found <= TOLERANCE:  # nor if it is not a number
        what = f"{info.name} gives other probabilities as ONNX: one differs by {found:.2g}, more than {TOLERANCE:g}"
        raise ModelError(what, "it was not kept; clfctl predict uses the checkpoint")
    int8, whole = None, None
    if not wanted.is_plain:
        from clfctl.inference.rework import rework

        reworked = rework(content, info, data_of(run, trained, wanted, to.tell), wanted, target, to)
        content, int8, whole = reworked.content, reworked.int8, reworked.agreement
    with explained(target):
        replace_file(target, [content])
    return Exported(target, len(content), found, len(pixels), images, int8, whole)


def data_of(run: RunFolder, trained: "TrainedModel", wanted: Rework, tell: Callable[[str], None]) -> "Data | None":
    """Return a run's images if they are there. Raises ModelError if int8 needs them, and they are not or changed."""
    from clfctl.data.sources.open import open_data
    from clfctl.inference.run_data import as_trained

    settings = trained.settings.model_copy(update={"download": False})
    try:
        data = open_data(settings, settings.seed)
    except Exception as error:  # they may have been moved since, or may have to be downloaded again
        if not wanted.int8:
            return None
        what = f"int8 is calibrated on images that {run.path} was trained on, and they cannot be read: {error}"
        raise ModelError(what, "put them where they were, or export without `int8=True`", field="int8") from None
    return as_trained(run, settings, trained.info.classes, data, tell) if wanted.int8 else data


def some_pixels(part: "Part | None", settings: TrainSettings, preprocess: "Preprocess") -> "tuple[Pixels, str]":
    """Return (B, H, W, 3) uint8 of real images as the model sees them, and where they are from."""
    import numpy as np

    if part is None:
        from clfctl.data.sources.open import open_data

        with suppress(Exception):  # it may have been moved since, or may have to be downloaded again
            data = open_data(settings.model_copy(update={"download": False}), settings.seed)
            part = data.val or data.train
    found = list(_pixels_of(part, preprocess)) if part else []
    return np.stack(found or list(_photographs(preprocess))), "the data" if found else "scikit-learn"


def _pixels_of(part: "Part", preprocess: "Preprocess") -> "Iterator[Pixels]":
    from clfctl.data.pixels.decode import see_and_close
    from clfctl.data.pixels.transform import to_pixels

    step = max(1, len(part) // N_CHECKED)
    for index in list(part.indices[::step])[:N_CHECKED]:
        with suppress(Exception):  # a bad image: training has told
            yield see_and_close(part.source.open(int(index)), lambda image: to_pixels(image, preprocess))


def _photographs(preprocess: "Preprocess") -> "Iterator[Pixels]":
    from PIL import Image
    from sklearn.datasets import load_sample_images

    from clfctl.data.pixels.transform import to_pixels

    for photograph in load_sample_images().images:
        for part in (photograph, photograph[:200, :200], photograph[200:, 300:], photograph[::-1]):
            yield to_pixels(Image.fromarray(part), preprocess)
