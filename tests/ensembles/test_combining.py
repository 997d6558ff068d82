"""Four rules that make one answer of many, in NumPy and in torch; weights that are judged on what they did not see."""

import itertools
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clfctl.display.ensemble_table import verdict
from clfctl.ensembles.fitting import N_FOLDS, cross_fit, folds_of
from clfctl.errors import UsageError
from clfctl.evaluation.intervals import Interval
from clfctl.evaluation.metrics import compute_metrics
from clfctl.evaluation.outputs import Floats, Numbers, Outputs
from clfctl.evaluation.record import Member
from clfctl.inference.combining import combine, fit_weights, floored, join_classes, losses_of
from clfctl.inference.whole import combined
from clfctl.runs.ensemble import about_idle
from clfctl.settings.ensembles import Rule

RULES: tuple[Rule, ...] = get_args(Rule)


def rows(seed: int, n: int = 40, classes: int = 4, sharpness: float = 2.0) -> Floats:
    """Probabilities (n, classes) that add up to 1."""
    logits = np.random.default_rng(seed).normal(0, sharpness, (n, classes))
    found: Floats = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(np.float32)
    return found


def knowing(labels: Numbers, share: float, seed: int) -> Floats:
    """Answers of a model that knows the class of a share of the images, and guesses at the others."""
    draw = np.random.default_rng(seed)
    found = rows(seed, len(labels), int(labels.max()) + 1)
    known = np.flatnonzero(draw.random(len(labels)) < share)
    found[known, labels[known]] += 3
    result: Floats = found / found.sum(axis=1, keepdims=True)
    return result


LABELS: Numbers = np.arange(200) % 4
ANSWERS = [knowing(LABELS, 0.7, 1), knowing(LABELS, 0.4, 2), rows(3, 200)]


@pytest.mark.parametrize("rule", RULES)
@given(st.integers(0, 1000), st.integers(2, 4))
def test_torch_and_numpy_combine_alike(rule: Rule, seed: int, n: int) -> None:
    answers = [rows(seed + place, 8) for place in range(n)]
    weights = tuple(rows(seed, 1, n)[0].tolist()) if rule == "weighted" else ()
    found = combine(rule, answers, weights)
    assert np.allclose(found.sum(axis=1), 1, atol=1e-6)
    assert np.allclose(combined(rule, list(map(torch.from_numpy, answers)), weights).numpy(), found, atol=1e-6)


def test_each_rule_is_its_formula() -> None:
    a, b, c = (np.array([each], np.float32) for each in ([0.6, 0.3, 0.1], [0.1, 0.5, 0.4], [0.0, 0.45, 0.55]))
    assert combine("mean", [a, b, c])[0] == pytest.approx([0.7 / 3, 1.25 / 3, 1.05 / 3])
    assert combine("weighted", [a, b], (0.75, 0.25))[0] == pytest.approx([0.475, 0.35, 0.175])
    roots = np.sqrt([0.06, 0.15, 0.04])
    assert combine("geometric", [a, b])[0] == pytest.approx(roots / roots.sum())
    # One of them rules the first class out: it becomes unlikely, not impossible.
    assert 0 < combine("geometric", [a, b, c])[0, 0] < 1e-3
    # A vote each: of equal numbers of votes the mean decides, and no vote counts less than another.
    assert combine("vote", [a, b, c])[0].argmax() == 1
    assert combine("vote", [a, b, c])[0] == pytest.approx([1 / 3] * 3, abs=1e-3)
    assert combine("vote", [a, a, b])[0] == pytest.approx([2 / 3, 1 / 3, 0], abs=1e-3)


def test_the_loss_of_a_member_has_the_floor_of_the_whole() -> None:
    """Of log-softmax it may be 80 for one image, where the same answer as a probability is 0, or 27.6."""
    answers, labels = np.array([[1, 0], [0.25, 0.75]], np.float32), np.array([1, 1])
    whole = losses_of(answers, labels)
    own = np.array([80, -np.log(0.75)], np.float32)
    np.testing.assert_array_equal(floored(own)[0], whole[0])
    np.testing.assert_allclose(floored(own), whole, rtol=1e-6)


def test_fitted_weights_are_those_of_least_loss() -> None:
    weights = fit_weights(ANSWERS, LABELS)
    assert sum(weights) == pytest.approx(1)
    assert weights[0] > weights[1] > 0.05 > weights[2]
    best = float(losses_of(combine("weighted", ANSWERS, weights), LABELS).mean())
    steps = np.linspace(0, 1, 41)
    for first, second in itertools.product(steps, steps):
        if first + second <= 1:
            other = combine("weighted", ANSWERS, (first, second, 1 - first - second))
            assert best <= float(losses_of(other, LABELS).mean()) + 1e-6


