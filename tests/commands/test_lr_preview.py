"""clfctl lr-preview: what it shows is what a training records."""

import json
from collections.abc import Callable

import pytest
from typer.testing import Result

from tests.conftest import QUICK

Cli = Callable[..., Result]


def rates(text: str) -> list[float]:
    return [json.loads(line)["lr_start"] for line in text.splitlines()]


@pytest.mark.parametrize("kind", ["step", "cosine"])
@pytest.mark.parametrize("warmup", ["0", "1"])
def test_preview_is_what_training_records(kind: str, warmup: str, cli: Cli) -> None:
    words = ("--epochs", "3", "--warmup", warmup, "--step-size", "1", "--lr", "0.001")
    preview = cli("lr-preview", kind, *words, "--json")
    trained = cli("train", *QUICK, *words, "--scheduler", kind, "--json")
    assert rates(preview.stdout) == rates(trained.stdout)


def test_cosine_is_shown_to_the_end_of_its_t_max(cli: Cli) -> None:
    result = cli("lr-preview", "cosine", "--t-max", "50")
    assert result.exit_code == 0
    assert "cosine: base learning rate 1e-04, 50 epochs" in result.stdout
    assert all(len(line) <= 80 for line in result.stdout.splitlines())
    assert len(rates(cli("lr-preview", "cosine", "--t-max", "50", "--warmup", "2", "--json").stdout)) == 52


def test_an_epoch_ends_before_the_next_begins(cli: Cli) -> None:
    for line in cli("lr-preview", "cosine", "--t-max", "50", "--json").stdout.splitlines():
        record = json.loads(line)
        assert record["lr_start"] == record["lr"]


def test_warmup_ends_at_the_base(cli: Cli) -> None:
    first, second, *_ = cli("lr-preview", "step", "--warmup", "2", "--lr", "1", "--json").stdout.splitlines()
    assert (json.loads(first)["lr_start"], json.loads(second)["lr_start"]) == (0, 0.5)
    assert [json.loads(each)["lr"] for each in (first, second)] == pytest.approx([0.5, 1.0])


def test_plateau_is_shown_stalled(cli: Cli) -> None:
    words = ("--epochs", "7", "--patience", "1", "--lr", "1", "--json")
    assert rates(cli("lr-preview", "plateau", *words).stdout) == [1, 1, 1, 0.5, 0.5, 0.25, 0.25]


def test_unknown_kind_names_the_nearest(cli: Cli) -> None:
    result = cli("lr-preview", "cosin")
    assert result.exit_code == 2
    assert "did you mean cosine?" in result.stderr
