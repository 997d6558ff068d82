"""clfctl debug-batch: what it says of a run whose loss was not finite, and that nothing of the run is changed."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

DIVERGES = (
    "train", "--model", "test_efficientnet", "--no-pretrained", "--epochs", "1", "--batch-size", "128", "--optimizer",
    "sgd", "--lr", "1e30", "--no-export", "--workers", "0", "--run-name", "bad",
)  # fmt: skip


@pytest.mark.slow
def test_the_batch_is_computed_again(cli: Callable[..., Result]) -> None:
    trained = cli(*DIVERGES)
    assert trained.exit_code == 1
    assert "clfctl debug-batch runs/bad" in trained.stderr
    files = {path: path.read_bytes() for path in Path("runs/bad").rglob("*") if path.is_file()}
    result = cli("debug-batch", "runs/bad", "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["epoch"] == 1
    assert isinstance(found["loss"], float)
    assert found["steps_before"] == found["step"] - 1
    exact = json.loads(cli("debug-batch", "runs/bad", "--json", "--exact").stdout)
    assert exact["loss"] in ("nan", "inf")
    assert exact["first_bad_layer"]["layer"]
    assert exact["steps_before"] == 0
    text = cli("debug-batch", "runs/bad").stdout
    assert "in this state all is well, so it comes of the steps since: --exact makes them again" in text
    assert {path: path.read_bytes() for path in Path("runs/bad").rglob("*") if path.is_file()} == files


def test_a_folder_that_is_no_run_is_a_sentence(cli: Callable[..., Result]) -> None:
    result = cli("debug-batch", "nowhere")
    assert result.exit_code == 2
    assert "nowhere is not a run folder" in result.stderr
