"""What bench-data measures with: the same pixels as the loader's, images that come again, feeds that do not end."""

import itertools
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch

from clfctl.bench.feeds import Files, Runner, files_of, loader_feed, n_ahead_of, take_turns, torchvision_feed
from clfctl.bench.stages import Work, pixels_of, time_stages
from clfctl.bench.windows import measure, measure_once, resident_bytes, take_sample, worker_counts
from clfctl.data.keys import hash_key
from clfctl.data.loader import BadImages, Loader
from clfctl.data.pixels.transform import Augmentation, Preprocess, to_augmented_pixels
from clfctl.data.sources.base import ArrayImages, Data, Part
from clfctl.data.sources.open import open_data
from clfctl.errors import DataError
from clfctl.settings.data import AugmentLevel, DataSettings

SEEN = Preprocess(32)


@pytest.fixture
def data(photos: Path) -> Data:
    return open_data(DataSettings(data=str(photos), val_split=0, batch_size=4), 0)


def work_on(part: Part, level: AugmentLevel = "light", erasing: float = 0.0, policy: Any = "skip") -> Work:
    return Work(part, SEEN, Augmentation(level, erasing), 4, 0, BadImages(policy, len(part)), lambda images: None)


@pytest.mark.parametrize("erasing", [0.0, 0.5])
@pytest.mark.parametrize("level", get_args(AugmentLevel))
def test_stages_make_the_pixels_of_the_loader(data: Data, level: AugmentLevel, erasing: float) -> None:
    work = work_on(data.train, level, erasing)
    for index in range(12):
        key = hash_key(index)
        expected = to_augmented_pixels(data.train.source.open(index), SEEN, key, work.augmentation)
        assert np.array_equal(pixels_of(work, index, key, lambda name: None), expected)


@pytest.mark.parametrize(("level", "names"), [
    ("light", ["read", "decode and crop", "resize", "augment", "collate", "copy to device"]),
    ("none", ["read", "decode, crop and resize", "collate", "copy to device"]),
])  # fmt: skip
def test_shares_of_the_stages_are_the_whole(data: Data, level: AugmentLevel, names: list[str]) -> None:
    stages = time_stages(work_on(data.train, level), 0.01)
    assert [stage.name for stage in stages] == names
    assert sum(stage.share for stage in stages) == pytest.approx(1)
    assert all(stage.seconds > 0 and len(stage.rates.windows) >= 2 for stage in stages)
    for stage in stages:
        assert stage.rates.low <= stage.rates.median <= stage.rates.high


def test_each_stage_sees_every_image_of_its_batch(data: Data) -> None:
    seen: list[torch.Size] = []
    work = work_on(data.train)
    work = replace(work, copy=lambda images: seen.append(images.shape))
    time_stages(work, 0.0)
    assert set(seen) == {torch.Size([4, 3, 32, 32])}


def test_bad_images_are_skipped_counted_and_too_many_are_said(data: Data, photos: Path) -> None:
    (photos / "red/0.jpg").write_bytes(b"no image")
    work = work_on(data.train)
    time_stages(work, 0.05)
    assert list(work.bad_images.found) == [str(photos / "red/0.jpg")]
    for path in photos.rglob("*.jpg"):
        path.write_bytes(b"no image")
    with pytest.raises(DataError, match="images cannot be read"):
        time_stages(work_on(data.train), 0.01)
    few = Part(data.train.source, [0, 1])
    with pytest.raises(DataError, match="no image can be read"):
        time_stages(work_on(few), 0.01)


def test_a_sample_is_drawn_from_the_seed_and_fills_an_epoch(data: Data) -> None:
    sample = take_sample(data.train, 0, 0.0, 6)
    assert (sample.n_images, sample.n_all, len(sample.part)) == (6, 24, 24)
    counts = np.bincount(np.asarray(sample.part.indices), minlength=24)
    assert sorted(counts.tolist()) == [0] * 18 + [4] * 6
    again, other = take_sample(data.train, 0, 0.0, 6), take_sample(data.train, 1, 0.0, 6)
    assert list(again.part.indices) == list(sample.part.indices) != list(other.part.indices)
    paths = [data.train.source.name(index) for index in set(sample.part.indices)]
    assert sample.n_bytes == sum(Path(path).stat().st_size for path in paths)


def test_a_sample_is_everything_where_that_is_quick(data: Data) -> None:
    sample = take_sample(data.train, 0, 60.0, 4)
    assert sample.n_images == 24
    assert sorted(sample.part.indices) == list(range(24))


