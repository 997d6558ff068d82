"""The cache: what it stores, what validation and training make of it, and when it is made anew."""

import io
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from clfctl.data.cache.images import CachedImages, NoPictures, Wanted, in_memory, stored_pictures, wanted
from clfctl.data.cache.key import content_digest
from clfctl.data.cache.make import cached_sources
from clfctl.data.loader import BadImages, Loader
from clfctl.data.pixels.decode import resize
from clfctl.data.pixels.fit import FITS, Scaling, canvas_of, random_box
from clfctl.data.pixels.transform import (
    LIGHT,
    Preprocess,
    stored_size,
    to_augmented_pixels,
    to_pixels,
    to_stored,
)
from clfctl.data.sources.base import Data, ImageSource
from clfctl.data.sources.idx import SYSTEM_FOLDERS
from clfctl.data.sources.open import open_data
from clfctl.settings.data import DataSettings, Fit, Interpolation
from clfctl.settings.image_size import ImageSize, Rectangle
from tests.nobody import NOBODY

SEEN = Preprocess(32)
SCALING = Scaling(36, 36)


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    """An image with shapes and some noise, such as a small photograph has."""
    draw = np.random.default_rng(seed)
    coarse = draw.integers(0, 255, (4, 6, 3), np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)).astype(float)
    return Image.fromarray((smooth + draw.normal(0, 4, smooth.shape)).clip(0, 255).astype(np.uint8))


def encoded(image: Image.Image, kind: str, orientation: int = 1) -> Image.Image:
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(file, kind, exif=exif, **({"quality": 90} if kind == "JPEG" else {}))
    return Image.open(file)


sides = st.integers(1, 700)


@settings(max_examples=60)
@given(sides, sides, st.sampled_from(["JPEG", "PNG"]), st.integers(1, 8), st.sampled_from([0.875, 0.95, 1.0]))
def test_validation_sees_the_same_pixels_with_and_without(
    width: int, height: int, kind: str, orientation: int, crop_ratio: float
) -> None:
    seen = Preprocess(32, crop_ratio)
    image = picture(width, height)
    stored = to_stored(encoded(image, kind, orientation), seen.scaling)
    assert np.array_equal(to_pixels(stored, seen), to_pixels(encoded(image, kind, orientation), seen))
    upright = (height, width) if orientation > 4 else (width, height)
    assert stored.shape[:2] == stored_size(*upright, seen.scaling)
    assert min(stored.shape[:2]) == min(width, height, seen.scaling.height)
    assert max(stored.shape[:2]) <= 4 * min(stored.shape[:2]) + 1
    assert np.array_equal(to_stored(stored, seen.scaling), stored)


@settings(max_examples=100)
@given(
    sides,
    sides,
    st.sampled_from(FITS),
    st.sampled_from([32, Rectangle(24, 48), Rectangle(64, 20), Rectangle(30, 40)]),
    st.sampled_from([0.875, 1.0, 1.15]),
    st.sampled_from(["bilinear", "bicubic", "nearest"]),
)
def test_of_every_fit_and_shape_validation_sees_the_same_with_and_without(
    width: int, height: int, fit: Fit, size: ImageSize, crop_ratio: float, interpolation: Interpolation
) -> None:
    seen = Preprocess(size, crop_ratio, interpolation=interpolation, fit=fit)
    image = picture(width, height)
    stored = to_stored(encoded(image, "JPEG", 6), seen.scaling)
    pixels = to_pixels(encoded(image, "JPEG", 6), seen)
    assert pixels.shape == (*seen.size, 3)
    assert np.array_equal(to_pixels(stored, seen), pixels)
    assert stored.shape[:2] == stored_size(height, width, seen.scaling)
    assert np.array_equal(to_stored(stored, seen.scaling), stored)


def test_the_same_key_draws_the_same_share_and_place() -> None:
    n_same = 0
    for key in range(500):
        draws = [random.Random(key), random.Random(key)]
        boxes = [
            np.array(random_box(canvas_of(*size, "crop", (224, 224)), draw)) / np.tile(size, 2)
            for size, draw in zip(((500, 375), (341, 256)), draws, strict=True)
        ]
        # A crop that fits into one by half a pixel and not into the other is drawn again.
        if draws[0].getstate() == draws[1].getstate():
            n_same += 1
            assert abs(boxes[0] - boxes[1]).max() < 2 / 256
    assert n_same > 490


