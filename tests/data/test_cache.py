"""The cache: what it stores, what validation and training make of it, when it is made anew, and its file."""

import io
import os
import random
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from clfctl.data.cache.file import Seal, open_pictures, pieces
from clfctl.data.cache.folder import free_memory, lock_for, sweep
from clfctl.data.cache.images import CachedImages, NoPictures, Stored, Wanted, in_memory, stored_pictures, wanted
from clfctl.data.cache.key import content_digest
from clfctl.data.cache.make import cached_sources
from clfctl.data.loader import BadImages, Loader
from clfctl.data.pixels.decode import Pixels, resize
from clfctl.data.pixels.fit import FITS, Scaling, canvas_of, random_box
from clfctl.data.pixels.transform import (
    LIGHT,
    Preprocess,
    stored_size,
    to_augmented_pixels,
    to_pixels,
    to_stored,
)
from clfctl.data.sources.base import ArrayImages, Data, ImageSource, TorchvisionImages
from clfctl.data.sources.idx import SYSTEM_FOLDERS
from clfctl.data.sources.open import open_data
from clfctl.settings.data import DataSettings, Fit, Interpolation
from clfctl.settings.image_size import ImageSize, Rectangle
from clfctl.storage.files import temporary_for
from clfctl.storage.lock import locked
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


shapes = st.lists(st.none() | st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=8)


def filled(shapes: Sequence[tuple[int, int] | None]) -> list[Stored]:
    draw = np.random.default_rng(0)
    return [draw.integers(0, 256, (*shape, 3), np.uint8) if shape else None for shape in shapes]


def write(path: Path, seal: Seal, pictures: Sequence[Stored]) -> bytes:
    path.write_bytes(content := b"".join(map(bytes, pieces(seal, pictures))))
    return content


@given(shapes)
def test_a_file_gives_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, shapes: list[tuple[int, int] | None]
) -> None:
    path, seal, pictures = tmp_path_factory.mktemp("file") / "x.pixels", Seal(b"d" * 16, len(shapes), 8), filled(shapes)
    write(path, seal, pictures)
    found = open_pictures(path, seal)
    assert found is not None
    for index, each in enumerate(pictures):
        stored: Pixels | None = found[index]
        assert (stored is None) == (each is None)
        assert stored is None or (each is not None and np.array_equal(stored, each))


def test_a_picture_of_many_megabytes_is_written_in_pieces(tmp_path: Path) -> None:
    large, seal = np.random.default_rng(0).integers(0, 256, (700, 900, 3), np.uint8), Seal(b"d" * 16, 1, 700)
    assert max(len(each) for each in pieces(seal, [large])) < 1 << 20
    write(tmp_path / "x.pixels", seal, [large])
    found = open_pictures(tmp_path / "x.pixels", seal)
    assert found is not None
    assert (first := found[0]) is not None
    assert np.array_equal(first, large)


def test_a_file_that_is_cut_flipped_or_of_other_images_is_no_cache(tmp_path: Path) -> None:
    path, seal, pictures = tmp_path / "x.pixels", Seal(b"d" * 16, 3, 8), filled([(4, 5), None, (8, 8)])
    content = write(path, seal, pictures)
    assert open_pictures(path, seal)
    for other in (Seal(b"e" * 16, 3, 8), Seal(b"d" * 16, 4, 8), Seal(b"d" * 16, 3, 9)):
        assert open_pictures(path, other) is None
    for n in range(len(content)):
        path.write_bytes(content[:n])
        assert open_pictures(path, seal) is None, n
    n_pixels = 4 * 5 * 3 + 8 * 8 * 3
    for bit in range(8 * n_pixels, 8 * len(content)):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        assert open_pictures(path, seal) is None, bit
    path.write_bytes(content + b"\0")
    assert open_pictures(path, seal) is None
    assert open_pictures(tmp_path / "none", seal) is None


ALL = np.arange(24)


def test_digest_of_files_follows_names_sizes_and_times_but_not_their_folder(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def digest(root: str = str(photos), indices: np.ndarray = ALL) -> bytes:
        return content_digest(open_data(DataSettings(data=root, batch_size=4), 0).train.source, indices)

    first, file = digest(), photos / "red" / "3.jpg"
    assert digest() == first
    assert digest(indices=ALL[1:]) != first
    monkeypatch.chdir(photos.parent)
    assert digest("photos") == first
    status = file.stat()
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns + 1000))
    touched = digest()
    file.write_bytes(file.read_bytes() + b"\0")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    grown = digest()
    file.rename(file.with_name("33.jpg"))
    renamed = digest()
    file.with_name("33.jpg").rename(file)
    file.write_bytes(file.read_bytes()[:-1])
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert len({first, touched, grown, renamed}) == 4
    assert digest() == first


