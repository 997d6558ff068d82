"""Uneven classes: what is drawn, what weighs in the loss, what is kept, and what is said."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import Result

from clfctl.data.balance import class_weights, describe_counts, with_chances
from clfctl.data.keys import order_of
from clfctl.data.sources.base import FileImages, Part
from clfctl.data.sources.open import open_data
from clfctl.data.sources.splits import labels_of, limit_classes
from clfctl.engine.device import pick_precision
from clfctl.engine.losses import Loss
from clfctl.engine.micro_batches import MicroBatch
from clfctl.engine.step import train_step
from clfctl.errors import DataError
from clfctl.settings.data import DataSettings
from tests.conftest import SMALL

Cli = Callable[..., Result]


def part_of(*counts: int, weights: list[float] | None = None) -> Part:
    labels = [label for label, count in enumerate(counts) for _ in range(count)]
    return Part(FileImages([str(i) for i in range(len(labels))], labels, weights), range(len(labels)))


def drawn(part: Part, n_epochs: int = 200) -> np.ndarray:
    """How often each image is drawn in an epoch, on average."""
    counts = np.zeros(len(part))
    for epoch in range(n_epochs):
        counts += np.bincount(order_of(len(part), part.chances, 0, 1, epoch), minlength=len(part))
    return counts / n_epochs


def test_sampler_draws_each_class_as_often() -> None:
    part = with_chances(part_of(90, 9, 1), "sampler")
    per_class = np.bincount(labels_of(part), drawn(part))
    assert per_class == pytest.approx([100 / 3] * 3, rel=0.03)


def test_without_balance_and_weights_each_is_drawn_once() -> None:
    part = part_of(5, 2)
    assert with_chances(part, "none") is part
    assert with_chances(part_of(5, 2, weights=[3.0] * 7), "none").chances is None
    assert drawn(part, 3).tolist() == [1] * 7


def test_weights_are_how_often_and_zero_is_never() -> None:
    part = with_chances(part_of(3, 1, weights=[0, 1, 2, 1]), "none")
    assert drawn(part, 2000) == pytest.approx([0, 1, 2, 1], rel=0.05)
    both = with_chances(part_of(3, 1, weights=[0, 1, 2, 1]), "sampler")
    assert drawn(both, 2000) == pytest.approx([0, 2 / 3, 4 / 3, 2], rel=0.05)
    last = with_chances(part_of(3, 1, weights=[1, 1, 1, 0]), "none")
    assert drawn(last)[3] == 0
    with pytest.raises(DataError, match="weights of all training images are 0"):
        with_chances(part_of(1, 1, weights=[0, 0]), "none")


def test_the_order_is_that_of_seed_and_epoch() -> None:
    chances = with_chances(part_of(20, 5), "sampler").chances
    assert order_of(25, chances, 7, 3).tolist() == order_of(25, chances, 7, 3).tolist()
    assert order_of(25, chances, 7, 3).tolist() != order_of(25, chances, 7, 4).tolist()


def test_class_weights_are_inverse_shares() -> None:
    assert class_weights(part_of(6, 3, 1), 3) == pytest.approx([10 / 18, 10 / 9, 10 / 3])
    # What is drawn half as often weighs twice as much; what is never drawn weighs nothing.
    assert class_weights(part_of(2, 2, 2, weights=[1, 1, 2, 2, 0, 0]), 3) == pytest.approx([1.5, 0.75, 0])


def test_weights_reach_the_gradient() -> None:
    def gradient(weights: torch.Tensor | None) -> torch.Tensor:
        model = nn.Linear(1, 2, bias=False)
        nn.init.zeros_(model.weight)
        optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
        precision = pick_precision("off", torch.device("cpu"))
        batch = MicroBatch(torch.ones(3, 1), torch.tensor([0, 0, 1]))
        train_step(model, optimizer, precision, [batch], Loss(class_weights=weights), clip_grad=0.0)
        return model.weight.detach().flatten()

    assert gradient(None).tolist() == pytest.approx([1 / 6, -1 / 6])
    assert gradient(torch.tensor([0.75, 1.5])).tolist() == pytest.approx([0, 0], abs=1e-7)


@pytest.mark.parametrize("n", [0, 1, 3, 50])
def test_limit_keeps_so_many_of_each_class(n: int) -> None:
    kept = limit_classes(part_of(9, 2, 5), n, seed=1)
    assert np.bincount(labels_of(kept)).tolist() == [min(count, n or 50) for count in (9, 2, 5)]
    assert list(kept.indices) == sorted(set(kept.indices))
    assert set(kept.indices) <= set(limit_classes(part_of(9, 2, 5), n + 1 if n else 0, seed=1).indices)


def test_limit_is_that_of_the_seed_and_leaves_validation_alone(photos: Path) -> None:
    def opened(n: int, seed: int = 0) -> tuple[list[int], list[int]]:
        data = open_data(DataSettings(data=str(photos), batch_size=2, max_per_class=n), seed)
        return list(data.train.indices), list(data.val.indices)

    assert len(opened(2)[0]) == 6
    assert opened(2) == opened(2)
    assert opened(2)[1] == opened(0)[1]
    assert opened(2)[0] != opened(2, seed=1)[0]


def test_counts_are_said_where_they_differ_much() -> None:
    assert describe_counts(part_of(15, 10), "ab", "none") == []
    assert describe_counts(part_of(10, 16), "ab", "none") == [
        "Counts b 16, a 10 training images: 1.6 times; `balance=sampler` or `balance=loss` evens it out"
    ]
    (line,) = describe_counts(part_of(*range(1, 11)), "abcdefghij", "loss")
    assert line == "Counts j 10, i 9, h 8, …, c 3, b 2, a 1 training images: 10.0 times; evened out by `balance=loss`"


@pytest.mark.slow
@pytest.mark.parametrize("balance", ["sampler", "loss"])
def test_training_with_balance_says_the_counts_and_ends(photos: Path, cli: Cli, balance: str) -> None:
    for i in range(1, 6):
        (photos / "red" / f"{i}.jpg").unlink()
    words = ("--data", str(photos), *SMALL, "--epochs", "1", "--balance", balance, "--run-name", "one")
    result = cli("train", *words)
    assert result.exit_code == 0, result.output
    assert f"Counts blue 6, green 6, red 2 training images: 3.0 times; evened out by --balance {balance}" in (
        result.stderr
    )
    assert cli("resume", "runs/one", "--epochs", "2", "--balance", "none").exit_code == 0
    assert "--max-per-class: cannot change" in cli("resume", "runs/one", "--max-per-class", "1").stderr
