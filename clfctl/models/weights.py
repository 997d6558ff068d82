"""First weights from a file: ours or anyone's, under whatever names another trainer put before its own."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from clfctl.errors import ModelError, first_line
from clfctl.models.weights_content import Found
from clfctl.models.weights_file import read_state

State = Mapping[str, torch.Tensor]
# Counters of batches, which files of old versions of torch lack: nothing is computed with them.
COUNTER = ".num_batches_tracked"
N_NAMED = 3


@dataclass(frozen=True)
class Loaded:
    """Which tensors of a model a file filled, which kept their first values, and which of the file were not used.

    `average` is which average of the weights they are, in words. `spread` is the first convolution, where that of the
    file takes grey images; `by_order` says that the file has other names, and its tensors were taken in their order.
    """

    matched: tuple[str, ...]
    new: tuple[str, ...]
    left_over: tuple[str, ...]
    average: str
    spread: str = ""
    by_order: bool = False

    def __str__(self) -> str:
        average = f" ({self.average})" if self.average else ""
        spread = f", {self.spread} of one channel spread over three" if self.spread else ""
        new = f", new classifier ({listed(self.new)})" if self.new else ""
        n_left = "1 tensor" if len(self.left_over) == 1 else f"{len(self.left_over)} tensors"
        left = f", {n_left} of the file left over ({listed(self.left_over)})"
        order = ", whose names are others, in their order" if self.by_order else ""
        return f"{average}, {len(self.matched)} tensors{order}{spread}{new}{left if self.left_over else ''}"


def load_weights(
    model: nn.Module,
    path: Path,
    head: Set[str],
    adapt: Callable[[State], State] | None = None,
    explain: Callable[[Found], str] | None = None,
) -> Loaded:
    """Fill a model from a file, but for tensors of its head that are not there, or are of another number of classes.

    `adapt` is tried on tensors that do not fit: it may make others of them, such as a position embedding of another
    size. Where that does not help either, `explain` says what to try. Raises UsageError if the file does not exist,
    ModelError if it cannot be read or belongs to another model.
    """
    found, own = read_state(path), model.state_dict()
    tensors, left_over = without_prefix(found.tensors, own)
    if reason := next(filter(None, (_unusable(name, tensors[name]) for name in own if name in tensors)), ""):
        hint = "save the weights themselves: dense, real and finite"
        raise ModelError(f"{path} cannot be used: {reason}", hint, field="weights")
    tensors, spread = _with_three_channels(tensors, own)
    filled = fill(model, tensors, head, adapt)
    ordered = in_order(tensors, own, head) if filled.difference else None
    if ordered:
        filled = fill(model, ordered, head)
    if filled.difference:
        hint = explain(found) if explain else "choose the model that the weights belong to with `model=`"
        raise ModelError(f"{path} belongs to another model: {filled.difference}", hint, field="weights")
    left_over += filled.left_over
    return Loaded(filled.matched, filled.new, tuple(left_over), found.average, spread, by_order=bool(ordered))


def _unusable(name: str, tensor: torch.Tensor) -> str:
    """Return why nothing could be computed with a tensor as a weight, nothing if something could."""
    if tensor.is_meta:
        return f"{name} has a shape and no values"
    if tensor.is_quantized or tensor.is_complex() or tensor.layout != torch.strided:
        kind = "quantized" if tensor.is_quantized else ("complex" if tensor.is_complex() else "sparse")
        return f"{name} is {kind}"
    return "" if tensor.isfinite().all() else f"{name} is not finite everywhere: that training had failed"


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
    missing, wrong = misfits(tensors, own, head)
    reason = ""
    if (missing or wrong) and adapt:
        try:
            adapted = adapt(tensors)
        except Exception as error:  # it was written for weights that it knows
            reason = f" (converting them failed: {first_line(error)})"
        else:
            if not any(others := misfits(adapted, own, head)):
                tensors, (missing, wrong) = adapted, others
    if missing or wrong:
        return Filled(difference=_difference(own, tensors, missing, wrong) + reason)
    matched = tuple(name for name in own if name in tensors and tensors[name].shape == own[name].shape)
    model.load_state_dict({name: tensors[name] for name in matched}, strict=False)
    new = tuple(name for name in own if name in head and name not in matched)
    return Filled(matched, new, tuple(name for name in tensors if name not in own))


def without_prefix(found: State, own: State) -> tuple[State, list[str]]:
    """Take away the prefix that makes the most names the model's own; return the names that do not have it too."""
    matches: Counter[str] = Counter()
    for name in found:
        parts = name.split(".")
        for n in range(len(parts)):
            if ".".join(parts[n:]) in own:
                matches[".".join([*parts[:n], ""]) if n else ""] += 1
    # Of a student and its teacher, or a model and its average, the latter; else the shortest. Where no name is the
    # model's, as in a file of the paper's own code, it is what all names begin with.
    ranks = {each: (n, "ema" in each or "teacher" in each, -len(each)) for each, n in matches.items()}
    prefix = max(ranks, key=lambda each: ranks[each]) if ranks else common_prefix(found)
    tensors = {name.removeprefix(prefix): each for name, each in found.items() if name.startswith(prefix)}
    return tensors, [name for name in found if not name.startswith(prefix)]


