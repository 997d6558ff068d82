"""How trials are chosen and which end early: Optuna's samplers and pruners, seeded by the number of the trial."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from optuna import Study, Trial
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.samplers import (
    BaseSampler,
    CmaEsSampler,
    GPSampler,
    GridSampler,
    RandomSampler,
    TPESampler,
)
from optuna.trial import FrozenTrial, TrialState

from clfctl.data.keys import hash_key
from clfctl.errors import UsageError
from clfctl.tuning.space import Dimension, Space, Value

# Trials that are compared with nothing, and epochs that none is judged by.
N_FREE_TRIALS, N_FREE_EPOCHS = 5, 1
MAX_GRID = 100_000


def sampler_of(name: str, space: Space, seed: int) -> BaseSampler:
    """Return the sampler of a name, whose choice for a trial depends on the seed, its number and the other trials.

    It keeps nothing between two trials, so a study that was stopped goes on as it would have.
    """
    if name == "grid":
        grid = {each.name: list(each.every_value()) for each in space}
        return ByNumber(lambda _: GridSampler(grid, seed), seed)
    made: dict[str, Callable[[int], BaseSampler]] = {
        # The liar keeps processes that choose at the same time from choosing the same.
        "tpe": lambda drawn: TPESampler(seed=drawn, constant_liar=True),
        "random": lambda drawn: RandomSampler(seed=drawn),
        "gp": lambda drawn: GPSampler(seed=drawn),
        "cmaes": lambda drawn: CmaEsSampler(seed=drawn, warn_independent_sampling=False),
    }
    return ByNumber(made[name], seed)


def pruner_of(name: str, n_epochs: int) -> BasePruner:
    """Return the pruner of a name, for trials of so many epochs."""
    if name == "median":
        return MedianPruner(n_startup_trials=N_FREE_TRIALS, n_warmup_steps=N_FREE_EPOCHS + 1)
    if name == "hyperband":
        return HyperbandPruner(min_resource=1, max_resource=max(1, n_epochs), reduction_factor=3)
    return NopPruner()


def check_sampler(name: str, space: Space) -> None:
    """Raise UsageError for a space that a sampler can do nothing with."""
    endless = [each.name for each in space if not each.every_value()]
    if name == "grid" and endless:
        hint = "give a list, or a range with a step (`search=lr=0.1..0.5:step=0.1`)"
        raise UsageError(f"a grid has every combination, and {endless[0]} has no end of values", hint, field="sampler")
    if name == "grid" and grid_size(space) > MAX_GRID:
        raise UsageError(f"the grid has {grid_size(space):,} combinations", "search less of it", field="sampler")
    ranges = [each for each in space if not each.choices]
    if name == "cmaes" and len(ranges) < 2:
        hint = "search two ranges or more, or use `sampler=tpe`"
        raise UsageError(f"CMA-ES searches ranges, and the space has {len(ranges)}", hint, field="sampler")


def grid_size(space: Space) -> int:
    """Return how many combinations a space has, 0 if there is no end of them."""
    return math.prod(len(each.every_value()) for each in space)


def n_wanted(name: str, space: Space, trials: int) -> int:
    """Return how many trials a study is to have: of a grid no more than it has combinations."""
    return min(trials, grid_size(space)) if name == "grid" else trials


def suggest(trial: Trial, dimension: Dimension) -> Value:
    """Return what a trial has of a dimension; the value of the setting is `Dimension.value` of it."""
    name, step = dimension.name, dimension.step
    if dimension.choices:
        found: Value = trial.suggest_categorical(name, dimension.choices)
        return found
    if dimension.is_whole:
        low, high = int(dimension.low), int(dimension.high)
        return trial.suggest_int(name, low, high, step=int(step or 1), log=dimension.is_log)
    return trial.suggest_float(name, dimension.low, dimension.high, step=step, log=dimension.is_log)


class ByNumber(BaseSampler):
    """A sampler that is made anew for each trial, with a seed of its number."""

    def __init__(self, make: Callable[[int], BaseSampler], seed: int) -> None:
        self._make, self._seed = make, seed
        self._of_trial: BaseSampler = make(seed)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Make the sampler of the trial."""
        self._of_trial = self._make(hash_key(self._seed, trial.number) % 2**31)
        self._of_trial.before_trial(study, trial)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return what is chosen together."""
        return self._of_trial.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return what is chosen together, by name."""
        return self._of_trial.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Return what is chosen by itself."""
        return self._of_trial.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Let the sampler note what it wants to know of the trial."""
        if not isinstance(self._of_trial, GridSampler):  # which would stop a loop that is not Optuna's
            self._of_trial.after_trial(study, trial, state, values)
