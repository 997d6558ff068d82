"""What sweeps say together: their middle, how far they agree, and when nothing is to be believed."""

import math
import random
from typing import Any

import pytest

from clfctl.errors import UsageError
from clfctl.finding.found import judge, note_on_images, record_of, rounded
from clfctl.finding.sweep import End, Extent, Sweep, debiased_means, has_diverged
from tests.finding.curves import CURVES

EXTENT = Extent()


def sweep(middle: float = 50, noise: float = 0.02, fall: float = 1.5, rise: float = 88, seed: int = 0) -> Sweep:
    """Return a sweep whose loss falls around a step and explodes at another."""
    draw = random.Random(seed)
    losses = list[float]()
    for i in range(EXTENT.n_steps):
        losses.append(2.3 - fall / (1 + math.exp((middle - i) / 6)) + math.exp(i - rise) + draw.gauss(0, noise))
        if has_diverged(losses, debiased_means(losses, EXTENT.weight), EXTENT.n_first):
            return Sweep(EXTENT, seed, tuple(losses), "diverged")
    return Sweep(EXTENT, seed, tuple(losses), "at the end")


def test_sweeps_that_agree_are_trusted_and_their_middle_is_taken() -> None:
    found = judge([sweep(45, seed=1), sweep(50, seed=2), sweep(48, seed=3)])
    assert found.is_trusted
    assert found.notes == ()
    alone = [judge([each]).suggestions[0].lr for each in found.sweeps]
    taken = found.suggestions[0]
    assert [taken.low, taken.lr, taken.high] == sorted(alone)
    assert found.lr == rounded(taken.lr)
    assert found.rate("slide") != found.lr
    # Of two it is the geometric mean.
    two = judge(found.sweeps[:2]).suggestions[0]
    assert two.lr == pytest.approx(math.sqrt(alone[0] * alone[1]))


@pytest.mark.parametrize(
    ("sweeps", "doubt"),
    [
        (
            [sweep(fall=0.0, noise=0.1, rise=200, seed=n) for n in range(3)],
            "too noisy to trust; a larger `batch_size=",
        ),
        ([sweep(fall=0.3, noise=1.0, seed=n) for n in range(3)], "too noisy to trust"),
        ([sweep(20), sweep(45), sweep(70)], "the sweeps do not agree, "),
        ([Sweep(EXTENT, 0, (2.3, 2.4, 9.0), "diverged")], "the loss explodes after 3 steps already, at 1.4e-07"),
        ([Sweep(EXTENT, 0, tuple(CURVES["smooth"][:40]), "out of time")], "the time was over at a rate of "),
    ],
)
def test_what_is_not_trusted(sweeps: list[Sweep], doubt: str) -> None:
    found = judge(sweeps)
    assert not found.is_trusted
    assert doubt in found.doubts[0]


def test_a_loss_that_never_rises_is_told() -> None:
    found = judge([sweep(rise=300)])
    assert found.is_trusted
    assert "the loss never rose clearly, up to a rate of 10" in found.notes[0]
    assert "`end_lr=1000`" in found.notes[0]


def test_the_loss_of_a_trained_network_does_not_explode_by_chance() -> None:
    first = [0.01, 0.002, 0.03, 0.001, 0.01, 0.004, 0.02, 0.001, 0.05, 0.01]
    quiet = [*first, 0.06, 0.08]
    means = debiased_means(quiet, 0.5)
    assert means[-1] > 4 * min(means)
    assert not has_diverged(quiet, means, 10)
    loud = [*first, 0.5]
    assert has_diverged(loud, debiased_means(loud, 0.5), 10)
    early = [*first[:9], 7.0]
    assert not has_diverged(early, debiased_means(early, 0.5), 10)


@pytest.mark.parametrize("n_steps", [25, 50, 200, 1000])
def test_a_mean_reaches_back_over_the_same_rates_however_many_steps(n_steps: int) -> None:
    extent = Extent(n_steps=n_steps)
    assert extent.weight**n_steps == pytest.approx(0.98**100)
    rates = extent.rates()
    assert (len(rates), rates[0]) == (n_steps, 1e-7)
    assert rates[-1] * (rates[1] / rates[0]) == pytest.approx(10)
    # The same curve in more steps: the same rates.
    losses = [2.3 - 1.5 / (1 + math.exp((-1.5 - math.log10(rate)) / 0.4)) for rate in rates]
    found = judge([Sweep(extent, 0, tuple(losses), "at the end")])
    rate = found.rate("steepest")
    assert rate is not None
    assert 0.1 < rate < 0.3


BAD: list[tuple[dict[str, Any], str]] = [
    ({"start_lr": 0.0}, "start_lr"),
    ({"end_lr": math.inf}, "end_lr"),
    ({"start_lr": 1.0, "end_lr": 5.0}, "end_lr"),
    ({"n_steps": 24}, "steps"),
    ({"n_steps": 2001}, "steps"),
]


@pytest.mark.parametrize(("values", "field"), BAD, ids=str)
def test_what_is_no_sweep(values: dict[str, Any], field: str) -> None:
    with pytest.raises(UsageError) as caught:
        Extent(**values)
    assert caught.value.field == field


def test_images_that_come_back() -> None:
    assert note_on_images(EXTENT, 45) == ""
    assert "one batch, so that a sweep shows each image 100 times" in note_on_images(EXTENT, 1)


def test_as_json_it_has_all_that_was_found() -> None:
    end: End = "diverged"
    record: Any = record_of(judge([Sweep(EXTENT, 7, tuple(CURVES["noisy"]), end)]))
    assert record["sweeps"][0]["seed"] == 7
    assert len(record["sweeps"][0]["lr"]) == len(record["sweeps"][0]["smoothed"]) == len(CURVES["noisy"])
    assert record["suggestions"]["valley"]["low"] <= record["suggestions"]["valley"]["lr"]
    assert rounded(record["suggestions"]["valley"]["lr"]) == record["lr"]
