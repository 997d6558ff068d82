"""A soup: the mean of the weights of a run's best epochs, of those that make it better, in the place of the best one.

Greedy soup of Wortsman et al. 2022, arXiv:2203.05482, whose ingredients are here epochs of one training.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch

from clfctl.engine.averaging import batches_to_see, copied, norms_to_refresh, refresh
from clfctl.engine.evaluate import evaluate
from clfctl.engine.trainer import Trainer
from clfctl.runs.best import as_souped, best_epochs
from clfctl.runs.checkpoint import MODEL, load_checkpoint
from clfctl.runs.history import EpochResult
from clfctl.storage.files import write_text
from clfctl.storage.json_lines import dump_json

Tensors = Mapping[str, torch.Tensor]


def cook(trainer: Trainer, tell: Callable[[str], None]) -> None:
    """Average the weights of the best epochs of a finished training, save that as best if it is better, and tell.

    Begins with the best epoch; each of the others, from good to less good, joins the mean if the mean with it is not
    worse on the validation images. What came of it is written into the run, and nothing is done a second time. Raises
    CheckpointError if weights cannot be read or written.
    """
    run, history = trainer.saver.run, trainer.state.cursor.history
    settings, criterion = trainer.state.settings, trainer.criterion()
    world = trainer.world
    if not settings.soup or world.first_says(_is_cooked(trainer)):
        return
    # The first process says which are there: it may have been writing the last of them until now.
    there = [each for each in best_epochs(history, criterion, settings.soup) if run.ingredient(each.epoch).is_file()]
    numbers = world.first_says([each.epoch for each in there])
    ranked = [each for each in best_epochs(history, criterion, settings.soup) if each.epoch in numbers]
    if len(ranked) < 2:
        tell(f"Soup   not made: the weights of {len(ranked)} of the best epochs are there, and it takes two")
        return
    first, *others = ranked
    former = as_souped(run, first, criterion.metric)
    pot, best, chosen = _Pot(trainer, first), first, [first.epoch]
    tell(f"Soup   of the {len(ranked)} best epochs, each tried on the validation images")
    for each in others:
        tried = replace(each, metrics={**each.metrics, **pot.taste(each)})
        if not criterion.is_better(best, tried):
            pot.keep()
            best, chosen = tried, [*chosen, each.epoch]
    value, before = best.metric(criterion.metric), first.metric(criterion.metric)
    if former is not first and not criterion.is_better(best, former):
        record = json.loads(run.soup.read_text(encoding="utf-8")) | {"n_epochs": len(history)}
        tell(f"Soup   of now, {criterion.metric} {value:.4f}, is not better than the one of before, which stays")
        _write(trainer, record)
        return
    if len(chosen) > 1:
        if world.is_first:
            trainer.saver.save_weights(run.best, trainer.state, pot.filled(), chosen)
        epochs = ", ".join(map(str, chosen))
        tell(f"Soup   of epochs {epochs}: {criterion.metric} {value:.4f} instead of {before:.4f}; it is saved as best")
    else:
        tell(
            f"Soup   none of the others makes epoch {first.epoch} better ({criterion.metric} {before:.4f}), which stays"
        )
    record = {"epochs": chosen, "tried": [each.epoch for each in ranked], "metric": criterion.metric}
    _write(trainer, {**record, "value": value, "before": before, "n_epochs": len(history)})


def _write(trainer: Trainer, record: Mapping[str, Any]) -> None:
    if trainer.world.is_first:
        write_text(trainer.saver.run.soup, dump_json(record) + "\n")


def _is_cooked(trainer: Trainer) -> bool:
    """Return whether the soup of the epochs that are trained was made already."""
    try:
        made = json.loads(trainer.saver.run.soup.read_text(encoding="utf-8"))
        return bool(made["n_epochs"] == len(trainer.state.cursor.history))
    except (OSError, ValueError, KeyError, TypeError):
        return False


class _Pot:
    """A mean of weights, to which others are added to try them, and kept or not."""

    def __init__(self, trainer: Trainer, first: EpochResult) -> None:
        self._trainer, self._model = trainer, copied(trainer.state.model)
        self._norms = norms_to_refresh(trainer.state.model)
        self._sum, self._n = self._weights(first), 1
        self._tried = self._sum

    def taste(self, result: EpochResult) -> dict[str, float]:
        """Return the validation metrics of the mean with the weights of an epoch."""
        others = self._weights(result)
        self._tried = {name: each + others[name] for name, each in self._sum.items() if each.is_floating_point()}
        model, trainer = self._fill(self._tried, self._n + 1), self._trainer
        return evaluate(model, trainer.val_loader, trainer.state.precision, trainer.normalize, None, trainer.world)

    def keep(self) -> None:
        """Let what was tried last be part of the mean."""
        self._sum, self._n = {**self._sum, **self._tried}, self._n + 1

    def filled(self) -> torch.nn.Module:
        """Return a model with the mean."""
        return self._fill(self._sum, self._n)

    def _weights(self, result: EpochResult) -> Tensors:
        return load_checkpoint(self._trainer.saver.run.ingredient(result.epoch)).part(MODEL)

    def _fill(self, tensors: Tensors, n: int) -> torch.nn.Module:
        """Return the model with a mean of `n`, whose batch normalization has seen images; counters stay as they are."""
        mean = {name: each / n if each.is_floating_point() else each for name, each in tensors.items()}
        self._model.load_state_dict({**self._model.state_dict(), **mean})
        trainer = self._trainer
        epoch = trainer.state.cursor.epoch - 1  # the last
        images = (trainer.normalize(each.images) for each in batches_to_see(trainer.train_loader.of_all(), epoch))
        refresh(self._model, self._norms, images, trainer.state.precision)
        return self._model