def test_digest_of_arrays_is_that_of_their_pixels() -> None:
    images = np.zeros((24, 8, 8), np.uint8)
    first = content_digest(ArrayImages("x", images, [0] * 24), ALL)
    assert content_digest(ArrayImages("y", images.copy(), [1] * 24), ALL) == first
    assert content_digest(ArrayImages("x", images.reshape(24, 4, 16), [0] * 24), ALL) != first
    images[7, 3, 2] = 1
    assert content_digest(ArrayImages("x", images, [0] * 24), ALL) != first


def test_digest_of_shards_follows_the_shard_and_the_places_in_it(photos: Path, tmp_path: Path) -> None:
    import tarfile

    def digest() -> bytes:
        return content_digest(open_data(DataSettings(data=str(shard), batch_size=4), 0).train.source, ALL)

    shard = tmp_path / "all.tar"
    with tarfile.open(shard, "w") as tar:
        for path in sorted(photos.rglob("*.jpg")):
            name = f"{path.parent.name}-{path.stem}"
            tar.add(path, f"{name}.jpg")
            label = tarfile.TarInfo(f"{name}.cls")
            label.size = len(path.parent.name)
            tar.addfile(label, io.BytesIO(path.parent.name.encode()))
    first = digest()
    assert digest() == first
    os.utime(shard, ns=(0, 0))
    assert digest() != first


def test_digest_of_arrow_files_follows_them_and_the_images_beside_them(photos: Path, tmp_path: Path) -> None:
    import pyarrow

    from clfctl.data.sources.arrow import ArrowImages

    outside = photos / "red" / "0.jpg"
    rows = [{"bytes": (photos / "red" / "1.jpg").read_bytes(), "path": "1.jpg"}, {"bytes": None, "path": str(outside)}]
    file = tmp_path / "x.arrow"
    file.touch()

    def digest() -> bytes:
        column = pyarrow.chunked_array([pyarrow.array(rows)])
        return content_digest(ArrowImages("x", [file], column, [0, 1]), np.arange(2))

    first = digest()
    assert digest() == first
    os.utime(outside, ns=(0, 0))
    second = digest()
    os.utime(file, ns=(0, 0))
    assert len({first, second, digest()}) == 3


def test_digest_of_torchvision_sets_follows_their_arrays_or_files(photos: Path) -> None:
    class InMemory:
        data = np.zeros((24, 8, 8, 3), np.uint8)

    class InFiles:
        _base_folder = photos

    def digest(kind: type) -> bytes:
        return content_digest(TorchvisionImages("x", kind(), [0] * 24), ALL)

    in_memory, in_files = digest(InMemory), digest(InFiles)
    assert (digest(InMemory), digest(InFiles)) == (in_memory, in_files)
    InMemory.data[3, 3, 3] = 1
    os.utime(photos / "red" / "3.jpg", ns=(0, 0))
    assert digest(InMemory) != in_memory
    assert digest(InFiles) != in_files


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


def test_what_is_still_being_written_is_not_swept_up(tmp_path: Path) -> None:
    """`live` is being made by another process, `dead` and `mine` were when theirs were killed."""
    left = {stem: temporary_for(tmp_path / f"{stem}-36-12345678-abc.pixels") for stem in ("live", "dead", "mine")}
    for path in left.values():
        path.write_bytes(bytes(100))
    (tmp_path / "mine-36-12345678-abc.pixels").touch()
    own = lock_for(tmp_path, "mine-36-12345678")
    with locked(lock_for(tmp_path, "live-36-12345678")), locked(own):
        assert sweep(tmp_path, own) == 200
    assert [stem for stem, path in left.items() if path.exists()] == ["live"]
    assert (tmp_path / "mine-36-12345678-abc.pixels").exists()


def test_without_locks_only_what_nobody_wrote_to_for_a_day_is_swept_up(tmp_path: Path) -> None:
    """A lock that is not held, as on a file system without any, says nothing of others."""
    young, old = (temporary_for(tmp_path / f"{name}-36-12345678-abc.pixels") for name in ("young", "old"))
    for path in (young, old):
        path.write_bytes(bytes(100))
    os.utime(old, (0, time.time() - 25 * 3600))
    assert sweep(tmp_path, lock_for(tmp_path, "mine-36-12345678")) == 100
    assert young.exists()


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="only Linux says so")
def test_free_memory_is_part_of_the_memory() -> None:
    free = free_memory()
    assert free is not None
    assert 0 <= free <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