def in_order(found: State, own: State, head: Set[str]) -> State | None:
    """Return tensors of other names under the model's own, if all agree in order, shape and kind; None if not.

    The kind is the last part of a name: weight, bias, running_mean, running_var. Of the head only the number of classes
    may differ, or it is not there. The same network in another's code has its modules in the same order as a rule.
    """
    names = [name for name in own if not name.endswith(COUNTER)]
    theirs = [name for name in found if not name.endswith(COUNTER)]
    if len(theirs) < len(names):
        names = [name for name in names if name not in head]
    if len(theirs) != len(names):
        return None
    for their, name in zip(theirs, names, strict=True):
        first = int(name in head)
        if found[their].shape[first:] != own[name].shape[first:]:
            return None
        if their.rpartition(".")[2] != name.rpartition(".")[2]:
            return None
        if their != name and their in own:
            return None
    return {name: found[their] for their, name in zip(theirs, names, strict=True)}


def common_prefix(names: Iterable[str]) -> str:
    """Return the dotted prefix that all names begin with: `module.` of `module.conv.weight` and `module.fc.bias`."""
    parts = [name.split(".")[:-1] for name in names]
    same = itertools.takewhile(lambda each: len(set(each)) == 1, zip(*parts, strict=False))
    return "".join(f"{each[0]}." for each in same)


def _with_three_channels(found: State, own: State) -> tuple[State, str]:
    """Return the tensors with a first convolution of grey images made one of RGB, and its name, if there is such a one.

    A third of it for each channel: a grey image in three equal channels then gives what it gave in one. The other way
    round timm adds the channels up (`adapt_input_conv`).
    """
    for name, each in found.items():
        shape = own[name].shape if name in own else torch.Size()
        if len(shape) == each.dim() == 4 and shape[1] == 3 and each.shape == (shape[0], 1, *shape[2:]):
            return {**found, name: each.repeat(1, 3, 1, 1) / 3}, name
    return found, ""


def misfits(found: State, own: State, head: Set[str]) -> tuple[list[str], list[str]]:
    """Return which tensors of the model, but for its head, are missing, and which have another shape."""
    body = [name for name in own if name not in head and not name.endswith(COUNTER)]
    missing = [name for name in body if name not in found]
    return missing, [name for name in body if name in found and found[name].shape != own[name].shape]


def _difference(own: State, found: State, missing: list[str], wrong: list[str]) -> str:
    if wrong:
        name = wrong[0]
        of_file, of_model = tuple(found[name].shape), tuple(own[name].shape)
        if len(of_model) == len(of_file) == 4 and of_model == (of_file[0], 3, *of_file[2:]):
            return f"its first convolution, {name}, takes {of_file[1]} channels, and images have 3"
        shapes = f"{of_file}, the model's is {of_model}"
        return f"{len(wrong)} tensors have another shape; {name} is {shapes}"
    return f"it lacks {len(missing)} of the model's {len(own)} tensors, such as {missing[0]}"


def listed(names: Sequence[str]) -> str:
    """Return the first few names, with `…` where there are more."""
    return ", ".join(names[:N_NAMED]) + (", …" if len(names) > N_NAMED else "")
