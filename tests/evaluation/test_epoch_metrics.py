"""The metrics of an epoch: those of scikit-learn, those of `clfctl eval`, and one that is added from outside."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, f1_score, log_loss, top_k_accuracy_score
from typer.testing import Result

from clfctl.engine.check import check_metrics
from clfctl.engine.evaluate import Counts
from clfctl.engine.world import ALONE
from clfctl.errors import UsageError
from clfctl.evaluation.epoch_metrics import METRICS, Metric, Tally, measured
from clfctl.evaluation.metrics import compute_metrics
from clfctl.evaluation.outputs import Outputs
from clfctl.settings.groups import TrainSettings
from clfctl.storage.json_lines import read_json_lines
from tests.conftest import QUICK

Cli = Callable[..., Result]


def counted(logits: torch.Tensor, labels: torch.Tensor, batch: int) -> dict[str, float]:
    counts = Counts(logits.shape[1], torch.device("cpu"))
    for start in range(0, len(labels), batch):
        counts.add(logits[start : start + batch], labels[start : start + batch])
    return measured("val", counts.tally(ALONE))


@settings(max_examples=40)
@given(st.integers(0, 1000), st.integers(2, 12), st.integers(1, 60), st.integers(1, 20))
def test_they_are_those_of_scikit_learn_and_of_eval(seed: int, n_classes: int, n: int, batch: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    # Few values, so that some are tied.
    logits = torch.randint(-3, 4, (n, n_classes), generator=draw).float()
    labels = torch.randint(0, max(2, n_classes - 2), (n,), generator=draw)
    found = counted(logits, labels, batch)
    log_p = logits.log_softmax(1)
    true, predicted, every = labels.numpy(), logits.argmax(1).numpy(), list(range(n_classes))
    present = sorted(set(true.tolist()))
    f1 = f1_score(true, predicted, labels=present, average="macro", zero_division=0)
    assert found["val_f1"] == pytest.approx(f1, abs=1e-12)
    if set(predicted) <= set(present) and len(present) > 1:  # it warns of others
        assert found["val_balanced_accuracy"] == pytest.approx(balanced_accuracy_score(true, predicted), abs=1e-12)
    probabilities = logits.double().softmax(1).numpy()
    assert found["val_loss"] == pytest.approx(log_loss(true, probabilities, labels=every), rel=1e-5)
    losses = -log_p.gather(1, labels[:, None])[:, 0].numpy()
    measured_later = compute_metrics(
        Outputs(np.arange(n), true, logits.softmax(1).numpy(), losses), [str(i) for i in every]
    )
    assert found["val_top1"] == measured_later.top1
    assert found["val_f1"] == pytest.approx(measured_later.macro.f1, abs=1e-12)
    assert found["val_balanced_accuracy"] == pytest.approx(measured_later.balanced_accuracy, abs=1e-12)
    if measured_later.top5 is None:
        assert math.isnan(found["val_top5"])
    else:
        assert found["val_top5"] == measured_later.top5
        untied = logits + torch.rand(logits.shape, generator=draw) / 2
        expected = top_k_accuracy_score(true, untied.numpy(), k=5, labels=every)
        assert counted(untied, labels, batch)["val_top5"] == pytest.approx(expected)


def test_without_images_they_are_nan() -> None:
    assert all(map(math.isnan, (measured("val", Tally(0, 0.0)) | measured("train", Tally(0, 0.0))).values()))


def test_a_sure_and_wrong_answer_is_right_by_no_metric() -> None:
    """One class never predicted, one never present: the mean is over those that have images."""
    logits = torch.eye(4)[torch.tensor([0, 0, 1, 3])] * 9
    found = counted(logits, torch.tensor([0, 1, 1, 2]), 4)
    assert found["val_top1"] == 0.5
    assert found["val_balanced_accuracy"] == pytest.approx((1 + 0.5 + 0) / 3)
    assert found["val_f1"] == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)


def test_a_metric_that_is_not_one_is_refused_with_the_nearest(cli: Cli) -> None:
    result = cli("train", "--monitor", "val_top", "--dry-run")
    assert result.exit_code == 2
    assert "--monitor: 'val_top' is not a metric" in result.stderr
    assert "did you mean val_top1" in result.stderr


@pytest.mark.parametrize("field", ["monitor", "keep_best"])
@pytest.mark.parametrize(
    ("name", "n_val", "n_classes", "message"),
    [
        ("val_f1", 0, 10, "val_f1 needs validation images, and there are none"),
        ("val_top5", 9, 5, "val_top5 needs at least 6 classes, and there are 5"),
    ],
)
def test_what_will_not_be_measured_cannot_be_asked_for(
    field: str, name: str, n_val: int, n_classes: int, message: str
) -> None:
    settings = TrainSettings.model_validate({"monitor": "train_loss", field: name})
    with pytest.raises(UsageError, match=message) as caught:
        check_metrics(settings, n_val, n_classes)
    assert caught.value.field == field
    check_metrics(TrainSettings(monitor="train_loss"), n_val, n_classes)


@pytest.mark.slow
def test_a_metric_is_added_by_one_entry(monkeypatch: pytest.MonkeyPatch, cli: Cli) -> None:
    """Files, columns, plain lines and `--monitor` have it at once."""
    error = Metric("val", "val err", "min", "share", lambda t: 1 - t.right / t.n_images, is_shown=True)
    monkeypatch.setitem(METRICS, "val_error", error)
    assert TrainSettings(monitor="val_error").monitor == "val_error"
    result = cli("train", *QUICK, "--monitor", "val_error", "--run-name", "r")
    assert result.exit_code == 0, result.output
    for record in read_json_lines(Path("runs/r/history.jsonl")):
        assert record["val_error"] == pytest.approx(1 - record["val_top1"])
        assert f"val_error {record['val_error']:.4f}" in result.stdout


def test_a_process_alone_is_the_first_and_has_all() -> None:
    assert ALONE.is_first
    assert ALONE.sum(torch.arange(3)).tolist() == [0, 1, 2]
    assert ALONE.gather(1, 2.5) == [[1, 2.5]]
    assert ALONE.first_says("it") == "it"
