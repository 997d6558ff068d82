"""WebDataset shards as people make them: every image with its own class, or a sentence that says what is wrong."""

import contextlib
import io
import os
import shutil
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from clfctl.data.sources.base import Data, Part
from clfctl.data.sources.labelled import ALL, open_other
from clfctl.data.sources.open import open_data
from clfctl.data.sources.samples import Counts, read_samples
from clfctl.data.sources.unpacked import place_of, unpack
from clfctl.errors import ClfctlError, DataError
from clfctl.settings.data import DataSettings
from tests.real import shards as real

FOUR = {"cat": 4, "dog": 4}


def opened(root: Path) -> Data:
    return open_data(DataSettings(data=str(root), val_split=0.25, batch_size=1), 0)


def counted(part: Part | None, classes: tuple[str, ...]) -> Counter[tuple[str, str]]:
    """Return how many images there are by (class by the label, class by the colour)."""
    found: Counter[tuple[str, str]] = Counter()
    if part is None:
        return found
    for index in part.indices:
        channel = int(np.asarray(part.source.open(index))[12, 12].argmax())
        color = next(name for name, its_channel in real.COLORS.items() if its_channel == channel)
        found[classes[part.source.labels[index]], color] += 1
    return found


@pytest.mark.parametrize(
    ("make", "counts", "note"),
    [
        (real.keys_begin_again, {"cat": 10, "dog": 6, "eel": 4}, "6 keys occur more than once in a shard (0000)"),
        (real.images_before_classes, FOUR, ""),
        (real.cloned_repository, FOUR, ""),
        (real.tar_gz, FOUR, "compressed shards were unpacked into"),
        (real.folder_of_tgz, FOUR, "compressed shards were unpacked into"),
        (real.xz_called_tar, FOUR, "compressed shards were unpacked into"),
        (real.several_images, FOUR, "4 samples have several images, of which the first is used"),
        (real.made_on_a_mac, FOUR, ""),
        (real.long_names, FOUR, ""),
        (real.made_with_notepad, FOUR, ""),
        (real.folders_of_parts, {"cat": 4, "dog": 4, "eel": 4}, ""),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_every_image_has_its_own_class(
    make: Callable[[Path], Path], counts: dict[str, int], note: str, tmp_path: Path
) -> None:
    data = opened(make(tmp_path / "data"))
    found = sum((counted(part, data.classes) for part in (data.train, data.val, data.test)), Counter())
    assert found == {(name, name): n for name, n in counts.items()}
    assert note in "".join(data.notes)
    assert bool(data.notes) == bool(note)


@pytest.mark.parametrize("make", [real.corrected_sample_appended, real.last_sample_appended])
def test_an_appended_sample_is_one_more(make: Callable[[Path], Path], tmp_path: Path) -> None:
    """Its image is of the first class and its label of the other: the first sample is not touched, as in WebDataset."""
    data = opened(make(tmp_path / "data"))
    label = "dog" if make is real.corrected_sample_appended else "cat"
    found = counted(data.train, data.classes) + counted(data.val, data.classes)
    assert found == {("cat", "cat"): 4 + (label == "cat"), ("dog", "dog"): 4 + (label == "dog")}
    assert "1 key occurs more than once in a shard" in data.notes[0]


def test_folders_are_parts(tmp_path: Path) -> None:
    data = opened(real.folders_of_parts(tmp_path / "data"))
    assert (len(data.train), len(data.val)) == (9, 3)
    data = opened(real.cloned_repository(tmp_path / "clone"))
    assert (len(data.train), len(data.val)) == (6, 2)


def test_unpacked_shards_are_kept_until_they_change(tmp_path: Path) -> None:
    path = real.tar_gz(tmp_path / "data")
    opened(path)
    (unpacked,) = (tmp_path / "cache/clfctl/unpacked").iterdir()
    assert not opened(path).notes
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(DataError, match="cannot be unpacked"):
        opened(path)
    assert not unpacked.exists()
    assert not list(unpacked.parent.iterdir())


def test_that_shards_are_unpacked_is_told_before(tmp_path: Path, cli: Callable[..., Result]) -> None:
    path, unpacked, told = real.tar_gz(tmp_path / "data"), tmp_path / "cache/clfctl/unpacked", list[str]()

    def tell(line: str) -> None:
        told.append(line)
        assert not unpacked.exists()

    settings = DataSettings(data=str(path), batch_size=1)
    open_data(settings, 0, tell)
    assert len(told) == 1
    assert f"unpacking compressed shards into {unpacked}" in told[0]
    open_data(settings, 0, tell)
    assert len(told) == 1
    shutil.rmtree(unpacked)
    open_other(settings, "val", tell)
    assert len(told) == 2
    os.utime(path, (1, 1))
    words = ("train", "--data", str(path), "--batch-size", "1", "--image-size", "32", "--dry-run")
    assert f"Data   unpacking compressed shards into {unpacked}" in cli(*words).stderr


def test_a_shard_that_another_command_unpacks_again_can_still_be_read(tmp_path: Path) -> None:
    """A training reads what it unpacked; the shard is touched, and a second command removes what it held before."""
    path = real.tar_gz(tmp_path / "data")
    first = opened(path)
    (old,) = (tmp_path / "cache/clfctl/unpacked").iterdir()
    os.utime(path, (1, 1))
    second = opened(path)
    assert not old.exists()
    assert counted(first.train, first.classes) == counted(second.train, second.classes)


def test_what_another_process_has_just_unpacked_is_not_removed(tmp_path: Path) -> None:
    path = real.tar_gz(tmp_path / "data")
    place = place_of(path, ".tar", tmp_path)
    place.write_bytes(b"made meanwhile")

    def pieces() -> Iterator[bytes]:
        assert place.read_bytes() == b"made meanwhile"
        yield b"whole"

    unpack(path, place, 0, pieces())
    assert place.read_bytes() == b"whole"


def boundaries(whole: bytes) -> list[int]:
    """Where the headers of the members begin, and where the last member ends."""
    with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
        return [*(member.offset for member in tar.getmembers()), tar.offset]


def test_no_image_of_a_damaged_shard_is_lost_without_a_word(tmp_path: Path) -> None:
    """One byte of each header changed, a cut at and inside of each header, other bytes at the end, archives joined."""
    path = real.shard(tmp_path / "x.tar", real.samples(2))
    whole = path.read_bytes()
    places = boundaries(whole)
    assert len(places) == 9
    damaged = {f"header {at}": whole[: at + 5] + b"~" + whole[at + 6 :] for at in places[1:]}
    damaged |= {f"cut {at}": whole[:at] for at in places[:-1]} | {
        f"inside {at}": whole[: at + 99] for at in places[:-1]
    }
    damaged |= {"joined": whole + whole, "other": whole + b"x", "text": whole[: places[4]] + b"not the next header"}
    for name, content in damaged.items():
        path.write_bytes(content)
        counts = Counts()
        if not name.startswith("cut") or name == "cut 0":
            with pytest.raises(DataError, match=r"x\.tar"):
                [*read_samples(path, path, counts)]
            continue
        # Some writers leave out the end mark: what is there is good, unless the cut is between an image and its class.
        with contextlib.suppress(DataError):
            assert len([*read_samples(path, path, counts)]) < 4
            assert "no end mark and may have been cut" in counts.notes()[0]
    for n_zeros in (0, 512, 1024, 9999):
        path.write_bytes(whole[: places[-1]] + bytes(n_zeros))
        counts = Counts()
        assert len([*read_samples(path, path, counts)]) == 4
        assert bool(counts.notes()) == (n_zeros == 0)


CAT, DOG = real.sample("a", "cat"), real.sample("b", "dog")


@pytest.mark.parametrize(
    ("members", "error"),
    [
        ([*CAT, *DOG, ("a.cls", b"dog")], "the key a occurs 2 times, and a class of a stands alone"),
        ([*CAT, *DOG, ("a.jpg", real.jpeg("dog", 1))], "the key a occurs 2 times, and a.jpg stands alone"),
        ([CAT[0], *DOG, CAT[0], *DOG, CAT[1]], "the key a occurs 3 times, and a.jpg stands alone"),
        ([*CAT, DOG[0], ("b.cls", b" \n")], "b.cls is empty"),
        ([*CAT, DOG[0], ("b.cls", b"\xff")], "b.cls cannot be read"),
        ([*CAT, DOG[0], ("b.json", b'{"label": ""}')], "b.jpg has no class"),
        ([*CAT, DOG[0], ("b.json", b'{"label"')], "b.json cannot be read"),
        ([("IMG.1.jpg", b"x"), ("IMG.1.cls", b"0")], "has no images"),
        ([*CAT, DOG[0], (f"b.{'x' * 90}.json", b"{}"), ("b.json", b"x" * 3_000_000)], "b.json cannot be read"),
    ],
)
def test_what_does_not_belong_together_is_never_joined(members: list[real.Member], error: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        opened(real.shard(tmp_path / "x.tar", members))
    assert error in str(caught.value)
    assert len(str(caught.value)) < 400 + len(str(tmp_path))


def test_to_measure_one_class_is_enough_and_any_class_will_do(tmp_path: Path) -> None:
    one = real.shard(tmp_path / "one.tar", real.samples(2, ["eel"]))
    labelled = open_other(DataSettings(data=str(one)), "val")
    assert (labelled.split, labelled.classes, len(labelled.part)) == (ALL, ("eel",), 2)
    parts = real.folders_of_parts(tmp_path / "parts")
    real.shard(parts / "test-0.tar", real.samples(2, ["eel"]))
    real.shard(parts / "train-0.tar", [("a.jpg", b"without a class")])
    labelled = open_other(DataSettings(data=str(parts)), "test")
    assert (labelled.split, labelled.classes, len(labelled.part)) == ("test", ("eel",), 2)
    with pytest.raises(ClfctlError, match="has no class"):
        open_data(DataSettings(data=str(parts), batch_size=1), 0)


def test_broken_test_shards_do_not_keep_from_training(tmp_path: Path) -> None:
    root = real.folders_of_parts(tmp_path / "data")
    (root / "test").mkdir()
    (root / "test/0.tar").write_bytes(b"no tar")
    data = opened(root)
    assert (len(data.train), data.test) == (9, None)
    assert "the test images are left out" in data.notes[0]
