"""clfctl eval: how good a trained model is on its validation or test images."""

from pathlib import Path

from clfctl.commands.notes import note
from clfctl.errors import UsageError
from clfctl.runs import dump_json, open_run
from clfctl.settings.groups import OutputSettings

SPLITS = ("val", "test")


def evaluate(path: Path, split: str, output: OutputSettings) -> None:
    """Print the number of images, loss and accuracy of the best checkpoint."""
    run = open_run(path)
    if split not in SPLITS:
        raise UsageError(f"--split: {split!r} is not allowed; it must be one of {', '.join(SPLITS)}")
    from clfctl.commands.assemble import load_trained, make_loader
    from clfctl.data.loader import BadImages
    from clfctl.data.open import open_data
    from clfctl.engine.step import Normalize
    from clfctl.engine.step import evaluate as measure

    trained = load_trained(run)
    settings, preprocess, device = trained.settings, trained.info.preprocess, trained.precision.device
    data = open_data(settings, settings.seed)
    part = data.val if split == "val" else data.test
    if not part:
        others = [name for name, each in (("val", data.val), ("test", data.test)) if each]
        hint = f"there are: {', '.join(others)}" if others else "there are only training images"
        raise UsageError(f"--split: {settings.data} has no {split} images", hint)
    bad = BadImages(settings.on_bad_image, len(part))
    loader = make_loader(settings, part, preprocess, bad, device)
    loss, top1 = measure(trained.model, loader, trained.precision, Normalize(preprocess, device))
    n_images = len(part) - len(bad.found)
    if output.json_lines:
        file = str(trained.file)
        print(dump_json({"checkpoint": file, "split": split, "n_images": n_images, "loss": loss, "top1": top1}))
    elif not output.quiet:
        images = f"{n_images} images of {len(data.classes)} classes"
        print(f"{trained.file}: {split} accuracy {100 * top1:.2f} %, loss {loss:.4f}, {images}")
    if bad.found:
        note(output, f"Bad images left out: {len(bad.found)} ({', '.join(list(bad.found)[:3])})")
