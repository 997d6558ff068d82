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
    from clfctl.checkpoint import load_checkpoint
    from clfctl.commands.assemble import load_trained, make_loader
    from clfctl.data.loader import BadImages
    from clfctl.data.open import open_data
    from clfctl.engine.device import pick_device, pick_precision
    from clfctl.engine.saving import model_info, saved_settings
    from clfctl.engine.step import Normalize
    from clfctl.engine.step import evaluate as measure

    file = run.best if run.best.is_file() else run.last
    checkpoint = load_checkpoint(file)
    settings = saved_settings(checkpoint)
    data = open_data(settings, settings.seed)
    part = data.val if split == "val" else data.test
    if not part:
        raise UsageError(
            f"--split: {settings.data} has no {split} images", "there are " + ("val" if len(data.val) else "no others")
        )
    precision = pick_precision(settings.amp, pick_device(settings.device))
    preprocess = model_info(checkpoint).preprocess
    bad = BadImages(settings.on_bad_image, len(part))
    loader = make_loader(settings, part, preprocess, bad, precision.device)
    loss, top1 = measure(
        load_trained(checkpoint, precision.device), loader, precision, Normalize(preprocess, precision.device)
    )
    n_images = len(part) - len(bad.found)
    if output.json_lines:
        print(dump_json({"checkpoint": str(file), "split": split, "n_images": n_images, "loss": loss, "top1": top1}))
    elif not output.quiet:
        images = f"{n_images} images of {len(data.classes)} classes"
        print(f"{file}: {split} accuracy {100 * top1:.2f} %, loss {loss:.4f}, {images}")
    if bad.found:
        note(output, f"{len(bad.found)} bad images were left out: {', '.join(list(bad.found)[:3])}")
