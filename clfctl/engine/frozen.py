"""What is not trained: for good, or until a time; and how a step, a mode and an optimizer leave it as it is."""

import re
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any

from torch import nn
from torch.optim import Optimizer

from clfctl.errors import UsageError, shortened
from clfctl.models.source import ModelSource
from clfctl.settings.optimization import BACKBONE

N_NAMED = 3
# The mark of batch normalization that keeps its statistics.
_KEEPS = "_keeps_statistics"
# A number of layer groups has fewer.
N_DIGITS = 9


def has_begun(group: Mapping[str, Any], t: float) -> bool:
    """Return whether a param group is trained at `t` epochs; `starts_at` None is never, and none is always."""
    starts_at = group.get("starts_at", 0)
    return starts_at is not None and t >= starts_at


def begin_epoch(model: nn.Module, optimizer: Optimizer, epoch: int) -> None:
    """Bring a model into training mode for an epoch, from 0: what has not begun by then gets no gradients.

    A function of the time alone, so that a resumed run needs to know nothing else.
    """
    for group in optimizer.param_groups:
        begun = has_begun(group, epoch)
        for parameter in group["params"]:
            parameter.requires_grad_(begun)
    train_mode(model)


def train_mode(model: nn.Module) -> None:
    """Bring a model into training mode, but for batch normalization that is frozen: its statistics stay too."""
    model.train()
    for norm in (*_frozen_norms(model), *(each for each in norms_of(model) if getattr(each, _KEEPS, False))):
        norm.eval()


def keep_statistics(model: nn.Module) -> None:
    """Let the batch normalization of a model, and of its copies, go on with the statistics that it has."""
    for norm in norms_of(model):
        setattr(norm, _KEEPS, True)


def norms_of(model: nn.Module) -> list[nn.Module]:
    """Return the batch normalization of a model that has statistics."""
    every = (each for each in model.modules() if isinstance(each, nn.modules.batchnorm._NormBase))
    return [each for each in every if each.track_running_stats]


@contextmanager
def begun_only(optimizer: Optimizer) -> Iterator[None]:
    """Let an optimizer know only of the param groups that are trained now.

    A rate of 0 would not do: moments would be gathered, and the counters that some optimizers keep in the group itself
    would have gone on when it begins.
    """
    every = optimizer.param_groups
    begun = [group for group in every if any(parameter.requires_grad for parameter in group["params"])]
    if len(begun) < len(every):
        optimizer.param_groups = begun
    try:
        yield
    finally:
        optimizer.param_groups = every


def frozen_names(freeze: str, model: nn.Module, source: ModelSource) -> Set[str]:
    """Return the names of the parameters that `freeze` means, none if it is empty.

    Raises UsageError where it means none or all of them, with what there is.
    """
    names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    if not freeze:
        return set()
    if freeze == BACKBONE:
        found = set(names) - source.head(model)
    elif freeze.isdecimal() and len(freeze) < N_DIGITS:
        found = _first_layers(int(freeze), source.layers(model))
    else:
        found = _matching(freeze, names)
    found &= set(names)
    if found == set(names):
        hint = f"leave some to be trained, as `freeze={BACKBONE}` leaves the classifier"
        what = f"{freeze!r} matches all {len(names)} parameters: nothing would be trained"
        raise UsageError(what, hint, field="freeze")
    return found


def _first_layers(n: int, layers: Mapping[str, int]) -> set[str]:
    n_layers = 1 + max(layers.values())
    if not 0 < n < n_layers:
        hint = f"freeze 1 to {n_layers - 1} of them" if n_layers > 1 else "name parameters by a pattern"
        what = f"the model has {n_layers} layer groups; {n} are {'all of them' if n else 'none'}"
        raise UsageError(f"{what}: nothing would be {'trained' if n else 'frozen'}", hint, field="freeze")
    return {name for name, layer in layers.items() if layer < n}


def _matching(pattern: str, names: list[str]) -> set[str]:
    """Return the names that match as a shell's pattern; if none does, those that the regular expression is found in."""
    found = {name for name in names if fnmatchcase(name, pattern)}
    if found:
        return found
    why = ""
    try:
        found = {name for name in names if re.search(pattern, name)}
    except (re.error, OverflowError, RecursionError) as error:
        why = f", and as a regular expression it is not valid ({error})"
    if not found:
        some = [*names[:: max(1, len(names) // (N_NAMED - 1))], names[-1]]
        hint = f"they are called {', '.join(dict.fromkeys(some))}; or `freeze={BACKBONE}`, or a number of layer groups"
        raise UsageError(f"no parameter of the model matches {shortened(pattern)!r}{why}", hint, field="freeze")
    return found


def _frozen_norms(module: nn.Module, *, is_frozen: bool = False) -> Iterator[nn.Module]:
    """Yield the batch normalization that is not trained; one without parameters is as what it is a part of."""
    trained = [parameter.requires_grad for parameter in module.parameters()]
    is_frozen = not any(trained) if trained else is_frozen
    if is_frozen and isinstance(module, nn.modules.batchnorm._NormBase):
        yield module
    for child in module.children():
        yield from _frozen_norms(child, is_frozen=is_frozen)
