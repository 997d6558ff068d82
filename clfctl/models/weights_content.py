"""What another trainer put around the tensors of a model: which of its mappings are the weights, and whose they are."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

# What others wrap a state dict in. An average of the weights is what their trainers evaluate.
EMA = "the average of the weights, EMA"
AVERAGES = ("state_dict_ema", "model_ema", "ema_state_dict", "ema_model", "params_ema", "ema")
WRAPPERS = (
    "state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights", "params", "module",
    "teacher",
)  # fmt: skip
# Tensors that are not of the model.
STATES = ("optimizer", "optim", "scheduler", "scaler", "criterion", "callbacks", "loops")
# Where trainers write the name of the network: beside the tensors, or among their options.
NAMES = ("arch", "architecture", "model_name", "model", "backbone")
OPTIONS = ("args", "hyper_parameters", "hparams", "config", "cfg", "opt")
# No trainer wraps deeper, and a file that refers to itself would never end.
DEPTH = 8


@dataclass(frozen=True)
class Found:
    """The tensors of a file by name, which average of the weights they are, in words, and which network it names.

    `average` is empty for plain weights. `is_ours`: it is a checkpoint of clfctl, which other things are known of too.
    """

    tensors: dict[str, torch.Tensor]
    average: str = ""
    network: str = ""
    is_ours: bool = False


class StandIn:
    """Takes the place of an object of another program: takes whatever it is given, and keeps none of it."""

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass


class Options(StandIn):
    """Takes the place of an `argparse.Namespace`, and keeps what a trainer was asked for."""

    values: Mapping[str, Any] = {}

    def __setstate__(self, state: object) -> None:
        if isinstance(state, dict):
            self.values = state


def unwrapped(content: Any) -> Found:
    """Return the tensors in what a file holds; none if there are none."""
    average, network = "", ""
    for _ in range(DEPTH):
        if not isinstance(content, Mapping):
            break
        network = network or _named(content)
        # Not an average that was never begun.
        inside = ((key, content[key]) for key in (*AVERAGES, *WRAPPERS) if any(_tensors(content.get(key))))
        key, inner = next(inside, ("", None))
        if inner is None:
            break
        content, average = inner, EMA if key in AVERAGES else average
    return Found(dict(_tensors(content)), average, network)


def _tensors(content: Any, prefix: str = "", depth: int = DEPTH) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield every tensor with its name, those of mappings in it under the names of these; not those of an optimizer."""
    if not isinstance(content, Mapping) or not depth:
        return
    for name, each in content.items():
        if isinstance(each, torch.Tensor):
            yield f"{prefix}{name}", each
        elif not str(name).startswith(STATES):
            yield from _tensors(each, f"{prefix}{name}.", depth - 1)


def _named(content: Mapping[Any, Any]) -> str:
    """Return the name that a file gives its network, empty if it gives none."""
    options = (content.get(key) for key in OPTIONS)
    places = [content, *(each.values if isinstance(each, Options) else each for each in options)]
    names = (place.get(key) for place in places if isinstance(place, Mapping) for key in NAMES)
    return next((name for name in names if isinstance(name, str) and name), "")
