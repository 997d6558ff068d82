"""clfctl predict: the classes of image files."""

from collections.abc import Sequence
from pathlib import Path

from clfctl.commands.notes import note
from clfctl.data.index import images_in
from clfctl.errors import DataError, UsageError
from clfctl.runs import dump_json, open_run
from clfctl.settings.groups import OutputSettings


def predict(path: Path, paths: Sequence[Path], top_k: int, output: OutputSettings) -> None:
    """Print the likeliest classes of each image, a line an image."""
    run = open_run(path)
    images = _images(paths)
    from clfctl.commands.assemble import load_trained
    from clfctl.inference.predictor import Predictor

    trained = load_trained(run)
    predictor = Predictor(trained.model, trained.info, trained.precision)
    n_bad = 0
    for each in predictor.predict(images, top_k):
        if each.error:
            n_bad += 1
            note(output, f"{each.path} cannot be read: {each.error}")
        elif output.json_lines:
            print(dump_json({"image": str(each.path), "classes": dict(each.classes)}))
        elif not output.quiet:
            print(f"{each.path}: " + ", ".join(f"{name} {100 * share:.1f} %" for name, share in each.classes))
    if n_bad == len(images):
        raise DataError("no image could be read" if n_bad > 1 else f"{images[0]} could not be read")


def _images(paths: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise UsageError(f"{path} does not exist", "give image files or folders of images")
        inside = images_in(path) if path.is_dir() else [path]
        if not inside:
            raise UsageError(f"{path} has no images")
        found += inside
    return found
