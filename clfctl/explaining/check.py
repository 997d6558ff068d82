"""Proof that maps mean something: what is covered where they are hot counts, and what was learned is what they show."""

from collections.abc import Callable, Collection, Iterator, Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from clfctl.data.onlookers import no_step
from clfctl.data.pixels.decode import Pixels
from clfctl.evaluation.paired import ALPHA, mcnemar
from clfctl.explaining.by_input import mean_colour
from clfctl.explaining.heat import Floats, enlarged
from clfctl.explaining.layers import Layer
from clfctl.explaining.maps import maps_of
from clfctl.explaining.methods import Method
from clfctl.explaining.network import Inside, Network, network_around
from clfctl.models.factory import rebuild_model
from clfctl.models.sources import source_of

# The share of the pixels that is covered, and in how many random places as well.
SHARE, N_PLACES = 0.1, 5
# Maps of new weights that are ordered as those of the trained ones to more than this are the network's build, or edges.
ALIKE = 0.5
# The deviation of weights that a network would begin with as zeros.
DRAWN = 0.02
_SEED = 0


@dataclass(frozen=True)
class Deletion:
    """What the probability of the class falls by where a tenth of the image is covered, the mean of `n_images`.

    `hottest` is the fall where the map is hottest, `random` where the same shape lies elsewhere; in `n_more` images the
    former is larger than the middle one of those, in `n_less` smaller. `p` is that of the sign test, two-sided.
    """

    n_images: int
    hottest: float
    random: float
    n_more: int
    n_less: int
    p: float

    @property
    def is_passed(self) -> bool | None:
        """Whether the hottest tenth counts for more; None where these images cannot tell it from chance."""
        if self.p >= ALPHA:
            return None
        return self.hottest > self.random and self.n_more > self.n_less


@dataclass(frozen=True)
class Randomised:
    """How alike maps are to those of the trained network when some weights are new: Spearman's rank correlation.

    It is the mean over `n_images`; `n_constant` more have the same heat everywhere with the new weights, which has no
    order. None where all of them have.
    """

    what: str
    correlation: float | None
    n_images: int
    n_constant: int

    @property
    def is_passed(self) -> bool | None:
        """Whether the maps are others; None where there are none to compare."""
        return None if self.correlation is None else self.correlation < ALIKE


