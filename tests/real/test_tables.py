"""Tables as programs and people write them: what is read of each, what is said about it, and what is refused."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from clfctl.data.sources.base import Data
from clfctl.data.sources.labelled import open_other
from clfctl.data.sources.missing import missing
from clfctl.data.sources.open import open_data
from clfctl.errors import DataError
from clfctl.settings.data import DataSettings
from tests.real import tables as real

Cli = Callable[..., Result]
PETS, ROOMS = ("cat", "dog"), ("Küche", "Straße")
NOT_UTF8 = "the names of its classes are read as Windows-1252"


def opened(table: Path) -> Data:
    return open_data(DataSettings(data=str(table), val_split=0.5, batch_size=1), 0)


@pytest.mark.parametrize(
    ("make", "classes", "note"),
    [
        (real.pandas_to_csv, PETS, ""),
        (real.pandas_gzip, PETS, ""),
        (real.tsv_bzip2, PETS, ""),
        (real.r_write_csv, PETS, ""),
        (real.excel_utf8, PETS, ""),
        (real.excel_german, ROOMS, NOT_UTF8),
        (real.excel_with_sep, PETS, ""),
        (real.excel_unicode_text, ROOMS, ""),
        (real.powershell_export_csv, PETS, ""),
        (real.windows_paths, PETS, ""),
        (real.windows_paths_in_cp1252, ROOMS, NOT_UTF8),
        (real.find_printf, PETS, ""),
        (real.latin1_disk, ROOMS, NOT_UTF8),
        (real.weighted, PETS, "has weights: training images are drawn in proportion to them (0.5 to 3)"),
        (real.with_parts, PETS, ""),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_every_row_is_an_image_of_its_class(
    make: Callable[[Path], Path], classes: tuple[str, ...], note: str, tmp_path: Path
) -> None:
    table = make(tmp_path / "data")
    data = opened(table)
    assert data.classes == classes
    parts = [part for part in (data.train, data.val, data.test) if part]
    assert sum(map(len, parts)) == 8
    for part in parts:
        for index in part.indices:
            name = Path(part.source.name(index))
            folder = os.fsencode(name.parent.name)
            expected = data.classes[part.source.labels[index]]
            assert folder in (expected.encode(), expected.encode("latin-1"))
            assert np.asarray(part.source.open(index)).shape == (12, 14, 3)
    assert len(data.notes) == bool(note)
    assert note in "".join(data.notes)


def test_a_split_column_has_the_usual_names(tmp_path: Path) -> None:
    data = opened(real.with_parts(tmp_path / "data"))
    assert (len(data.train), len(data.val), len(data.test or ())) == (4, 2, 2)


@pytest.mark.parametrize(
    ("n_missing", "n_present", "trains"),
    [(1, 40, True), (2, 6, True), (3, 40, False), (20, 1000, True), (60, 1000, False)],
)
def test_missing_files_are_counted_by_one_rule(n_missing: int, n_present: int, trains: bool, tmp_path: Path) -> None:
    """More than 5 % of all, and at least three: as bad images in training; wherever in the table they stand."""
    table = real.mostly_there(tmp_path / "data", n_missing, n_present)
    words = f"{n_missing:,} of the {n_missing + n_present:,} files that {table} lists do"
    if trains:
        assert words in opened(table).notes[0]
        return
    with pytest.raises(DataError, match=r"do not exist, the first one: .*gone-0\.jpg") as caught:
        opened(table)
    assert words in str(caught.value)


def test_files_of_a_part_that_is_not_needed_may_be_missing(tmp_path: Path) -> None:
    """Of a competition only the training images were downloaded."""
    root = tmp_path / "data"
    rows = [(*row, "train") for row in real.rows_of(root)] + [(f"gone/{i}.jpg", "cat", "test") for i in range(9)]
    table = real.saved(root / "photos.csv", real.text(rows, ("path", "label", "split")))
    data = opened(table)
    assert data.test is None
    assert "the test images are left out: 9 of the 9 files" in data.notes[0]
    with pytest.raises(DataError, match="9 of the 9 files"):
        open_other(DataSettings(data=str(table)), "test")


def test_missing_files_are_those_that_stat_does_not_find(tmp_path: Path) -> None:
    """Folders are listed where many rows are of them, and then every row is still judged as `os.path.exists` does."""
    (tmp_path / "many").mkdir()
    for i in range(60):
        (tmp_path / f"many/{i}").touch()
    (tmp_path / "link").symlink_to("many")
    names = [f"{folder}/{i}" for folder in ("many", "few", "link", "many/../many", "") for i in range(0, 90, 2)]
    paths = [f"{tmp_path}/{name}" for name in names]
    assert sorted(missing(paths)) == sorted(path for path in paths if not os.path.exists(path))  # noqa: PTH110


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("x.csv", "a/0.jpg,cat\na/1.jpg,dog\n", "has no column path and no column label; it has a/0.jpg, cat"),
        ("x.csv", "path;kind\na/0.jpg;cat\n", "has no column path"),
        ("x.csv.gz", b"\x1f\x8bno gzip", "x.csv.gz cannot be read"),
        ("x.csv", b"\xff\xfe\x41", "is not text in utf-16"),
        ("x.csv", "version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "is a pointer of Git LFS"),
        ("x.csv", "path,label,split\na,b,{}\n".format("x" * 130_000), "is not a split"),
        ("x.csv", "path,label\n{},b\n".format("x" * 5_000_000), "field larger than field limit"),
        ("x.csv", "path,{}\na,b\n".format("x" * 100_000), "has no column label"),
    ],
)
def test_refusals_are_short_sentences(name: str, content: str | bytes, error: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        opened(real.saved(tmp_path / name, content))
    assert error in str(caught.value)
    assert len(str(caught.value)) < 400 + len(str(tmp_path))


@pytest.mark.slow
def test_names_in_another_encoding_are_trained_on_told_and_measured(tmp_path: Path, cli: Cli) -> None:
    """An old disk in Latin-1, with a bad image: its name is in the list of bad images, and nothing stops."""
    table = real.latin1_disk(tmp_path / "data")
    folder = next(each for each in (tmp_path / "data").iterdir() if each.is_dir())
    (folder / "0.jpg").write_bytes(b"no image")
    words = ("train", "--data", str(table), "--val-split", "0.25", "--batch-size", "2", "--image-size", "32")
    result = cli(*words, "--epochs", "1", "--no-export", "--run-name", "one")
    assert result.exit_code == 0, result.output
    assert json.loads(Path("runs/one/classes.json").read_text(encoding="utf-8")) == list(ROOMS)
    result = cli("resume", "runs/one", "--epochs", "2")
    assert result.exit_code == 0, result.output
    record = json.loads(cli("eval", "runs/one", "--data", str(table), "--json").stdout)
    assert record["n_images"] + len(record["bad_images"]) == 2
