"""IDX files: whole, cut, and of another kind."""

import gzip
import struct
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clfctl.data.pixels.transform import Preprocess, to_augmented_pixels, to_pixels
from clfctl.data.sources.base import ArrayImages
from clfctl.data.sources.idx import SYSTEM_FOLDERS, find_idx, read_idx
from clfctl.data.sources.labelled import open_other
from clfctl.data.sources.open import open_data
from clfctl.errors import DataError
from clfctl.settings.data import DataSettings

HEADER = b"\0\0\x08\x02" + struct.pack(">II", 2, 3)


@pytest.mark.parametrize("zipped", [False, True])
def test_reads_what_was_written(tmp_path: Path, zipped: bool) -> None:
    content = HEADER + bytes(range(6))
    path = tmp_path / ("x.gz" if zipped else "x")
    path.write_bytes(gzip.compress(content) if zipped else content)
    assert np.array_equal(read_idx(path), [[0, 1, 2], [3, 4, 5]])


@pytest.mark.parametrize(
    "content", [b"", b"\0\0", HEADER, HEADER + b"12345", b"\0\0\x0d\x01" + bytes(8), b"PNG" + bytes(9)]
)
def test_refuses_what_is_not_whole(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(DataError, match="not an IDX file"):
        read_idx(path)


@pytest.mark.skipif(
    not SYSTEM_FOLDERS["fashion-mnist"].is_dir(), reason="Debian's dataset-fashion-mnist is not installed"
)
def test_finds_and_splits_the_system_package(tmp_path: Path) -> None:
    assert find_idx("fashion-mnist", "FashionMNIST", tmp_path, "train")
    data = open_data(DataSettings(data="fashion-mnist", data_dir=tmp_path), 0)
    assert data.test is not None
    assert [len(part) for part in (data.train, data.val, data.test)] == [48000, 12000, 10000]
    assert data.classes[9] == "Ankle boot"


def write_idx(folder: Path, part: str, labels: list[int], *, mark: str = "-", end: str = ".gz") -> None:
    folder.mkdir(exist_ok=True)
    images = b"\0\0\x08\x03" + struct.pack(">III", len(labels), 4, 4) + bytes(range(16)) * len(labels)
    numbers = b"\0\0\x08\x01" + struct.pack(">I", len(labels)) + bytes(labels)
    for kind, content in (("images", images), ("labels", numbers)):
        name = f"{part}-{kind}{mark}idx{3 if kind == 'images' else 1}-ubyte{end}"
        (folder / name).write_bytes(gzip.compress(content) if end else content)


@pytest.mark.parametrize(("mark", "end"), [("-", ".gz"), ("-", ""), (".", "")])
def test_a_folder_of_idx_files_is_read_by_its_path(tmp_path: Path, mark: str, end: str) -> None:
    root = tmp_path / "fashion-mnist"
    write_idx(root, "train", [0, 1, 2] * 4, mark=mark, end=end)
    settings = DataSettings(data=str(root), batch_size=1)
    data = open_data(settings, 0)
    assert (data.classes[0], len(data.train) + len(data.val), data.test) == ("T-shirt/top", 12, None)
    write_idx(root, "t10k", [2, 0], mark=mark, end=end)
    found = open_other(settings, "test")
    assert [found.part.source.labels[index] for index in found.part.indices] == [2, 0]
    root.rename(tmp_path / "letters")
    assert open_data(DataSettings(data=str(tmp_path / "letters"), batch_size=1), 0).classes == ("0", "1", "2")


@pytest.mark.parametrize(
    ("train", "test", "error"),
    [
        ([0, 1], [0, 3], "has the class 3, but training ends at 1"),
        ([], [], "0 images and train-labels-idx1-ubyte.gz 0 labels"),
        ([0, 1], [], "0 images and t10k-labels-idx1-ubyte.gz 0 labels"),
    ],
)
def test_idx_labels_that_cannot_be_are_refused(tmp_path: Path, train: list[int], test: list[int], error: str) -> None:
    write_idx(tmp_path / "x", "train", train)
    write_idx(tmp_path / "x", "t10k", test)
    with pytest.raises(DataError) as caught:
        open_data(DataSettings(data=str(tmp_path / "x"), batch_size=1), 0)
    assert error in str(caught.value)


def test_images_and_labels_that_are_exchanged_are_refused(tmp_path: Path) -> None:
    write_idx(tmp_path / "x", "train", [0, 1])
    images, labels = sorted((tmp_path / "x").iterdir())
    content = images.read_bytes()
    images.write_bytes(labels.read_bytes())
    labels.write_bytes(content)
    with pytest.raises(DataError, match="1 dimensions"):
        open_data(DataSettings(data=str(tmp_path / "x"), batch_size=1), 0)


@pytest.mark.parametrize("shape", [(5, 28, 28), (5, 9, 13, 3)])
def test_arrays_give_the_pixels_that_pillow_gives(shape: tuple[int, ...]) -> None:
    """They are not handed to Pillow, which took most of the time that a small image takes."""
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    source = ArrayImages("noise", images, [0] * 5)
    preprocess = Preprocess(20)
    for index in range(5):
        for see in (
            partial(to_pixels, preprocess=preprocess),
            partial(to_augmented_pixels, preprocess=preprocess, key=index),
        ):
            assert np.array_equal(see(source.open(index)), see(Image.fromarray(images[index])))