@dataclass(frozen=True)
class Check:
    """Both tests of the maps of `n_images` images; `n_empty` more have maps on which nothing is hot."""

    deletion: Deletion
    randomised: tuple[Randomised, ...]
    n_images: int
    n_empty: int

    @property
    def is_passed(self) -> bool | None:
        """Whether covering what is hot counts for more, and new weights give other maps; None: it cannot be told."""
        each = self.deletion.is_passed, self.randomised[-1].is_passed
        return False if False in each else None if None in each else True

    def as_record(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return {**asdict(self), "passed": self.is_passed}


def check_maps(
    network: Network,
    method: Method,
    layer: Layer | None,
    pixels: Pixels,
    classes: NDArray[np.int64],
    on_images: Callable[[int], None] = no_step,
) -> Check | None:
    """Test the maps of images (B, H, W, 3) uint8 of their classes (B,); None if nothing is hot on any of them.

    `on_images` is told how many maps were made; there are four for each image.
    """
    maps = maps_of(network, method, layer, pixels, classes)
    on_images(len(maps))
    hot = maps.max(axis=(1, 2)) > maps.min(axis=(1, 2))
    if not hot.any():
        return None
    n_empty = int((~hot).sum())
    pixels, classes, maps = pixels[hot], classes[hot], maps[hot]
    deletion = deletion_test(network, pixels, classes, maps)
    randomised = randomisation_test(network, method, layer, pixels, classes, maps, on_images)
    return Check(deletion, tuple(randomised), len(maps), n_empty)


def deletion_test(network: Network, pixels: Pixels, classes: NDArray[np.int64], maps: Floats) -> Deletion:
    """Cover the hottest tenth of images (B, H, W, 3), and the same shape in random places, by the mean colour.

    As Petsiuk et al. 2018 (arXiv:1806.07421) delete pixels. The same shape, moved around the edges, has as many pixels
    and as long a border: scattered pixels would be noise, which harms more than what they hide.
    """
    size = pixels.shape[1:3]
    draw, cover = np.random.default_rng(_SEED), mean_colour(network)

    def probabilities(images: Pixels) -> Floats:
        asked = [network.ask(images[start : start + 8]) for start in range(0, len(images), 8)]
        found: Floats = np.concatenate(asked)[np.arange(len(images)), classes]
        return found

    masks = np.stack([hottest(enlarged(each, (size[0], size[1])), SHARE) for each in maps])
    before = probabilities(pixels)
    hottest_falls = before - probabilities(np.where(masks[..., None], cover, pixels))
    random_falls = np.zeros((N_PLACES, len(before)), np.float32)
    for place in range(N_PLACES):
        moved = np.stack([np.roll(each, (draw.integers(size[0]), draw.integers(size[1])), (0, 1)) for each in masks])
        random_falls[place] = before - probabilities(np.where(moved[..., None], cover, pixels))
    # A place drawn at random is above the middle one of five others as often as below it; of their mean that is not so.
    middle = np.median(random_falls, axis=0)
    n_more, n_less = int((hottest_falls > middle).sum()), int((hottest_falls < middle).sum())
    means = float(hottest_falls.mean()), float(random_falls.mean())
    return Deletion(len(pixels), *means, n_more, n_less, mcnemar(n_more, n_less))


def hottest(heat: Floats, share: float) -> NDArray[np.bool_]:
    """Return where a map (H, W) has its highest values: exactly a share of its pixels, at least one."""
    mask = np.zeros(heat.size, np.bool_)
    n = max(1, round(share * heat.size))
    mask[np.argsort(-heat.ravel(), kind="stable")[:n]] = True
    return mask.reshape(heat.shape)


def randomisation_test(
    network: Network,
    method: Method,
    layer: Layer | None,
    pixels: Pixels,
    classes: NDArray[np.int64],
    maps: Floats,
    on_images: Callable[[int], None] = no_step,
) -> list[Randomised]:
    """Give the network new weights from its answer down, and compare the maps (Adebayo et al. 2018, arXiv:1810.03292).

    First its classifier, then the later half of its layers, at last all. Needs a network with an inside.
    """
    inside = network.within("the test with new weights")
    found = []
    for what, model in _with_new_weights(network, inside):
        changed = network_around(network, Inside(model, inside.trained))
        others = maps_of(changed, method, layer, pixels, classes)
        on_images(len(others))
        has_order = others.max(axis=(1, 2)) > others.min(axis=(1, 2))
        alike = [rank_correlation(*each) for each in zip(maps[has_order], others[has_order], strict=True)]
        mean = float(np.mean(alike)) if alike else None
        found.append(Randomised(what, mean, len(alike), len(maps) - len(alike)))
    return found


def _with_new_weights(network: Network, inside: Inside) -> Iterator[tuple[str, nn.Module]]:
    """Yield copies of a network with new weights from the top down, as it gets them before a training."""
    info, source = network.info, source_of(network.info.name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        fresh = rebuild_model(info.name, len(info.classes), inside.trained.settings, info.preprocess.image_size)
        head = source.head(inside.model)
        new = with_drawn_head(fresh.state_dict(), head)
    trained = inside.model.state_dict()
    groups = _groups(inside.model, source.layers(inside.model))
    middle = (max(groups.values()) + 1) // 2
    steps: list[tuple[str, set[str]]] = [
        ("the classifier", head),
        ("the later half of the layers", head | {name for name in trained if groups[name] >= middle}),
        ("all layers", set(trained)),
    ]
    for what, names in steps:
        model = deepcopy(inside.model)
        model.load_state_dict({name: (new if name in names else trained)[name] for name in trained})
        yield what, model


def with_drawn_head(weights: Mapping[str, torch.Tensor], head: Collection[str]) -> dict[str, torch.Tensor]:
    """Return new weights, whose `head` is drawn where it is all zeros, as timm begins many networks (MLP-Mixer).

    Zeros have no gradient, so that there would be no map to compare.
    """
    return {
        name: torch.randn_like(each) * DRAWN if name in head and each.ndim > 1 and not each.any() else each
        for name, each in weights.items()
    }


def _groups(model: nn.Module, of_parameters: Any) -> dict[str, int]:
    """Return the layer group of each tensor: a buffer's, such as a mean of batches, is that of its module."""
    by_module = {name.rpartition(".")[0]: group for name, group in of_parameters.items()}
    last = max(of_parameters.values(), default=0)
    return {name: of_parameters.get(name, by_module.get(name.rpartition(".")[0], last)) for name in model.state_dict()}


def rank_correlation(one: Floats, other: Floats) -> float:
    """Return Spearman's rank correlation of two maps of one shape; 0 where one of them is the same everywhere."""
    ranks = [_ranks(each.ravel()) for each in (one, other)]
    ranks = [each - each.mean() for each in ranks]
    norm = float(np.sqrt((ranks[0] ** 2).sum() * (ranks[1] ** 2).sum()))
    return float((ranks[0] * ranks[1]).sum()) / norm if norm > 0 else 0.0


def _ranks(values: Floats) -> NDArray[np.float64]:
    """Return the rank of each value; equal ones share the mean of theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: NDArray[np.float64] = (np.cumsum(counts) - (counts - 1) / 2.0)[place]
    return ranks
