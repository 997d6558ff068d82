"""What `lr=auto` stands for: a flag beside the rate, so that the rate itself is always a number."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

AUTO_RATE = "auto"


def with_flags(layers: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield what each source states, from the strongest on, with `find_lr=True` in the place of `lr=auto`.

    Below a source that states a rate none looks for one. What a weaker source says of the rate stays: it is what is
    trained with where none is found.
    """
    is_decided = False
    for layer in layers:
        values = dict(layer)
        if str(values.get("lr", "")).strip().lower() == AUTO_RATE:
            del values["lr"]
            values["find_lr"] = True
        if is_decided:
            values.pop("find_lr", None)
        is_decided = is_decided or "lr" in values or "find_lr" in values
        yield values
