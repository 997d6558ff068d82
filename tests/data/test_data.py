"""Finding, splitting, opening and loading images."""

import random
from collections.abc import Generator
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from clfctl.data.keys import hash_key, permutation, times_before
from clfctl.data.loader import BadImages, Loader
from clfctl.data.pixels.fit import FITS, canvas_of, random_box
from clfctl.data.pixels.transform import LIGHT, Preprocess, to_augmented_pixels, to_pixels
from clfctl.data.sources.base import ArrayImages, Part
from clfctl.data.sources.folder import images_in, index_folder
from clfctl.data.sources.open import open_data
from clfctl.data.sources.splits import limit_classes, stratified_split
from clfctl.errors import ClfctlError, DataError, UsageError
from clfctl.settings.data import DataSettings, Fit

SEEN = Preprocess(32, 1.0)


def grey(n: int) -> Part:
    """n images, each of one grey level that is its label."""
    images = np.arange(n, dtype=np.uint8)[:, None, None].repeat(8, 1).repeat(8, 2)
    return Part(ArrayImages("grey", images, list(range(n))), range(n))


def loader(part: Part, **options: Any) -> Loader:
    given: dict[str, Any] = {"batch_size": 4, "workers": 2, "bad_images": BadImages("skip", len(part))} | options
    return Loader(part, SEEN, **given)


def labels_of(part: Part, epoch: int = 0, start: int = 0, **options: Any) -> list[list[int]]:
    return [batch.labels.tolist() for batch in loader(part, **options).batches(epoch, start)]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=200), st.floats(0.05, 0.9), st.integers(0, 100))
def test_split_is_stratified_deterministic_and_complete(labels: list[int], share: float, seed: int) -> None:
    counts = [labels.count(label) for label in range(5)]
    train, val = stratified_split(labels, share, seed)
    assert sorted(train + val) == list(range(len(labels)))
    assert (train, val) == stratified_split(labels, share, seed)
    for label, count in enumerate(counts):
        n_val = sum(labels[i] == label for i in val)
        assert n_val == (min(max(1, round(share * count)), count - 1) if count else 0)


def test_split_differs_by_seed() -> None:
    labels = [0, 1] * 50
    assert stratified_split(labels, 0.2, 0) != stratified_split(labels, 0.2, 1)


def test_the_split_of_a_seed_stays_what_it_was() -> None:
    assert stratified_split([2, 0, 1, 2, 0, 2, 0, 2, 2, 1, 0, 3], 0.4, 7)[1] == [0, 1, 3, 6, 9]


def test_many_classes_cost_no_more_for_an_image_than_few() -> None:
    def seconds(n_classes: int) -> float:
        labels = np.tile(np.arange(n_classes), 100)
        part = Part(ArrayImages("none", np.zeros((0, 1, 1, 3), np.uint8), labels.tolist()), range(len(labels)))
        start = process_time()
        stratified_split(part.source.labels, 0.2, 0)
        limit_classes(part, 5, 0)
        return process_time() - start

    assert seconds(10_000) < 25 * seconds(1_000)


def test_key_depends_on_every_number_and_its_place() -> None:
    keys = [hash_key(a, b, c) for a in range(8) for b in range(8) for c in range(8)]
    assert len(set(keys)) == 512
    assert all(0 <= key < 2**63 for key in keys)
    assert sorted(permutation(100, 1, 2).tolist()) == list(range(100))


def test_order_is_that_of_the_epoch_whatever_the_workers() -> None:
    part = grey(23)
    once = labels_of(part, epoch=3, shuffle_seed=1, workers=0)
    assert once == labels_of(part, epoch=3, shuffle_seed=1, workers=3)
    assert once != labels_of(part, epoch=4, shuffle_seed=1)
    assert sorted(label for labels in once for label in labels) == list(range(23))


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_may_start_at_any_batch(workers: int) -> None:
    part = grey(23)
    whole = labels_of(part, epoch=1, shuffle_seed=5, workers=workers)
    for start in range(7):
        assert labels_of(part, epoch=1, start=start, shuffle_seed=5, workers=workers) == whole[start:]


def test_a_last_batch_of_one_image_is_not_trained_on_but_is_validated() -> None:
    assert [len(each) for each in labels_of(grey(9), shuffle_seed=0)] == [4, 4]
    assert [len(each) for each in labels_of(grey(9))] == [4, 4, 1]
    assert loader(grey(9), shuffle_seed=0).n_batches == 2


def test_images_are_uint8_channels_last_and_belong_to_their_labels() -> None:
    batch = next(loader(grey(9), shuffle_seed=0).batches())
    assert batch.images.dtype == torch.uint8
    assert batch.images.shape == (4, 3, 32, 32)
    assert batch.images.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(batch.images[:, 0, 0, 0].long(), batch.labels)


