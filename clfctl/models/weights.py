"""First weights from a file: ours or anyone's, under whatever names another trainer put before its own."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from clfctl.errors import ModelError, first_line
from clfctl.models.weights_file import read_state

State = Mapping[str, torch.Tensor]
# Counters of batches, which files of old versions of torch lack: nothing is computed with them.
COUNTER = ".num_batches_tracked"
N_NAMED = 3


@dataclass(frozen=True)
class Loaded:
    """Which tensors of a model a file filled, which kept their first values, and which of the file were not used."""

    matched: tuple[str, ...]
    new: tuple[str, ...]
    left_over: tuple[str, ...]
    is_average: bool

    def __str__(self) -> str:
        average = " (the average of the weights, EMA)" if self.is_average else ""
        new = f", new classifier ({listed(self.new)})" if self.new else ""
        n_left = "1 tensor" if len(self.left_over) == 1 else f"{len(self.left_over)} tensors"
        left = f", {n_left} of the file left over ({listed(self.left_over)})"
        return f"{average}, {len(self.matched)} tensors{new}{left if self.left_over else ''}"


def load_weights(model: nn.Module, path: Path, head: Set[str], adapt: Callable[[State], State] | None = None) -> Loaded:
    """Fill a model from a file, but for tensors of its head that are not there, or are of another number of classes.

    `adapt` is tried on tensors that do not fit: it may make others of them, such as a position embedding of another
    size. Raises UsageError if the file does not exist, ModelError if it cannot be read or belongs to another model.
    """
    found = read_state(path)
    tensors, left_over = _without_prefix(found.tensors, model.state_dict())
    filled = fill(model, tensors, head, adapt)
    if filled.difference:
        hint = "choose the model that the weights belong to with `model=`"
        raise ModelError(f"{path} belongs to another model: {filled.difference}", hint, field="weights")
    return Loaded(filled.matched, filled.new, (*left_over, *filled.left_over), found.is_average)


@dataclass(frozen=True)
class Filled:
    """Which tensors filled a model, which of its head are still new, and which were not used.

    Where they do not fit `difference` says how, and the model is as it was.
    """

    matched: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    left_over: tuple[str, ...] = ()
    difference: str = ""


def fill(model: nn.Module, tensors: State, head: Set[str], adapt: Callable[[State], State] | None = None) -> Filled:
    """Fill a model with tensors of its names, but for those of its head that are not there or have another shape.

    `adapt` is tried on tensors that do not fit, as in `load_weights`.
    """
    own = model.state_dict()
    missing, wrong = _misfits(tensors, own, head)
    reason = ""
    if (missing or wrong) and adapt:
        try:
            adapted = adapt(tensors)
        except Exception as error:  # it was written for weights that it knows
            reason = f" (converting them failed: {first_line(error)})"
        else:
            if not any(others := _misfits(adapted, own, head)):
                tensors, (missing, wrong) = adapted, others
    if missing or wrong:
        return Filled(difference=_difference(own, tensors, missing, wrong) + reason)
    matched = tuple(name for name in own if name in tensors and tensors[name].shape == own[name].shape)
    model.load_state_dict({name: tensors[name] for name in matched}, strict=False)
    new = tuple(name for name in own if name in head and name not in matched)
    return Filled(matched, new, tuple(name for name in tensors if name not in own))


def _without_prefix(found: State, own: State) -> tuple[State, list[str]]:
    """Take away the prefix that makes the most names the model's own; return the names that do not have it too."""
    matches: Counter[str] = Counter()
    for name in found:
        parts = name.split(".")
        for n in range(len(parts)):
            if ".".join(parts[n:]) in own:
                matches[".".join([*parts[:n], ""]) if n else ""] += 1
    # Of a student and its teacher, or a model and its average, the latter; else the shortest.
    prefix = max(matches, key=lambda each: (matches[each], "ema" in each or "teacher" in each, -len(each)), default="")
    tensors = {name.removeprefix(prefix): each for name, each in found.items() if name.startswith(prefix)}
    return tensors, [name for name in found if not name.startswith(prefix)]


def _misfits(found: State, own: State, head: Set[str]) -> tuple[list[str], list[str]]:
    """Return which tensors of the model, but for its head, are missing, and which have another shape."""
    body = [name for name in own if name not in head and not name.endswith(COUNTER)]
    missing = [name for name in body if name not in found]
    return missing, [name for name in body if name in found and found[name].shape != own[name].shape]


def _difference(own: State, found: State, missing: list[str], wrong: list[str]) -> str:
    if wrong:
        name = wrong[0]
        shapes = f"{tuple(found[name].shape)}, the model's is {tuple(own[name].shape)}"
        return f"{len(wrong)} tensors have another shape; {name} is {shapes}"
    return f"it lacks {len(missing)} of the model's {len(own)} tensors, such as {missing[0]}"


def listed(names: Sequence[str]) -> str:
    """Return the first few names, with `…` where there are more."""
    return ", ".join(names[:N_NAMED]) + (", …" if len(names) > N_NAMED else "")
