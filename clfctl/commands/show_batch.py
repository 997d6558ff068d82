"""clfctl train --show-batch: the first training batch as a picture, before anything is trained."""

from pathlib import Path

from clfctl.data.sources.open import open_data
from clfctl.display.output import Output
from clfctl.errors import DataError, UsageError
from clfctl.settings.groups import TrainSettings
from clfctl.storage.names import shell


def show_batch(settings: TrainSettings, path: Path, output: Output) -> None:
    """Save a grid of the first batch of the first epoch: the very pixels that the model would get."""
    # numpy and Pillow, which a misspelt option is not to wait for.
    from clfctl.display.batch_grid import FORMATS, save_grid

    if path.suffix.lower() not in FORMATS:
        hint = f"its name must end in {', '.join(FORMATS)}"
        raise UsageError(f"cannot tell the format from {path}", hint, field="show_batch")
    data = open_data(settings, settings.seed, output.note)
    from clfctl.data.cache.images import CachedImages, NoPictures
    from clfctl.data.loader import BadImages
    from clfctl.engine.assemble import build_parts, make_loader
    from clfctl.engine.mixing import Mixer

    parts = build_parts(settings, data)
    settings = parts.settings
    bad = BadImages(settings.on_bad_image, len(data.train))
    loader = make_loader(settings, data.train, parts.built.preprocess, bad, parts.precision.device, settings.seed)
    if settings.cache != "none":
        # What a cache would hold of these few, without making one.
        scaling = parts.built.preprocess.scaling
        loader = loader.reading(CachedImages(data.train.source, NoPictures(), scaling))
    batch = next(iter(loader.batches()))
    if not len(batch.labels):
        hint = f"look at them with: {shell('check-data', settings.data)}"
        raise DataError("no image of the first batch can be read", hint, field="show_batch")
    mixture = Mixer(settings.mixup, settings.cutmix, settings.seed).mixture(0, *batch.images.shape[2:])
    seen = mixture.images(batch.images.float()).round().byte() if mixture else batch.images
    images = seen.permute(0, 2, 3, 1).contiguous().numpy()
    save_grid(path, images, [data.classes[label] for label in batch.labels.tolist()])
    output.note(f"Wrote {path}: {len(images)} images of {images.shape[2]} × {images.shape[1]} pixels")