def test_no_image_is_answered_by_weights_that_were_fitted_on_it() -> None:
    before = cross_fit(ANSWERS, LABELS, None, "digits", "val")
    folds = folds_of(len(LABELS))
    for place in (0, 17, 101):
        labels = LABELS.copy()
        labels[place] = (labels[place] + 1) % 4
        after = cross_fit(ANSWERS, labels, None, "digits", "val")
        same = folds == folds[place]
        assert (after.out_of_fold[same] == before.out_of_fold[same]).all()
        assert (after.out_of_fold[~same] != before.out_of_fold[~same]).any()
        assert after.fitted.weights != before.fitted.weights
    assert before.fitted.loss < before.fitted.equal_loss


def test_what_belongs_together_is_in_one_fold() -> None:
    groups: Numbers = np.random.default_rng(0).integers(0, 40, 300)
    folds = folds_of(300, groups)
    assert all(len({*folds[groups == group]}) == 1 for group in groups)
    assert {*folds.tolist()} == {*range(N_FOLDS)}
    with pytest.raises(UsageError, match="4 validation groups of images"):
        cross_fit(ANSWERS, LABELS, LABELS, "digits", "val")


def test_classes_are_joined_by_name() -> None:
    joined = join_classes([("cat", "dog", "owl"), ("dog", "fox", "cat")], ["one", "two"])
    assert joined.classes == ("cat", "dog")
    assert joined.left_out == ("owl", "fox")
    given = np.array([[0.5, 0.3, 0.2]], np.float32)
    assert joined.take(0, given)[0] == pytest.approx([5 / 8, 3 / 8])
    assert joined.take(1, given)[0] == pytest.approx([2 / 7, 5 / 7])
    # What says that it is neither says nothing of which it is.
    assert joined.take(0, np.array([[0, 0, 1]], np.float32))[0] == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize("others", [("hen", "cow"), ("cat", "cow")])
def test_models_without_common_classes_are_refused(others: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="one, two cannot answer as one: they have") as caught:
        join_classes([("cat", "dog"), others], ["one", "two"])
    assert caught.value.hint == f"one knows cat, dog; two knows {', '.join(others)}"


def member(name: str, only_whole: int, only_member: int, p: float, right: int) -> Member:
    """One beside the whole on 100 images, of which it has some right."""
    labels = np.zeros(100, int)
    answers = np.full((100, 2), 0.5, np.float32)
    answers[:right, 0] = 0.9
    answers[right:, 1] = 0.9
    metrics = compute_metrics(Outputs(np.arange(100), labels, answers, losses_of(answers, labels)), ("a", "b"))
    return Member(name, name, "", 1, "x", 8, 0.5, metrics, only_whole, only_member, p, p, Interval(-1, 1, "x"))


VERDICTS = [
    ((20, 5, 0.003), "The whole is 15.00 percentage points more accurate than the best member, x: too much for chance"),
    ((6, 5, 1.0), "The whole is 1.00 percentage points ahead of the best member, x; that may be chance"),
    ((5, 5, 1.0), "The whole is exactly as accurate as the best member, x."),
    ((5, 6, 1.0), "Warning: the whole is 1.00 percentage points behind the best member, x; that may be chance"),
    ((5, 20, 0.003), "Warning: the whole is 15.00 percentage points less accurate than the best member, x: too much"),
]


@pytest.mark.parametrize(("counts", "said"), VERDICTS)
def test_a_whole_that_is_worse_than_its_best_member_is_warned_of(counts: tuple[int, int, float], said: str) -> None:
    found = verdict([member("worse", 30, 1, 0.01, 40), member("x", *counts, 60)])
    assert found.startswith(said)
    assert ("Use that member alone" in found) is said.startswith("Warning")


def test_members_that_hardly_count_are_warned_of() -> None:
    assert about_idle({"a": 0.999, "b": 0.001}) == []
    assert about_idle({"a": 0.9996, "b": 0.0004}) == [
        "Warning: b has a weight of 0.000, which costs time for nothing: use a alone."
    ]
    assert about_idle({"a": 0.0, "b": 0.5, "c": 0.5, "d": 0.0}) == [
        "Warning: a and d have a weight of 0.000, which costs time for nothing: leave out what does not count."
    ]
