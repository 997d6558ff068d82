"""Which network a file of weights belongs to: what it says itself, or what its tensors fit."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher

import torch

from clfctl.errors import ClfctlError
from clfctl.models.custom import N_PARAMETERS as OWN
from clfctl.models.sources import model_names, source_of
from clfctl.models.timm_table import Row, read_table
from clfctl.models.weights import COUNTER, State, common_prefix, in_order, misfits, without_prefix
from clfctl.models.weights_content import Found
from clfctl.settings.image_size import USUAL
from clfctl.settings.network import ModelSettings

# Networks that are built to see whether the tensors fit, of those that have as many; each takes up to a second.
N_TRIED = 4
ANY_CLASSES = 10
ALIKE = 0.5


def what_fits(found: Found, stated: str) -> str:
    """Return a hint for weights that do not fit the model that is stated: the model that they fit, or what to try."""
    if found.is_ours:
        return f"it is a checkpoint of {found.network}: `start_from=` takes the model along with its weights"
    said = found.network.rpartition("/")[2]
    if fitting := [name for name in _candidates(found.tensors, stated, said) if _fits(found.tensors, name)]:
        if len(fitting) == 1 or fitting[0] == said:
            return f"its tensors fit `model={fitting[0]}`"
        names = f"{', '.join(fitting[:-1])} and {fitting[-1]}"
        return (
            f"its tensors fit {names}, which differ in what they do with them: `model={fitting[0]}` is the nearest name"
        )
    if said and said != stated and said.partition(".")[0] in model_names():
        return f"the file says that it is of {said}: try `model={said}`"
    whose = f"; the file says that it is of {said}" if said and said != stated else ""
    return f"choose the model that the weights belong to with `model=`; `clfctl models` lists them{whose}"


def _candidates(tensors: State, stated: str, said: str) -> list[str]:
    """Return the models that have as many tensors and numbers as the file, the likeliest first."""
    found = [*OWN, *(row.name for row in _of_size(tensors))]
    likeness = {name: SequenceMatcher(None, said or stated, name).ratio() for name in found}
    # One that the file names; then those whose names are like the one that was meant, and those with the shortest.
    ranks = {each: (each != said, -likeness[each] if likeness[each] > ALIKE else 0, len(each)) for each in found}
    return sorted((name for name in found if name != stated), key=lambda each: ranks[each])[:N_TRIED]


def _of_size(tensors: State) -> Iterator[Row]:
    prefix = common_prefix(tensors)
    by_head: Mapping[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in read_table()[1].values():
        by_head[row.head].append(row)
    plain = {name: each for name, each in tensors.items() if not name.endswith(COUNTER)}
    # What a classifier that is called otherwise consists of, as a rule.
    without_last = _size([*plain.values()][:-2])
    for head, rows in by_head.items():
        starts = tuple(f"{prefix}{name}." for name in head)
        sizes = _size([each for name, each in plain.items() if not name.startswith(starts)]), without_last
        yield from (row for row in rows if (row.n_body, row.n_values) in sizes)


def _size(tensors: Sequence[torch.Tensor]) -> tuple[int, int]:
    return len(tensors), sum(each.numel() for each in tensors)


def _fits(tensors: State, name: str) -> bool:
    """Return whether a model has the names and shapes of the tensors, or the shapes in their order."""
    source = source_of(name)
    try:
        with torch.device("meta"):  # without memory for the weights
            model = source.rebuild(name, ANY_CLASSES, ModelSettings(model=name), _size_of(name))
    except (ClfctlError, RuntimeError):
        return False
    own, head = model.state_dict(), source.head(model)
    plain, _ = without_prefix(tensors, own)
    return not any(misfits(plain, own, head)) or in_order(plain, own, head) is not None


def _size_of(name: str) -> int:
    row = read_table()[1].get(name)
    return row.height if row else USUAL
