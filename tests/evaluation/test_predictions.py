"""The table of predictions: the same in both formats, every number to the bit, every name whole."""

import csv
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet

from clfctl.errors import WriteError
from clfctl.evaluation import predictions
from clfctl.evaluation.outputs import Outputs
from clfctl.evaluation.predictions import save_predictions

CLASSES = ["cat, small", 'the "dog"', "file", "naïve\nbird"]
FILES = ["a/1.jpg", "b,c/2 \n.png", "ü.jpg", os.fsdecode(b"caf\xe9.jpg")]


def made(n: int) -> Outputs:
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(4) * 0.1, n).astype(np.float32)
    labels = rng.integers(0, 4, n)
    return Outputs(np.arange(n), labels, p, -np.log(p[np.arange(n), labels] + 1e-9))


def name_of(index: int) -> str:
    return FILES[index % len(FILES)]


def test_csv_and_parquet_have_the_same_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictions, "CHUNK", 7)
    outputs = made(20)
    csv_file = save_predictions(tmp_path, outputs, CLASSES, name_of, parquet=False)
    parquet_file = save_predictions(tmp_path, outputs, CLASSES, name_of)
    assert (csv_file.name, parquet_file.name) == ("predictions.csv", "predictions.parquet")
    with csv_file.open(encoding="utf-8", newline="") as file:
        title, *rows = csv.reader(file)
    table = parquet.read_table(parquet_file)
    assert title == table.column_names == ["file", "true", "predicted", *(f"p_{name}" for name in CLASSES)]
    assert table.num_rows == len(rows) == 20
    for place, (row, record) in enumerate(zip(rows, table.to_pylist(), strict=True)):
        assert row[:3] == [record[name] for name in title[:3]]
        assert row[1] == CLASSES[outputs.labels[place]]
        assert row[2] == CLASSES[outputs.predicted[place]]
        for values in (row[3:], [record[name] for name in title[3:]]):
            assert np.array_equal(np.array(values, np.float32), outputs.probabilities[place])
    assert [row[0] for row in rows[:4]] == [*FILES[:3], "caf\\xe9.jpg"]


def test_without_pyarrow_it_is_csv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert save_predictions(tmp_path, made(3), CLASSES, name_of).name == "predictions.csv"


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match=r"cannot write .*predictions"):
        save_predictions(tmp_path / "gone", made(3), CLASSES, name_of)
