"""A model in detail, built without memory for its weights."""

from dataclasses import asdict, dataclass
from typing import Any

import torch

from clfctl.errors import UsageError
from clfctl.models.hub_cache import cached_file
from clfctl.models.sources import source_of
from clfctl.models.timm_table import read_table
from clfctl.settings.image_size import USUAL
from clfctl.settings.network import ModelSettings

N_CLASSES = 10
SEEN = ("input_size", "fixed_input_size", "mean", "std", "interpolation", "crop_pct", "crop_mode", "license")


@dataclass(frozen=True)
class Part:
    """A direct part of a network: its name, the class that it is of, and its parameters."""

    name: str
    kind: str
    n_parameters: int


@dataclass(frozen=True)
class Summary:
    """What there is to know of a model before it is trained.

    `n_parameters` are those with ten classes, `n_body` those without the classifier, which gets `n_features` of an
    image. `sees` is what it was made to see: size, mean, standard deviation and so on. `weights` has (tag, where they
    are published, the file on this machine or nothing) of each of its weights.
    """

    name: str
    n_parameters: int
    n_body: int
    n_features: int
    sees: dict[str, Any]
    parts: tuple[Part, ...]
    weights: tuple[tuple[str, str, str], ...]

    def as_record(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        weights = [dict(zip(("tag", "place", "file"), each, strict=True)) for each in self.weights]
        return asdict(self) | {"weights": weights}


def summary_of(name: str) -> Summary:
    """Build a model on torch's meta device and look at it. Raises UsageError or ModelError if it cannot be built."""
    try:
        source = source_of(name)
    except UsageError as error:
        raise UsageError(error.message, error.hint, field="show") from None
    row = read_table()[1].get(name.partition(".")[0])
    with torch.device("meta"):
        model: Any = source.rebuild(name, N_CLASSES, ModelSettings(model=name), row.height if row else USUAL)
    head, state = source.head(model), model.state_dict()
    classifier = [each for each in state if each in head and state[each].dim() > 1]
    counts = {key: parameter.numel() for key, parameter in model.named_parameters()}
    return Summary(
        name,
        sum(counts.values()),
        sum(n for key, n in counts.items() if key not in head),
        state[classifier[0]].shape[1] if classifier else 0,
        _seen_by(model),
        tuple(Part(key, type(part).__name__, _size(part)) for key, part in model.named_children()),
        _weights(name),
    )


def _size(part: torch.nn.Module) -> int:
    return sum(each.numel() for each in part.parameters())


def _seen_by(model: Any) -> dict[str, Any]:
    config = getattr(model, "pretrained_cfg", {})
    return {name: config[name] for name in SEEN if config.get(name) is not None}


def _weights(name: str) -> tuple[tuple[str, str, str], ...]:
    row = read_table()[1].get(name.partition(".")[0])
    if row is None:
        return ()
    places = [(tag, row.place(tag)) for tag, _ in row.published]
    return tuple((tag, place, str(cached_file(place) or "")) for tag, place in places)
