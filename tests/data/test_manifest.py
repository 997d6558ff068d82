"""Tables of images as the data: what is read, what is refused, and that a changed table is noticed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import Result

from clfctl.data.sources.base import Data, FileImages
from clfctl.data.sources.fingerprint import compare, list_images
from clfctl.data.sources.open import open_data
from clfctl.errors import ClfctlError
from clfctl.settings.data import DataSettings
from tests.conftest import SMALL

Cli = Callable[..., Result]


def opened(path: Path, **options: object) -> Data:
    return open_data(DataSettings.model_validate({"data": str(path), "batch_size": 2, **options}), 0)


def write(path: Path, *rows: str) -> Path:
    path.write_text("".join(f"{row}\n" for row in rows))
    return path


def named(data: Data, part: str) -> list[tuple[str, str]]:
    """(file, class) of the images of a part."""
    images = getattr(data, part)
    return [(Path(images.source.name(i)).name, data.classes[images.source.labels[i]]) for i in images.indices]


@pytest.fixture
def table(photos: Path) -> Path:
    """photos/images.csv of red and blue images, two of which are for validation and one for testing."""
    splits = {6: "val", 7: "test"}
    rows = [
        f"{color}/{i}.jpg,{color},{splits.get(i, 'train')},{i + 1}"
        for color in ("red", "blue")
        for i in (0, 1, 2, 6, 7)
    ]
    return write(photos / "images.csv", "path,label,split,weight", *rows)


def test_rows_are_images_of_their_class_split_and_weight(table: Path) -> None:
    data = opened(table)
    assert data.classes == ("blue", "red")
    assert named(data, "train") == [(f"{i}.jpg", color) for color in ("red", "blue") for i in range(3)]
    assert named(data, "val") == [("6.jpg", "red"), ("6.jpg", "blue")]
    assert named(data, "test") == [("7.jpg", "red"), ("7.jpg", "blue")]
    assert isinstance(data.train.source, FileImages)
    assert list(data.train.source.weights or ()) == [1, 2, 3, 1, 2, 3]
    image = data.train.source.open(0)
    assert isinstance(image, Image.Image)
    assert image.size == (48, 40)


@pytest.mark.parametrize("head", ["Image,Category", "FILE,Target", '" filename ","class"', "File Path,CLASS_NAME"])
def test_columns_have_common_names_in_any_case(photos: Path, head: str) -> None:
    data = opened(write(photos / "x.csv", head, *(f"{c}/{i}.jpg,{c}" for c in ("red", "green") for i in range(5))))
    assert (data.classes, len(data.train), len(data.val)) == (("green", "red"), 8, 2)


def test_tsv_with_absolute_paths_and_columns_of_others(photos: Path, tmp_path: Path) -> None:
    rows = [f"x\t{c}\t{photos}/{c}/{i}.jpg" for c in ("red", "green") for i in range(5)]
    (tmp_path / "elsewhere").mkdir()
    data = opened(write(tmp_path / "elsewhere/x.TSV", "\ufeffid\tlabel\tpath", *rows, ""))
    image = data.train.source.open(0)
    assert isinstance(image, Image.Image)
    assert image.size == (48, 40)
    assert len(data.train) + len(data.val) == 10


def test_numbers_as_classes_are_in_the_order_of_numbers(photos: Path) -> None:
    data = opened(write(photos / "x.csv", "path,label", *(f"red/{i % 8}.jpg,{i // 2}" for i in range(24))))
    assert data.classes == tuple(map(str, range(12)))


def test_class_names_beside_the_table_are_used(table: Path) -> None:
    table.with_name("class_names.json").write_text('{"red": "ripe"}')
    assert opened(table).classes == ("blue", "ripe")


def test_parquet_is_read_as_csv_is(table: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    lines = [line.split(",") for line in table.read_text().splitlines()]
    columns: dict[str, list[Any]] = {name: [row[n] for row in lines[1:]] for n, name in enumerate(lines[0])}
    columns["weight"] = [float(value) for value in columns["weight"]]
    parquet.write_table(pa.table(columns), table.with_suffix(".parquet"))
    csv, same = opened(table), opened(table.with_suffix(".parquet"))
    assert [named(csv, part) for part in ("train", "val", "test")] == [named(same, p) for p in ("train", "val", "test")]
    sources = csv.train.source, same.train.source
    assert isinstance(sources[0], FileImages)
    assert isinstance(sources[1], FileImages)
    assert sources[0].weights == sources[1].weights
    table.with_suffix(".parquet").write_text("no parquet")
    assert "images.parquet cannot be read: " in refusal(table.with_suffix(".parquet"))


def test_without_pyarrow_parquet_says_how_to_get_it(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ClfctlError) as caught:
        opened(write(photos / "x.parquet", ""))
    assert caught.value.hint == "pip install 'clfctl[parquet]'"


def refusal(path: Path) -> str:
    with pytest.raises(ClfctlError) as caught:
        opened(path)
    assert str(caught.value).startswith("data: ")
    return str(caught.value)


@pytest.mark.parametrize(
    ("rows", "error"),
    [
        ([], "has no column path and no column label"),
        (["name,label", "a,b"], "has no column path; it has name, label"),
        (["path,file,label", "a,b,c"], "has two columns that could be the path: path and file"),
        (["path,label"], "has no images"),
        (["path,label", "red/0.jpg,"], "line 2 has no label"),
        (["path,label", "red/0.jpg,red", ",red"], "line 3 has no path"),
        (["path,label", "red/0.jpg"], "line 2 has only 1 cell"),
        (["path,label,split", "red/0.jpg,red,3"], "line 2: '3' is not a split"),
        (["path,label,weight", "red/0.jpg,red,-1"], "line 2: '-1' is not a weight"),
        (["path,label,weight", "red/0.jpg,red,nan"], "line 2: 'nan' is not a weight"),
        (["path,label,weight", "red/0.jpg,red,x"], "line 2: 'x' is not a weight"),
        (["path,label", "red/0.jpg,red", "red/1.jpg,red"], "has only one class (red)"),
        (["path,label,split", "a,a,train", "b,b,val"], "has no training images of b"),
        (["path,label", "gone/0.jpg,red", "gone/0.jpg,blue"], "2 of the 2 files"),
        (["path,label", 'red/0.jpg,"red'], "line 2: unexpected end of data"),
    ],
)
def test_refusals_say_what_is_wrong_and_where(photos: Path, rows: list[str], error: str) -> None:
    assert error in refusal(write(photos / "x.csv", *rows))


def test_a_table_that_is_not_there_is_wrong_usage(photos: Path, cli: Cli) -> None:
    result = cli("train", "--data", "gone.csv")
    assert result.exit_code == 2
    assert "--data: gone.csv does not exist" in result.stderr


def test_a_changed_table_is_a_change_of_the_data(table: Path) -> None:
    before = list_images(opened(table), str(table))
    assert {"red/0.jpg", "blue/7.jpg"} <= before.sizes.keys()
    assert not compare(before, list_images(opened(table), str(table)))
    table.write_text(table.read_text().replace("red/1.jpg,red,train", "red/1.jpg,blue,train"))
    change = compare(before, list_images(opened(table), str(table)))
    assert [name.split(" of ")[0] for name in (*change.added, *change.removed)] == ["images.csv", "images.csv"]


@pytest.mark.slow
def test_training_by_a_table_ends_and_is_refused_to_go_on_with_another(table: Path, cli: Cli) -> None:
    table.with_name("class_names.json").write_text('{"red": "ripe"}')
    words = ("train", "--data", str(table), *SMALL, "--batch-size", "3", "--epochs", "1", "--run-name", "one")
    assert cli(*words).exit_code == 0
    predicted = json.loads(cli("predict", "runs/one", str(table.parent / "red/0.jpg"), "--json").stdout)
    assert set(predicted["classes"]) == {"blue", "ripe"}
    table.write_text(table.read_text().replace(",val,", ",train,", 1))
    result = cli("resume", "runs/one", "--epochs", "2")
    assert result.exit_code == 1
    assert "has changed since the run began: 1 added (images.csv" in result.stderr
    assert cli("resume", "runs/one", "--epochs", "2", "--allow-data-change").exit_code == 0
