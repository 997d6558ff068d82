"""What `save_to_disk` of Hugging Face's `datasets` writes: read without that package."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from clfctl.data.sources.base import Data
from clfctl.data.sources.open import open_data
from clfctl.errors import ClfctlError
from clfctl.settings.data import DataSettings
from tests.conftest import SMALL

Cli = Callable[..., Result]
FEATURES: dict[str, Any] = {
    "image": {"_type": "Image"},
    "label": {"names": ["red", "blue"], "_type": "ClassLabel"},
    "note": {"dtype": "string", "_type": "Value"},
}


def save(folder: Path, rows: list[tuple[bytes | None, str, int | None]], features: Any = FEATURES) -> Path:
    """Write rows of (bytes, path, label) as version 4 of `datasets` does, in two files."""
    pa = pytest.importorskip("pyarrow")
    folder.mkdir(parents=True)
    image = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    schema = pa.schema({"image": image, "label": pa.int64(), "note": pa.string()})
    names = [f"data-0000{i}-of-00002.arrow" for i in range(2)]
    for name, some in zip(names, (rows[::2], rows[1::2]), strict=True):
        images = [{"bytes": content, "path": path} for content, path, _ in some]
        table = pa.table([images, [label for *_, label in some], ["x"] * len(some)], schema=schema)
        with pa.OSFile(str(folder / name), "wb") as file, pa.ipc.new_stream(file, schema) as writer:
            writer.write_table(table)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in names]}))
    (folder / "dataset_info.json").write_text(json.dumps({"features": features}))
    return folder


def rows_of(photos: Path, numbers: range) -> list[tuple[bytes | None, str, int | None]]:
    colors = ("red", "blue")
    return [((photos / c / f"{i}.jpg").read_bytes(), f"{i}.jpg", n) for n, c in enumerate(colors) for i in numbers]


def opened(path: Path) -> Data:
    return open_data(DataSettings(data=str(path), batch_size=2), 0)


def assert_right(data: Data, part: str) -> None:
    images = getattr(data, part)
    for index in images.indices:
        with images.source.open(index) as image:
            pixel = image.getpixel((20, 20))
        assert data.classes[images.source.labels[index]] == ("red" if pixel[0] > pixel[2] else "blue")


def test_images_are_those_of_their_class(photos: Path, tmp_path: Path) -> None:
    rows = rows_of(photos, range(7))
    rows.append((None, str(photos / "red/7.jpg"), 0))
    data = opened(save(tmp_path / "set", rows))
    assert data.classes == ("red", "blue")
    assert len(data.train) + len(data.val) == 15
    assert_right(data, "train")
    assert_right(data, "val")


def test_splits_are_parts(photos: Path, tmp_path: Path) -> None:
    for name, numbers in (("train", range(5)), ("validation", range(5, 6)), ("test", range(6, 8))):
        save(tmp_path / "set" / name, rows_of(photos, numbers))
    (tmp_path / "set/dataset_dict.json").write_text('{"splits": ["train", "validation", "test"]}')
    data = opened(tmp_path / "set")
    assert data.test is not None
    assert [len(part) for part in (data.train, data.val, data.test)] == [10, 2, 4]
    assert_right(data, "test")
    assert data.val.source.name(0) == "validation image 0 5.jpg"


def refusal(path: Path) -> str:
    with pytest.raises(ClfctlError) as caught:
        opened(path)
    return str(caught.value)


def test_refusals_say_what_is_wrong(photos: Path, tmp_path: Path) -> None:
    rows = rows_of(photos, range(4))
    two = {"front": FEATURES["image"], "back": FEATURES["image"]}
    assert "has more than one column of images: image (" in refusal(save(tmp_path / "a", rows, two))
    assert "row 2 has no label" in refusal(save(tmp_path / "b", [*rows[:4], (b"x", "x", None), *rows[4:]]))
    cut = save(tmp_path / "c", rows)
    (cut / "data-00001-of-00002.arrow").write_bytes(b"no arrow")
    assert "cannot be read as a data set saved to disk" in refusal(cut)
    (cut / "data-00001-of-00002.arrow").unlink()
    assert "cannot be read as a data set saved to disk" in refusal(cut)
    (tmp_path / "d").mkdir()
    (tmp_path / "d/dataset_dict.json").write_text('{"splits": ["test"]}')
    assert "cannot be read as a data set saved to disk" in refusal(tmp_path / "d")


def test_without_pyarrow_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    (tmp_path / "state.json").write_text("{}")
    with pytest.raises(ClfctlError) as caught:
        opened(tmp_path)
    assert caught.value.hint == "pip install 'clfctl[hf]'"


@pytest.mark.slow
def test_training_goes_on_where_the_files_are_the_same(photos: Path, tmp_path: Path, cli: Cli) -> None:
    path = save(tmp_path / "set", rows_of(photos, range(8)))
    assert cli("train", "--data", str(path), *SMALL, "--epochs", "1", "--run-name", "one").exit_code == 0
    assert cli("resume", "runs/one", "--epochs", "2").exit_code == 0