def test_a_sample_of_arrays_has_no_bytes_to_read() -> None:
    images = np.zeros((10, 8, 8), np.uint8)
    part = Part(ArrayImages("grey", images, [0, 1] * 5), range(10))
    assert take_sample(part, 0, 1.0, 2).n_bytes == 0


@pytest.mark.parametrize(("n_cores", "expected"), [
    (1, [0, 1, 2]),
    (2, [0, 1, 2, 3]),
    (4, [0, 1, 2, 3, 4, 5]),
    (8, [0, 1, 2, 3, 4, 6, 8, 10]),
    (64, [0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 80]),
])  # fmt: skip
def test_numbers_of_workers(n_cores: int, expected: list[int]) -> None:
    assert worker_counts(n_cores) == expected


def test_numbers_of_workers_go_up_to_a_bit_above_the_cores() -> None:
    for n_cores in range(1, 300):
        counts = worker_counts(n_cores)
        assert counts == sorted(set(counts))
        assert counts[:2] == [0, 1]
        assert n_cores in counts
        assert n_cores < counts[-1] <= 1.25 * n_cores + 1
        assert len(counts) <= 22


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_a_window_counts_what_comes_in_it_and_leaves_no_thread(data: Data, workers: int) -> None:
    before = set(threading.enumerate())
    loader = Loader(data.train, SEEN, 5, workers, BadImages("error", 24), shuffle_seed=0, augment=Augmentation())
    sizes: list[int] = []

    def counted() -> Any:
        for size in loader_feed(loader):
            sizes.append(size)
            yield size

    rate, peak = measure_once(counted(), n_ahead_of(loader), 1e-9, 7)
    assert rate > 0
    assert 0 < peak <= 2 * resident_bytes()
    assert len(sizes) == 8  # one came before the window: its time was up
    assert sizes[:5] == [5, 5, 5, 5, 4]  # and an epoch follows the other
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize(("batch_s", "n_ahead", "n_least", "expected", "n_taken"), [
    (1.0, 2, 1, 8.0, 7),  # two do not count, five fill the window
    (1.0, 2, 9, 8.0, 11),  # nine fill it, whatever it takes
    (10.0, 4, 1, 100.0, 2),  # who takes so long for a batch does not wait for more of those made ahead
])  # fmt: skip
def test_a_window(
    batch_s: float, n_ahead: int, n_least: int, expected: float, n_taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a clock that only batches move."""
    now = 0.0
    monkeypatch.setattr("clfctl.bench.windows.time.perf_counter", lambda: now)

    def feed() -> Iterator[int]:
        nonlocal now
        for n in itertools.count():
            now += batch_s
            yield 1000 if n < 2 else 8

    ticks: list[None] = []
    assert measure(feed(), n_ahead, 5.0, n_least, lambda: ticks.append(None)) == expected
    assert len(ticks) == n_taken


def test_others_read_the_same_files(data: Data, photos: Path) -> None:
    part = Part(data.train.source, [3, 11, 19, 3])
    files = files_of(part)
    assert files == Files(photos, [data.train.source.name(i) for i in part.indices], [0, 1, 2, 0])
    assert files_of(Part(ArrayImages("grey", np.zeros((2, 8, 8), np.uint8), [0, 1]), range(2))) is None
    feed = torchvision_feed(files, (32, 32), 3, 0)
    assert [next(feed) for _ in range(4)] == [3, 1, 3, 1]


def test_another_loader_that_cannot_read_the_files_is_said(data: Data, photos: Path) -> None:
    files = files_of(data.train)
    assert files is not None
    for path in photos.rglob("*.jpg"):
        path.write_bytes(b"no image")
    into: dict[str, list[float]] = {}
    runners = {"torchvision": Runner(torchvision_feed(files, (32, 32), 4, 0), 1, 4)}
    with pytest.raises(DataError, match="torchvision stopped: UnidentifiedImageError cannot identify image file"):
        take_turns(runners, 0.01, 1, into)
    assert into == {"torchvision": []}


def test_turns_go_round(data: Data) -> None:
    runners = {name: Runner(itertools.repeat(4), 1, 1) for name in ("a", "b")}
    into: dict[str, list[float]] = {}
    seen: list[tuple[int, ...]] = []
    take_turns(runners, 1e-6, 3, into, lambda: seen.append(tuple(len(each) for each in into.values())))
    assert seen == [(1,), (1, 1), (2, 1), (2, 2), (3, 2), (3, 3)]
