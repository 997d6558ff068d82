"""WebDataset shards: images are read where they lie, with the classes beside them."""

import io
import json
import random
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import Result

from clfctl.data.sources.base import Data
from clfctl.data.sources.open import open_data
from clfctl.data.sources.samples import Counts, read_samples
from clfctl.errors import ClfctlError, DataError
from clfctl.settings.data import DataSettings
from tests.conftest import SMALL
from tests.real.shards import shard

Cli = Callable[..., Result]


def write_shard(path: Path, members: dict[str, bytes]) -> Path:
    path.parent.mkdir(exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def samples(photos: Path, numbers: range, kind: str = "cls") -> dict[str, bytes]:
    members: dict[str, bytes] = {}
    for label, color in enumerate(("red", "blue")):
        for i in numbers:
            key = f"{color}/{i:04}"
            members[f"{key}.seg.png"] = b"not for us"
            members[f"{key}.JPG"] = (photos / color / f"{i}.jpg").read_bytes()
            value = str(label) if kind == "cls" else json.dumps({"width": 48, "label": label})
            members[f"{key}.{kind}"] = value.encode()
    return members


def opened(path: Path) -> Data:
    return open_data(DataSettings(data=str(path), batch_size=2), 0)


def colors(data: Data, part: str) -> list[tuple[str, str]]:
    """(class by the label, class by the pixels) of each image of a part."""
    found = []
    images = getattr(data, part)
    for index in images.indices:
        with images.source.open(index) as image:
            pixel = image.getpixel((20, 20))
        found.append((data.classes[images.source.labels[index]], "0" if pixel[0] > pixel[2] else "1"))
    return found


@pytest.mark.parametrize("kind", ["cls", "json"])
def test_images_are_those_of_their_class(photos: Path, tmp_path: Path, kind: str) -> None:
    data = opened(write_shard(tmp_path / "x.tar", samples(photos, range(8), kind)))
    assert data.classes == ("0", "1")
    assert (len(data.train), len(data.val)) == (12, 4)
    for part in ("train", "val"):
        assert {label for label, _ in colors(data, part)} == {"0", "1"}
        assert all(label == pixel for label, pixel in colors(data, part))


def test_shards_are_of_the_part_that_they_are_named_after(photos: Path, tmp_path: Path) -> None:
    for name, numbers in (("train-0", range(3)), ("train-1", range(3, 5)), ("x-validation-0", range(5, 6))):
        write_shard(tmp_path / f"shards/{name}.tar", samples(photos, numbers))
    write_shard(tmp_path / "shards/test.tar", samples(photos, range(6, 8)))
    (tmp_path / "shards/class_names.json").write_text('{"0": "red"}')
    data = opened(tmp_path / "shards")
    assert data.classes == ("red", "1")
    assert data.test is not None
    assert [len(part) for part in (data.train, data.val, data.test)] == [10, 2, 4]
    assert {data.val.source.name(i).split(":")[0] for i in data.val.indices} == {
        f"{tmp_path}/shards/x-validation-0.tar"
    }
    assert data.train.source.name(9) == f"{tmp_path}/shards/train-1.tar:blue/0004.JPG"


def test_an_archive_beside_class_folders_is_no_shard(photos: Path) -> None:
    write_shard(photos / "download.tar", {"x.jpg": b""})
    assert opened(photos).classes == ("blue", "green", "red")


@pytest.mark.parametrize(
    ("members", "error"),
    [
        ({}, "has no images"),
        ({"a.jpg": b"x", "a.cls": b"0"}, "has only one class (0)"),
        ({"a.jpg": b"x"}, "a.jpg has no class"),
        ({"a.jpg": b"x", "a.json": b'{"caption": "x"}'}, "a.jpg has no class"),
        ({"a.jpg": b"x", "a.json": b"{"}, "cannot be read"),
    ],
)
def test_refusals_say_what_is_wrong(tmp_path: Path, members: dict[str, bytes], error: str) -> None:
    with pytest.raises(ClfctlError) as caught:
        opened(write_shard(tmp_path / "x.tar", members))
    assert error in str(caught.value)


def test_a_shard_that_is_cut_or_compressed_or_gone_is_refused(photos: Path, tmp_path: Path) -> None:
    path = write_shard(tmp_path / "x.tar", samples(photos, range(8)))
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2 + 100], b"\x1f\x8b" + whole, b""):
        path.write_bytes(content)
        with pytest.raises(ClfctlError, match=r"x\.tar"):
            opened(path)
    path.unlink()
    with pytest.raises(ClfctlError, match=r"x\.tar does not exist"):
        opened(path)


@pytest.mark.slow
def test_training_on_shards_goes_on_where_they_are_the_same(photos: Path, tmp_path: Path, cli: Cli) -> None:
    path = write_shard(tmp_path / "x.tar", samples(photos, range(8)))
    assert cli("train", "--data", str(path), *SMALL, "--epochs", "1", "--run-name", "one").exit_code == 0
    assert cli("resume", "runs/one", "--epochs", "2").exit_code == 0
    write_shard(path, samples(photos, range(8)) | {"z/0.jpg": b"x", "z/0.cls": b"1"})
    assert "has changed since the run began" in cli("resume", "runs/one", "--epochs", "3").stderr


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xy"), st.booleans()), min_size=1, max_size=8),
    st.sampled_from(["as they are", "images first", "one member lost", "one member again"]),
    st.randoms(use_true_random=False),
)
def test_no_image_gets_the_class_of_another(
    made: list[tuple[str, str, bool]], change: str, draw: random.Random
) -> None:
    """Samples of few keys, so that most repeat: right pairs or an error, and every whole sample in its order."""
    pairs = []
    for number, (key, name, image_first) in enumerate(made):
        pair = [(f"{key}.jpg", f"{number}".encode()), (f"{key}.cls", f"{name}{number}".encode())]
        pairs.append(pair if image_first else pair[::-1])
    members = [member for pair in pairs for member in pair]
    if change == "images first":
        members.sort(key=lambda member: member[0].endswith(".cls"))
    elif change == "one member lost":
        members.pop(draw.randrange(len(members)))
    elif change == "one member again":
        members.append(draw.choice(members))
    with tempfile.TemporaryDirectory() as folder:
        path = shard(Path(folder) / "x.tar", members)
        content = path.read_bytes()
        try:
            found = [
                (content[image.offset : image.offset + image.size].decode(), class_name)
                for image, class_name in read_samples(path, path, Counts())
            ]
        except DataError:
            assert change != "as they are"
            return
    assert all(class_name[1:] == number for number, class_name in found)
    if change == "as they are":
        assert [int(number) for number, _ in found] == list(range(len(made)))
