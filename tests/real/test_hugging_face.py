"""Data sets as Hugging Face's libraries write them: read without those libraries, part by part."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("pyarrow")

from typer.testing import Result

from clfctl.data.cache.make import cached_sources, describe_cache
from clfctl.data.onlookers import Onlookers
from clfctl.data.pixels.transform import Preprocess
from clfctl.data.sources.labelled import ALL, open_other
from clfctl.data.sources.open import open_data
from clfctl.errors import DataError, UsageError
from clfctl.settings.data import DataSettings
from tests.conftest import SMALL_IMAGES
from tests.real import hugging_face as real
from tests.real.test_shards import counted, opened

Cli = Callable[..., Result]
UNPACKED = "are unpacked once, into"


@pytest.mark.parametrize(
    ("make", "sizes", "notes"),
    [
        (real.cloned_repository, (6, 2, 2), (UNPACKED,)),
        (real.with_a_configuration, (2, 2, 2), (UNPACKED,)),
        (real.single_file, (2, 2, 0), (UNPACKED,)),
        (real.with_words, (2, 2, 0), (UNPACKED,)),
        (real.with_bytes, (2, 2, 0), (UNPACKED,)),
        (
            real.without_test_labels,
            (4, 2, 0),
            (UNPACKED, "the test images are left out: none of the 2 rows of test has a"),
        ),
        (real.imagenet_like, (4, 2, 0), ("the test images are left out: none of the 2 rows of test has a label",)),
        (real.without_label_column, (4, 2, 0), ("the test images are left out: test has no column of labels",)),
        (
            real.partly_labelled,
            (4, 2, 0),
            ("splits of", "2 of the 4 rows of validation have no label and are left out"),
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_images_have_their_classes(
    make: Callable[[Path], Path], sizes: tuple[int, ...], notes: tuple[str, ...], tmp_path: Path
) -> None:
    data = opened(make(tmp_path / "data"))
    assert data.classes == real.PETS
    parts = (data.train, data.val, data.test)
    assert tuple(len(part or ()) for part in parts) == sizes
    for part in parts:
        assert all(label == color for label, color in counted(part, data.classes))
    assert len(data.notes) == len(notes)
    for note, expected in zip(data.notes, notes, strict=True):
        assert expected in note


def test_parts_are_unpacked_when_they_are_read(tmp_path: Path) -> None:
    data = opened(real.cloned_repository(tmp_path / "data"))
    folder = tmp_path / "cache/clfctl/unpacked"
    assert not folder.exists()
    data.train.source.open(0)
    assert len(list(folder.iterdir())) == 2
    assert "test-00000" not in str(list(folder.iterdir()))


def test_unpacking_is_shown_and_done_once(tmp_path: Path) -> None:
    shown: list[tuple[str, int, list[int]]] = []

    @contextmanager
    def bar(title: str, total: int) -> Iterator[Callable[[int], None]]:
        shown.append((title, total, []))
        yield shown[-1][2].append

    def sources() -> None:
        data = opened(real.cloned_repository(tmp_path / "data") if not shown else tmp_path / "data")
        settings = DataSettings(data=str(tmp_path / "data"))
        cached_sources(settings, data, Preprocess(32), Onlookers(lambda _: None, bar))

    sources()
    assert shown == [("Unpacking images", 8, [4, 4])]
    sources()
    assert len(shown) == 1


@pytest.mark.parametrize("cache", ["disk", "ram"])
def test_what_a_cache_would_be_is_said_without_unpacking(cache: str, tmp_path: Path) -> None:
    data = opened(real.cloned_repository(tmp_path / "data"))
    settings = DataSettings(data=str(tmp_path / "data"), cache=cache)
    (line,) = describe_cache(settings, data, Preprocess(32))
    assert "to be made when the images are unpacked, about " in line
    assert not (tmp_path / "cache/clfctl/unpacked").exists()


def test_what_is_measured_is_all_that_is_opened(tmp_path: Path) -> None:
    root = real.test_only(tmp_path / "test")
    with pytest.raises(UsageError, match="has no val images") as caught:
        open_other(DataSettings(data=str(root)), "val")
    assert caught.value.hint == "there are: test"
    assert len(open_other(DataSettings(data=str(root)), "test").part) == 2
    with pytest.raises(DataError, match="has no training images"):
        open_data(DataSettings(data=str(root), batch_size=1), 0)
    for make in (real.imagenet_like, real.without_label_column):
        root = make(tmp_path / make.__name__)
        shutil.rmtree(root / "train")
        assert len(open_other(DataSettings(data=str(root)), "val").part) == 2
        with pytest.raises(DataError, match="no test images can be measured: "):
            open_other(DataSettings(data=str(root)), "test")
    labelled = open_other(DataSettings(data=str(real.single_file(tmp_path / "one"))), "val")
    assert (labelled.split, len(labelled.part)) == (ALL, 4)


def test_a_missing_test_folder_does_not_keep_from_training(tmp_path: Path) -> None:
    root = real.saved(tmp_path / "data", train=[0, 1, 0, 1], test=[0, 1])
    shutil.rmtree(root / "test")
    data = opened(root)
    assert (len(data.train), data.test) == (2, None)
    assert "the test images are left out" in data.notes[0]


def pointer(root: Path) -> Path:
    path = root / "data/train-00000-of-00001.parquet"
    path.parent.mkdir(parents=True)
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 2\n")
    return root


def two_data_sets(root: Path) -> Path:
    real.with_a_configuration(root)
    real.write(root / "masks/train-00000-of-00001.parquet", real.columns([0, 1]))
    return root


def huge_cells(root: Path) -> Path:
    """Images where paths belong, in a table that is not of Hugging Face: 5 MB of bytes."""
    table = {"path": [b"\xff" * 5_000_000] * 2, "label": ["a", "b"]}
    return real.write(root / "x.parquet", table, None)


def no_images(root: Path) -> Path:
    real.write(root / "data/train-00000-of-00001.parquet", {"text": ["a"], "label": [0]}, None)
    return root


def no_training_labels(root: Path) -> Path:
    return real.saved(root, train=[0, -1, 1])


def untrained_class(root: Path) -> Path:
    """Classes in words, one of which only the test images have."""
    for part, words in (("train", ["cat", "dog"]), ("test", ["cat", "eel"])):
        real.write(root / f"{part}-00000-of-00001.parquet", real.columns(words), None)
    return root


def label_beyond(root: Path) -> Path:
    return real.saved(root, train=[0, 1, 2])


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (pointer, "is a pointer of Git LFS"),
        (two_data_sets, "holds several data sets: masks, plain_text"),
        (huge_cells, "its column path holds binary, not a path"),
        (no_images, "has no column of images: text (string), label (int64)"),
        (no_training_labels, "train: row 1 has no label"),
        (untrained_class, "has no training images of eel"),
        (label_beyond, "row 2 has the label 2 of 2 classes"),
    ],
)
def test_refusals_are_short_sentences(make: Callable[[Path], Path], error: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        opened(make(tmp_path / "data"))
    assert error in str(caught.value)
    assert len(str(caught.value)) < 400 + 2 * len(str(tmp_path))


@pytest.mark.slow
def test_training_and_measuring_on_a_cloned_repository(tmp_path: Path, cli: Cli) -> None:
    root = real.without_test_labels(tmp_path / "data")
    words = ("train", "--data", str(root), *SMALL_IMAGES, "--batch-size", "2", "--epochs", "1", "--no-export")
    result = cli(*words, "--run-name", "one")
    assert result.exit_code == 0, result.output
    assert "the test images are left out: none of the 2 rows" in result.output.replace("\n", " ")
    record = json.loads(cli("eval", "runs/one", "--json").stdout)
    assert (record["split"], record["n_images"]) == ("val", 2)
    result = cli("eval", "runs/one", "--split", "test")
    assert (result.exit_code, "none of the 2 rows of test has a label" in result.stderr) == (2, True)
    result = cli("resume", "runs/one", "--epochs", "2")
    assert result.exit_code == 0, result.output
