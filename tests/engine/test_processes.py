"""Several processes that train together: the same run as one, whatever it is made of."""

import sys
from pathlib import Path

import pytest
import torch

from clfctl.runs.checkpoint import load_checkpoint
from clfctl.runs.folder import RunFolder
from clfctl.schedules.recorded import Window
from clfctl.storage.json_lines import read_json_lines
from tests.faults.processes import run, run_together

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="no fork there")]

# 70 training images: four batches of 16 and one of 6, which three processes share unevenly.
DATA: tuple[str, ...] = ("--data", "digits", "--max-per-class", "7", "--batch-size", "16", "--image-size", "32")
DATA += ("--epochs", "2", "--optimizer", "sgd", "--lr", "0.005", "--no-export", "--workers", "1", "--device", "cpu")
# Float sums in another order, after ten steps.
TOLERANCE = 2e-4

CNN, EFFICIENTNET, VIT = "custom", "test_efficientnet", "test_vit"
RUNS = {
    # Ten layers of batch normalization on these images make the last bits of a sum the first ones of a gradient: two
    # threads and one differ as much as three processes and one. That they compute the same is tested below.
    "plateau": (3, CNN, "--sync-batch-norm", "--scheduler", "plateau(patience=0)", "--balance", "loss", "--lr", "1e-6"),
    "averaged": (2, EFFICIENTNET, "--sync-batch-norm", "--scheduler", "wsd", "--ema", "0.9", "--clip-grad", "0.5"),
    "in parts": (2, VIT, "--scheduler", "step", "--accumulate", "4", "--label-smoothing", "0.1"),
    "mixed": (3, VIT, "--scheduler", "onecycle", "--loss", "focal", "--augment", "light", "--mixup", "0.4"),
    "stopped early": (2, VIT, "--scheduler", "cosine", "--static-graph", "--early-stopping", "1", "--epochs", "5"),
    "frozen at first": (2, VIT, "--scheduler", "greedy", "--freeze", "backbone", "--unfreeze-at", "1"),
}


def words_of(model: str, *more: str) -> tuple[str, ...]:
    return ("train", *DATA, "--model", model, *(() if model == CNN else ("--no-pretrained",)), *more)


@pytest.mark.parametrize("name", RUNS)
def test_the_same_run_with_one_process_and_with_several(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    n, model, *more = RUNS[name]
    words = words_of(str(model), *map(str, more))
    code, error = run(*words, "--run-name", "one")
    assert code == 0, error
    codes, errors = run_together(int(n), *words, "--run-name", "several")
    assert codes == [0] * int(n), errors
    assert not any(errors[1:]), "the first process alone speaks"
    assert_same_run(RunFolder(Path("runs/one")), RunFolder(Path("runs/several")), str(model))


def assert_same_run(one: RunFolder, several: RunFolder, model: str) -> None:
    weights, others = (load_checkpoint(each.last).tensors for each in (one, several))
    assert weights.keys() == others.keys()
    for each in weights:
        if model == CNN and each == "windows":  # without the norms of gradients that are as different as said above
            weights[each][:, Window._fields.index("norm")] = others[each][:, Window._fields.index("norm")]
        if model != CNN or "optimizer" not in each:
            torch.testing.assert_close(others[each], weights[each], rtol=TOLERANCE, atol=TOLERANCE, msg=each)
    for record, other in zip(read_json_lines(one.history), read_json_lines(several.history), strict=True):
        assert other["lr"] == record["lr"]
        assert other["val_top1"] == pytest.approx(record["val_top1"], abs=0.01)
        assert other["train_loss"] == pytest.approx(record["train_loss"], rel=TOLERANCE)


def test_gradients_are_those_of_one_process_to_the_last_digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    codes, errors = run_together(3, prepare="import tests.engine.exact_shares as each; each.main()")
    assert codes == [0, 0, 0], errors