def test_training_crops_differ_from_those_without_by_detail_only() -> None:
    """Means over 60 crops: 500 x 375 to 224 pixels, of which 256 are kept."""
    seen, image = Preprocess(224), picture(500, 375)
    stored = to_stored(image, seen.scaling)
    differences = []
    for key in range(60):
        cached, uncached = (to_augmented_pixels(each, seen, key).astype(int) for each in (stored, image))
        differences.append(abs(cached - uncached).mean())
    assert np.median(differences) < 3
    assert np.mean(np.array(differences) < 6) > 0.95
    # Mirrored the other way the difference would be that of another picture.
    assert abs(cached[:, ::-1] - uncached).mean() > 20


@pytest.fixture
def data(photos: Path) -> Data:
    for seed, path in enumerate(sorted(photos.rglob("*.jpg"))):
        picture(60, 50, seed).save(path)
    return open_data(DataSettings(data=str(photos), batch_size=4), 0)


def images_of(data: Data, source: ImageSource, workers: int, epoch: int = 1) -> torch.Tensor:
    bad = BadImages("error", len(data.train))
    loader = Loader(data.train, SEEN, 4, workers, bad, shuffle_seed=3, augment=LIGHT).reading(source)
    return torch.cat([batch.images for batch in loader.batches(epoch)])


def test_bits_are_the_same_with_any_workers_in_memory_on_disk_and_made_on_the_way(data: Data, photos: Path) -> None:
    sets = [DataSettings(data=str(photos), cache=cache) for cache in ("ram", "disk", "disk")]
    made: list[ImageSource] = [cached_sources(each, data, SEEN, NOBODY).train for each in sets]
    made.append(CachedImages(data.train.source, NoPictures(), SCALING))
    first = images_of(data, made[0], 0)
    assert all(torch.equal(first, images_of(data, made[1], workers)) for workers in (0, 1, 2, 4))
    assert all(torch.equal(first, images_of(data, source, workers)) for source in made for workers in (0, 2))
    assert not torch.equal(first, images_of(data, data.train.source, 0))


def test_what_is_stored_cannot_be_written_to(data: Data, photos: Path) -> None:
    for cache in ("ram", "disk"):
        source = cached_sources(DataSettings(data=str(photos), cache=cache), data, SEEN, NOBODY).val
        stored = source.open(0)
        assert isinstance(stored, np.ndarray)
        with pytest.raises(ValueError, match="read-only"):
            stored[0, 0] = 0


def test_another_fit_shape_or_interpolation_is_another_cache(data: Data) -> None:
    square = Preprocess(32)
    others = [replace(square, fit=fit) for fit in FITS[1:]]
    others += [replace(square, interpolation="bicubic"), Preprocess(Rectangle(32, 40)), Preprocess(40)]
    seals, stems = [], []
    for seen in (square, *others):
        (what,) = wanted(data, seen.scaling, "photos", 0)
        seals.append(what.seal)
        stems.append(what.stem())
    # Letterbox and reflect differ in the frame alone, which is not stored.
    assert len(set(stems)) == len(set(seals)) == len(seals) - 1
    assert stems[1] == stems[3]
    # What was made before there was a choice is still used.
    assert stems[0].startswith("photos-36-")
    assert seals[0].digest == content_digest(data.train.source, np.arange(24))


def test_images_that_are_not_wanted_are_not_stored(data: Data) -> None:
    what = Wanted(data.train.source, np.array([2, 5, 23]), SCALING, "x", "x")
    done: list[int] = []
    pictures = list(stored_pictures(what, BadImages("error", 3), 2, done.append))
    assert [index for index, each in enumerate(pictures) if each is not None] == [2, 5, 23]
    assert len(pictures) == 24
    assert sum(done) == 3


def test_room_is_told_from_headers(data: Data) -> None:
    (both,) = wanted(data, SCALING, "photos", 0)
    kept = in_memory(stored_pictures(both, BadImages("error", 24), 2, lambda n: None))
    assert both.n_bytes() == sum(each.nbytes for each in kept if each is not None)


@pytest.mark.parametrize("name", ["digits", "fashion-mnist"])
def test_small_images_are_kept_as_they_are(name: str) -> None:
    if name != "digits" and not SYSTEM_FOLDERS[name].is_dir():
        pytest.skip("Debian's dataset-fashion-mnist is not installed")
    data = open_data(DataSettings(data=name, max_per_class=50), 0)
    source = cached_sources(DataSettings(data=name, max_per_class=50, cache="disk"), data, SEEN, NOBODY).train
    index = data.train.indices[7]
    image, stored = data.train.source.open(index), source.open(index)
    assert isinstance(image, np.ndarray)
    assert isinstance(stored, np.ndarray)
    assert np.array_equal(stored, image)


def test_a_stored_picture_that_cannot_be_written_to_is_scaled_as_any_other() -> None:
    pixels = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)
    pixels.flags.writeable = False
    assert np.array_equal(to_pixels(pixels, Preprocess(4, 1.0)), resize(pixels.copy(), 4, 4))
