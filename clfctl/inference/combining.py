"""Several models' answers as one: classes joined by name, and four rules that make one row of probabilities of many."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clfctl.errors import UsageError
from clfctl.evaluation.outputs import Floats, Numbers
from clfctl.settings.ensembles import Rule

# No member may rule out a class alone, as a probability of zero would in a geometric mean.
FLOOR = 1e-12
# What the mean counts beside votes: enough to tell equal numbers of votes apart, less than a vote of 26.
TIE = 1e-3
_MOST_ROUNDS, _STILL = 10_000, 1e-10
_N_NAMED = 5


@dataclass(frozen=True)
class Joined:
    """The `classes` that all members know, in the order of the first, and where each member has them (members, C)."""

    classes: tuple[str, ...]
    columns: tuple[tuple[int, ...], ...]
    left_out: tuple[str, ...] = ()

    def is_whole(self, member: int, n_classes: int) -> bool:
        """Return whether a member of so many classes knows just these, in this order."""
        return self.columns[member] == tuple(range(n_classes))

    def take(self, member: int, probabilities: Floats) -> Floats:
        """Return what a member says of the joined classes, (N, C), of its own (N, its classes): each row of sum 1.

        It is asked which of these it is, given that it is one of them.
        """
        if self.is_whole(member, probabilities.shape[1]):
            return probabilities
        return normalised(probabilities[:, list(self.columns[member])] + np.float32(FLOOR))


def join_classes(of_members: Sequence[Sequence[str]], names: Sequence[str]) -> Joined:
    """Return the classes that all members know, by name. Raises UsageError if they are fewer than two."""
    known = [{name: place for place, name in enumerate(classes)} for classes in of_members]
    common = tuple(name for name in of_members[0] if all(name in each for each in known))
    if len(common) < 2:
        knows = "; ".join(f"{name} knows {_listed(each)}" for name, each in zip(names, of_members, strict=True))
        what = f"they have only one class in common, {common[0]}" if common else "they have no class in common"
        raise UsageError(f"{', '.join(names)} cannot answer as one: {what}", knows)
    every = dict.fromkeys(name for classes in of_members for name in classes)
    left_out = tuple(name for name in every if name not in common)
    return Joined(common, tuple(tuple(each[name] for name in common) for each in known), left_out)


def combine(rule: Rule, answers: Sequence[Floats], weights: Sequence[float] = ()) -> Floats:
    """Return one row of probabilities (N, C) for each image, of the members' (N, C) for the same images.

    `mean` and `weighted` are linear opinion pools (Stone 1961), `geometric` the logarithmic one, renormalised (Genest
    and Zidek 1986). `vote` gives the share of members for which a class is the likeliest plus TIE times the mean of
    the probabilities, brought to a sum of 1: among equal numbers of votes the mean decides.
    """
    stacked = np.stack(answers)
    match rule:
        case "mean":
            return normalised(stacked.mean(axis=0))
        case "weighted":
            return normalised(np.tensordot(np.asarray(weights, np.float32), stacked, axes=1))
        case "geometric":
            logs = np.log(np.maximum(stacked, np.float32(FLOOR))).mean(axis=0)
            return normalised(np.exp(logs - logs.max(axis=1, keepdims=True)))
        case "vote":
            votes = np.eye(stacked.shape[2], dtype=np.float32)[stacked.argmax(axis=2)].mean(axis=0)
            return normalised(votes + np.float32(TIE) * stacked.mean(axis=0))


def normalised(rows: NDArray[np.float32]) -> Floats:
    """Return rows (N, C) with a sum of 1 each."""
    found: Floats = (rows / rows.sum(axis=1, keepdims=True)).astype(np.float32)
    return found


def fit_weights(answers: Sequence[Floats], labels: Numbers) -> tuple[float, ...]:
    """Return the weights, of sum 1, under which the mean of the members' answers has the smallest log loss.

    The maximum likelihood of a mixture whose parts are known, by expectation-maximisation (Dempster, Laird and Rubin
    1977): each weight becomes the mean share that its member has in the probability of the true class. The loss is
    convex in the weights, so where it starts does not matter. `answers` are (members) of (N, C), `labels` (N,), N > 0.
    """
    of_true = np.stack([each[np.arange(len(labels)), labels] for each in answers]).astype(np.float64) + FLOOR
    weights = np.full(len(answers), 1 / len(answers))
    for _ in range(_MOST_ROUNDS):
        parts = weights[:, None] * of_true
        now = (parts / parts.sum(axis=0)).mean(axis=1)
        still = np.abs(now - weights).max() < _STILL
        weights = now
        if still:
            break
    return tuple((weights / weights.sum()).tolist())


def losses_of(answers: Floats, labels: Numbers) -> Floats:
    """Return the negative logarithm of each true class's probability (N,)."""
    of_true = np.maximum(answers[np.arange(len(labels)), labels], np.float32(FLOOR))
    found: Floats = -np.log(of_true)
    return found


def floored(losses: Floats) -> Floats:
    """Return losses (N,) that are no larger than those of `losses_of` can be, so that both stand in one table."""
    found: Floats = np.minimum(losses, -np.log(np.float32(FLOOR)))
    return found


def _listed(names: Sequence[str]) -> str:
    more = f", … ({len(names)})" if len(names) > _N_NAMED else ""
    return ", ".join(names[:_N_NAMED]) + more
