"""From images to their maps, by any method."""

import numpy as np
from numpy.typing import NDArray

from clfctl.data.pixels.decode import Pixels
from clfctl.explaining.cams import OF_GRADIENTS, eigen_cam
from clfctl.explaining.layers import Layer, choose_layer, named_layer, try_layers
from clfctl.explaining.methods import Method
from clfctl.explaining.network import Floats, Network, features_and_gradients

# Images at once: the gradient of a layer needs little more memory than an answer.
AT_ONCE = 8


def layer_for(network: Network, method: Method, wanted: str = "") -> Layer | None:
    """Return the layer that a method looks at, of a name or the best one; None for a method of the image itself.

    Raises UsageError if there is none.
    """
    if not method.of_layer:
        return None
    inside = network.within(method.name)
    layers = try_layers(inside.model, network.info.preprocess.image_size, network.info.name)
    if wanted:
        return named_layer(inside.model, layers, wanted, network.file)
    return choose_layer(inside.model, layers, network.info.name)


def maps_of(
    network: Network, method: Method, layer: Layer | None, pixels: Pixels, classes: NDArray[np.int64]
) -> Floats:
    """Return a map (B, h, w) float32 for each of the images (B, H, W, 3) uint8, of the class (B,) that is named for it.

    Of a layer it has the layer's places; the others have a value for each pixel. Raises ModelError, UsageError.
    """
    parts = [slice(start, start + AT_ONCE) for start in range(0, len(pixels), AT_ONCE)]
    return np.concatenate([_maps(network, method, layer, pixels[part], classes[part]) for part in parts])


def _maps(network: Network, method: Method, layer: Layer | None, pixels: Pixels, classes: NDArray[np.int64]) -> Floats:
    if layer is None:
        # captum's: not to be missed where no such method is asked for
        from clfctl.explaining.by_input import integrated_gradients, occlusion

        if not method.needs_gradients:
            return occlusion(network, pixels, classes)
        return integrated_gradients(network, network.within(method.name), pixels, classes)
    features, gradients = features_and_gradients(network, network.within(method.name), layer, pixels, classes)
    found = OF_GRADIENTS[method.name](features, gradients) if method.needs_gradients else eigen_cam(features)
    maps: Floats = found.cpu().numpy()
    return maps
