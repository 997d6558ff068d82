"""Runs that older versions wrote: each later version lists, previews, resumes, measures, exports, predicts with them.

A folder is named after when it was written. It holds `photos/`, a `run/` that was stopped inside its third epoch of
four, and the `model.onnx` that was exported when it had been resumed by the same version.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from clfctl.storage.json_lines import read_json_lines

WRITTEN = sorted(path for path in Path(__file__).parent.iterdir() if (path / "run").is_dir())
Cli = Callable[..., Result]


@pytest.fixture(params=WRITTEN, ids=lambda path: path.name)
def run(request: pytest.FixtureRequest) -> Path:
    """A copy of an older run, beside the images that it was begun with."""
    shutil.copytree(request.param, ".", dirs_exist_ok=True)
    return Path("run")


def ran(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return result.stdout


def test_they_are_small() -> None:
    assert WRITTEN
    for folder in WRITTEN:
        assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 6_000_000, folder


def test_runs_lists_it(run: Path, cli: Cli) -> None:
    state = json.loads(ran(cli("runs", str(run), "--json")))
    assert (state["state"], state["epoch"], state["batch"], state["epochs"]) == ("interrupted", 2, 2, 4)
    assert (state["monitor"], state["best_epoch"]) == ("val_top1", 2)


def test_preview_shows_what_it_used_and_what_is_to_come(run: Path, cli: Cli) -> None:
    shown = ran(cli("lr-preview", str(run), "--format", "csv"))
    assert "0.00225" in shown
    assert "0.003" in shown


def test_resume_goes_on_where_it_was(run: Path, cli: Cli) -> None:
    before = read_json_lines(run / "history.jsonl")
    ran(cli("resume", str(run), "--no-export"))
    after = read_json_lines(run / "history.jsonl")
    assert [each["epoch"] for each in after] == [1, 2, 3, 4]
    for old, new in zip(before, after, strict=False):
        assert old.items() <= new.items()
    # Warmup in the first epoch, and one change of plateau's, after an epoch without improvement.
    assert [each["lr"] for each in after] == [0.0022500000000000003, 0.003, 0.003, 0.0015]
    assert after[-1]["val_loss"] == pytest.approx(0.28, abs=0.02)


def test_resume_may_change_it(run: Path, cli: Cli) -> None:
    ran(cli("resume", str(run), "--epochs", "3", "--patience", "2", "--no-export"))
    assert len(read_json_lines(run / "history.jsonl")) == 3


def test_eval_measures_it(run: Path, cli: Cli) -> None:
    record = json.loads(ran(cli("eval", str(run), "--json")))
    assert record["n_images"] == 6
    assert record["top1"] == pytest.approx(read_json_lines(run / "history.jsonl")[1]["val_top1"])


def test_predict_by_checkpoint_and_by_onnx_file_of_its_time(run: Path, cli: Cli) -> None:
    for model in (run, Path("model.onnx")):
        rows = [json.loads(line) for line in ran(cli("predict", str(model), "photos/red", "--json")).splitlines()]
        assert len(rows) == 8
        assert all(len(row["classes"]) == 3 for row in rows)


@pytest.mark.slow
def test_export_writes_it_as_onnx(run: Path, cli: Cli) -> None:
    ran(cli("export", str(run)))
    assert (run / "model.onnx").is_file()
