"""The maps of wrong answers, for a report: what spoke for the class that was named, and what for the true one."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clfctl.data.pixels.decode import Pixels
from clfctl.explaining.explanation import drawn_size, enlarged_by_squares
from clfctl.explaining.heat import Floats, enlarged
from clfctl.explaining.maps import layer_for, maps_of
from clfctl.explaining.methods import DEFAULT, METHODS
from clfctl.explaining.network import network_of
from clfctl.explaining.overlay import overlaid
from clfctl.inference.trained import TrainedModel


@dataclass(frozen=True)
class ExplainedMistakes:
    """Pictures (M, H, W, 3) uint8 of mistakes with the maps of the class that was named, and of the true class."""

    layer: str
    named: Pixels
    true: Pixels


def explain_mistakes(
    trained: TrainedModel, pictures: Pixels, named: NDArray[np.int64], true: NDArray[np.int64]
) -> ExplainedMistakes:
    """Return the maps over pictures (M, H, W, 3) as the model saw them. Raises UsageError for a model without maps."""
    network, method = network_of(trained), METHODS[DEFAULT]
    layer = layer_for(network, method)
    assert layer is not None  # the method looks at one
    drawn = [_drawn(pictures, maps_of(network, method, layer, pictures, each)) for each in (named, true)]
    return ExplainedMistakes(layer.name, *drawn)


def _drawn(pictures: Pixels, maps: Floats) -> Pixels:
    size = drawn_size(pictures.shape[1], pictures.shape[2])
    return np.stack(
        [
            overlaid(enlarged_by_squares(picture, size), enlarged(each, size))
            for picture, each in zip(pictures, maps, strict=True)
        ]
    )
