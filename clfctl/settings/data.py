"""Settings of the data: where it is, and what becomes of the images before the model sees them."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveInt

from clfctl.settings.base import Fraction, Option, Settings, UserPath, UserText
from clfctl.settings.fixed import NEW_IMAGES, NEW_SPLIT, NEW_VIEW, NEW_WEIGHTS
from clfctl.settings.image_size import SizeSetting
from clfctl.settings.ranges import Range, RangeSetting, ShareSetting

Fit = Literal["crop", "letterbox", "stretch", "reflect"]
FitSetting = Literal["auto", Fit]
Interpolation = Literal["nearest", "bilinear", "bicubic", "box", "hamming", "lanczos"]
InterpolationSetting = Literal["auto", Interpolation]
AugmentLevel = Literal["none", "light", "medium", "strong", "trivial", "rand"]
Balance = Literal["none", "sampler", "loss"]
BadImagePolicy = Literal["skip", "error"]


class ImageSettings(Settings):
    """Data"""

    data: Annotated[UserText, Option(short="-d", values="data", metavar="NAME|DIR|FILE")] = "digits"
    """`digits`, a torchvision data set by name (`fashion-mnist`, `cifar10`, `flowers102`, …), a folder of class
    folders, a folder with train/, val/ and test/, a .csv, .tsv or .parquet table with the columns path and label,
    WebDataset shards (a .tar or a folder of them), or Hugging Face data: Parquet files with images inside, or what
    `save_to_disk` wrote."""
    data_dir: Annotated[UserPath, Option(values="folders")] = Path("data")
    """Where torchvision data sets are, or are downloaded to."""
    download: bool = False
    """Download a torchvision data set that is not in the data folder yet."""
    val_split: Annotated[Fraction, Option(aliases=("validation_split",), fixed=NEW_SPLIT)] = 0.2
    """Share of the training images kept for validation where the data has no val/: stratified by class, and the same
    for the same seed."""
    group_by: Annotated[UserText, Option(metavar="COLUMN|REGEX", fixed=NEW_SPLIT)] = ""
    """What tells which images belong together, such as those of one patient, and may not be divided between training
    and validation: a column of a table, or for other data a regular expression, such as `patient_([0-9]+)`, whose group
    in an image's path names what it belongs to."""
    image_size: Annotated[
        SizeSetting,
        Option(
            aliases=("img_size", "input_size"),
            metavar="N|HxW|auto",
            accepts="a whole number of at least 1, height and width such as 128x256, or auto",
            fixed=NEW_WEIGHTS,
        ),
    ] = "auto"
    """Height and width of the images that the model gets, in pixels: one number for a square, `128x256` for 128 high
    and 256 wide; `auto`: what a model with published weights was made for, else 224."""
    fit: Annotated[FitSetting, Option(fixed=NEW_VIEW)] = "auto"
    """How an image comes into that size: `crop` keeps its middle; `letterbox` (borders of the mean colour), `reflect`
    (borders that mirror the image) and `stretch` (out of shape) show all of it; `auto`: as a model with published
    weights was made for, nearly always `crop`."""
    interpolation: Annotated[InterpolationSetting, Option(fixed=NEW_VIEW)] = "auto"
    """How images are scaled; `auto`: as a model with published weights was made for, often `bicubic`, else
    `bilinear`."""
    batch_size: Annotated[PositiveInt, Option(short="-b")] = 32
    """Images per optimizer step."""
    workers: Annotated[
        NonNegativeInt | Literal["auto"],
        Option(aliases=("num_workers",), metavar="N|auto", accepts="a whole number of at least 0, or auto"),
    ] = "auto"
    """Threads that decode images ahead of the model; 0 decodes in the training thread, `auto` reads a few images and
    takes one for each core, or more where the disk is slow. Results do not depend on it."""
    max_per_class: Annotated[NonNegativeInt, Option(fixed=NEW_IMAGES)] = 0
    """Training images kept of each class, the same for the same seed; 0 keeps all."""
    cache_dir: Annotated[UserPath | None, Option(values="folders")] = None
    """Where `cache=disk` puts its files, and what is packed in Parquet files and compressed shards is unpacked; unset:
    clfctl/ in the user's cache folder, such as ~/.cache/clfctl."""
    on_bad_image: BadImagePolicy = "skip"
    """What to do with an image that cannot be read: name it, count it and go on without it, or stop."""


class DataSettings(ImageSettings):
    """Data"""

    augment: Annotated[AugmentLevel, Option(aliases=("augmentation",))] = "light"
    """Random changes of training images: `light` is a random resized crop and a horizontal flip; `medium` also changes
    brightness, contrast and saturation, `strong` changes them more, and the angle; `trivial` and `rand` are `light`
    with TrivialAugment or RandAugment."""
    crop_scale: Annotated[
        ShareSetting, Option(metavar="LOW..HIGH", accepts="a range above 0 and up to 1, such as 0.5..1")
    ] = Range(0.08, 1.0)
    """Share of the area that a random crop of a training image has; `fit=` says of what."""
    crop_ratio: Annotated[
        RangeSetting, Option(metavar="LOW..HIGH", accepts="a range of numbers above 0, such as 0.75..1.33")
    ] = Range(3 / 4, 4 / 3)
    """Width by height of a random crop, as the model sees it: how far it may be out of shape."""
    random_erasing: Annotated[Fraction, Option(aliases=("reprob",))] = 0.0
    """Share of the training images in which a random box is covered with the mean colour."""
    mixup: Annotated[NonNegativeFloat, Option(aliases=("mixup_alpha",))] = 0.0
    """Mix training images and their labels in pairs, with shares drawn from Beta(alpha, alpha) for this alpha, such as
    0.2; 0 does not mix."""
    cutmix: Annotated[NonNegativeFloat, Option(aliases=("cutmix_alpha",))] = 0.0
    """Paste a box of another image into each training image, and mix their labels by area: alpha as for mixup, such as
    1; with both, each gets half of the batches."""
    balance: Annotated[Balance, Option(aliases=("class_balance",))] = "none"
    """What to do about classes with fewer images: nothing, draw them as often as the others (`sampler`), or give them
    more weight in the loss (`loss`)."""
    cache: Literal["none", "ram", "disk"] = "none"
    """Keep the images decoded and scaled to little more than the training size: in memory (`ram`), or in a file that
    the next run on the same images uses too (`disk`). Several times as fast where decoding takes most of the time."""