def test_augmentation_is_that_of_the_sample_whatever_the_workers() -> None:
    part = noise(50)
    first, *again, other_epoch = (
        torch.cat([b.images for b in loader(part, shuffle_seed=1, augment=LIGHT, workers=w).batches(epoch)])
        for w, epoch in ((0, 0), (1, 0), (2, 0), (4, 0), (3, 1))
    )
    assert all(torch.equal(first, each) for each in again)
    assert not set(map(bytes, first.numpy())) & set(map(bytes, other_epoch.numpy()))


def noise(n: int) -> Part:
    """Images of which no two crops look alike."""
    images = np.random.default_rng(0).integers(0, 256, (n, 60, 80, 3), np.uint8)
    return Part(ArrayImages("noise", images, [0] * n), range(n))


def test_an_image_that_is_drawn_twice_is_augmented_in_two_ways() -> None:
    one = Part(noise(1).source, [0] * 6, np.full(6, 1 / 6))
    once, again = (
        torch.cat([batch.images for batch in loader(one, shuffle_seed=1, augment=LIGHT, workers=w).batches()])
        for w in (0, 3)
    )
    assert len(torch.unique(once, dim=0)) == 6
    assert torch.equal(once, again)


@given(st.lists(st.integers(0, 5), max_size=30))
def test_times_before_counts(order: list[int]) -> None:
    expected = [order[:i].count(number) for i, number in enumerate(order)]
    assert times_before(np.array(order, np.int64)).tolist() == expected


@given(st.integers(1, 400), st.integers(1, 400), st.sampled_from(FITS), st.integers(0, 1000))
def test_random_box_lies_inside_and_shows_some_of_the_image(width: int, height: int, fit: Fit, seed: int) -> None:
    canvas = canvas_of(width, height, fit, (32, 48))
    left, top, right, bottom = random_box(canvas, random.Random(seed))
    assert 0 <= left < right <= canvas.width
    assert 0 <= top < bottom <= canvas.height
    # As much as it can: all of a side that is shorter than the box is, and nothing but image of one that is longer.
    across = min(right, canvas.left + width) - max(left, canvas.left)
    down = min(bottom, canvas.top + height) - max(top, canvas.top)
    assert (across, down) == (min(width, right - left), min(height, bottom - top))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "CMYK", "1"])
@pytest.mark.parametrize("size", [(5, 300), (640, 480), (32, 32)])
def test_every_mode_and_shape_becomes_rgb_of_the_size(mode: str, size: tuple[int, int]) -> None:
    image = Image.new(mode, size)
    assert to_pixels(image, SEEN).shape == (32, 32, 3)
    assert to_augmented_pixels(image, SEEN, 7).shape == (32, 32, 3)


def test_centre_of_a_jpeg_is_the_same_with_and_without_the_decoders_own_scaling(tmp_path: Path) -> None:
    pixels = np.zeros((480, 640, 3), np.uint8)
    pixels[:, :, 0] = np.linspace(0, 255, 640).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "ramp.jpg", quality=95)
    Image.fromarray(pixels).save(tmp_path / "ramp.png")
    seen = []
    for kind in ("jpg", "png"):
        with Image.open(tmp_path / f"ramp.{kind}") as image:
            seen.append(to_pixels(image, SEEN).astype(int))
    assert abs(seen[0] - seen[1]).max() <= 4


def spoil(path: Path, n: int) -> None:
    path.write_bytes(path.read_bytes()[:n])


def test_bad_images_are_named_skipped_and_counted(photos: Path) -> None:
    spoil(photos / "red" / "3.jpg", 300)
    (photos / "green" / "4.jpg").write_text("not an image")
    index = index_folder(photos)
    from clfctl.data.sources.base import FileImages

    part = Part(FileImages(index.train.paths, index.train.labels), range(24))
    bad = BadImages("skip", 24)
    assert sum(len(batch.labels) for batch in loader(part, bad_images=bad).batches()) == 22
    assert sorted(Path(name).name for name in bad.found) == ["3.jpg", "4.jpg"]
    with pytest.raises(DataError, match=r"3\.jpg cannot be read|4\.jpg cannot be read"):
        list(loader(part, bad_images=BadImages("error", 24)).batches())


def test_many_bad_images_are_no_accident(photos: Path) -> None:
    for i in range(3):
        spoil(photos / "blue" / f"{i}.jpg", 100)
    data = open_data(DataSettings(data=str(photos), val_split=0, batch_size=4), 0)
    with pytest.raises(DataError, match="3 of 24 images cannot be read"):
        list(loader(data.train).batches())


def test_loader_threads_end_when_the_epoch_is_left() -> None:
    import threading

    batches = loader(grey(100), workers=3).batches()
    next(batches)
    assert isinstance(batches, Generator)
    batches.close()  # waits for nobody: a read may hang
    for thread in threading.enumerate():
        if thread.name.startswith("clfctl-loader"):
            thread.join(10)
            assert not thread.is_alive()


def test_digits_are_the_scans() -> None:
    data = open_data(DataSettings(data="digits"), 0)
    assert (len(data.train), len(data.val), len(data.classes)) == (1438, 359, 10)
    assert not set(data.train.indices) & set(data.val.indices)


def test_folder_with_parts_uses_them(photos: Path) -> None:
    (photos / "0").mkdir()
    for part in ("train", "val", "test"):
        for color in ("red", "blue"):
            (photos / "0" / part / color).mkdir(parents=True)
            for i in range(4):
                (photos / "0" / part / color / f"{i}.jpg").write_bytes((photos / color / f"{i}.jpg").read_bytes())
    data = open_data(DataSettings(data=str(photos / "0"), batch_size=2), 0)
    assert data.classes == ("blue", "red")
    assert data.test is not None
    assert [len(part) for part in (data.train, data.val, data.test)] == [8, 8, 8]


def test_hidden_files_are_no_images(photos: Path) -> None:
    (photos / "red" / "._0.jpg").write_text("")
    (photos / ".cache").mkdir()
    assert len(images_in(photos)) == 24
    assert index_folder(photos).classes == ("blue", "green", "red")


def refusal(**options: Any) -> ClfctlError:
    with pytest.raises(ClfctlError) as caught:
        open_data(DataSettings.model_validate(options), 0)
    return caught.value


def test_refusals_say_what_is_wrong(photos: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "does not exist" in str(refusal(data=str(tmp_path / "gone")))
    assert "has no images" in str(refusal(data=str(empty)))
    assert "fashion-mnist" in refusal(data="fashion_mnist").hint
    assert "`download=True`" in refusal(data="cifar10").hint
    error = refusal(data=str(photos), batch_size=64)
    assert isinstance(error, UsageError)
    assert str(error) == "batch_size: 64 is more than the 18 training images"
    (photos / "new").mkdir()
    assert "has no images" in str(refusal(data=str(photos)))


def test_one_class_and_loose_images_are_refused(photos: Path) -> None:
    assert "24 images but no class" not in str(refusal(data=str(photos / "red")))
    assert "8 images but no class folders" in str(refusal(data=str(photos / "red")))
    for color in ("red", "blue"):
        (photos / color).rename(photos.parent / color)
    assert "one class only (green)" in str(refusal(data=str(photos)))


def test_class_names_are_those_for_people(photos: Path) -> None:
    names = photos / "class_names.json"
    names.write_text('{"red": "ripe", "green": "unripe", "of another set": "x"}')
    assert open_data(DataSettings(data=str(photos), batch_size=4), 0).classes == ("blue", "unripe", "ripe")
    for text, error in (
        ('{"red": "same", "green": "same"}', "green and red are both called same"),
        ('{"red": "blue"}', "blue and red are both called blue"),
        ('["a"]', "does not hold a JSON object of names"),
        ('{"red": 1}', "does not hold a JSON object of names"),
        ('{"red"', "cannot be read"),
    ):
        names.write_text(text)
        assert error in str(refusal(data=str(photos), batch_size=4))


def test_images_come_in_the_order_of_their_paths_parts(tmp_path: Path) -> None:
    for name in (
        "a/b/1.jpg",
        "a-b/1.jpg",
        "a/a.PNG",
        "a/z.jpeg",
        "b/2.jpg",
        "a/b/.hidden.jpg",
        "a/__x__/1.jpg",
        "a/x.txt",
    ):
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).touch()
    found = images_in(tmp_path / "set")
    assert found == sorted(found)
    assert [path.relative_to(tmp_path / "set").as_posix() for path in found] == [
        "a/a.PNG", "a/b/1.jpg", "a/z.jpeg", "a-b/1.jpg", "b/2.jpg",
    ]  # fmt: skip


def test_links_to_folders_are_followed_and_circles_left(photos: Path) -> None:
    (photos / "red" / "again").symlink_to(photos / "blue")
    (photos / "red" / "circle").symlink_to(photos)
    names = [str(path.relative_to(photos)) for path in images_in(photos)]
    assert names.count("red/again/0.jpg") == 1
    assert not [name for name in names if "circle" in name]
    assert len(names) == 32


def test_paths_of_a_folder_are_a_sequence(photos: Path) -> None:
    paths = index_folder(photos).train.paths
    assert (len(paths), paths[0], paths[-1]) == (24, f"{photos}/blue/0.jpg", f"{photos}/red/7.jpg")
    assert list(paths[22:]) == [f"{photos}/red/6.jpg", f"{photos}/red/7.jpg"]


def test_each_of_several_processes_gets_its_share_of_the_global_batches() -> None:
    whole = labels_of(grey(23), shuffle_seed=3)
    for n in (2, 3):
        shares = [labels_of(grey(23), shuffle_seed=3, rank=rank, n_ranks=n) for rank in range(n)]
        assert {len(share) for share in shares} == {len(whole)}
        for batch, *parts in zip(whole, *shares, strict=True):
            assert sorted(label for part in parts for label in part) == sorted(batch)
