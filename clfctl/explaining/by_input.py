"""Maps of the image itself, by captum: integrated gradients, and occlusion."""

import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from clfctl.data.pixels.decode import Pixels
from clfctl.engine.step import Normalize
from clfctl.explaining.network import Floats, Inside, Network, as_images

# Steps from the baseline to the image. With captum's quadrature of Gauss and Legendre, 50 bring the sum of the map to
# within a few percent of what it must be.
N_STEPS, AT_ONCE = 50, 10
# A window is a sixth of a side, moved by half of itself: 121 questions an image.
WINDOWS = 6


def integrated_gradients(network: Network, inside: Inside, pixels: Pixels, classes: NDArray[np.int64]) -> Floats:
    """Return (B, H, W): what each pixel adds to the class's logit, summed over colours (Sundararajan et al. 2017).

    arXiv:1703.01365, from an image of the mean colour, which is zero to the network. Values may be below 0; the sum of
    a map is the logit of the image minus that of the mean colour.
    """
    from captum.attr import IntegratedGradients

    images = Normalize(network.info.preprocess, inside.device)(as_images(pixels))
    method, found = IntegratedGradients(inside.model), []
    with warnings.catch_warnings(), torch.enable_grad():
        warnings.simplefilter("ignore")  # of captum's: that it asks for gradients
        for image, number in zip(images, classes.tolist(), strict=True):
            adds: Any = method.attribute(image[None], target=number, n_steps=N_STEPS, internal_batch_size=AT_ONCE)
            found.append(adds.detach().sum(dim=1).float().cpu().numpy())
    return np.concatenate(found).astype(np.float32, copy=False)


def occlusion(network: Network, pixels: Pixels, classes: NDArray[np.int64]) -> Floats:
    """Return (B, H, W): by how much the probability falls with a window over a pixel (Zeiler and Fergus 2013).

    arXiv:1311.2901; the mean over all windows that cover it, each of the mean colour. The network is only asked.
    """
    from captum.attr import Occlusion

    height, width = pixels.shape[1:3]
    window = (3, max(1, -(-height // WINDOWS)), max(1, -(-width // WINDOWS)))
    steps = (3, max(1, window[1] // 2), max(1, window[2] // 2))
    cover = torch.from_numpy(mean_colour(network)).float().view(1, 3, 1, 1).expand(1, 3, height, width)

    def ask(images: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(network.ask(images.permute(0, 2, 3, 1).contiguous().to(torch.uint8).numpy()))

    method, found = Occlusion(ask), []
    for image, number in zip(as_images(pixels).float(), classes.tolist(), strict=True):
        falls: Any = method.attribute(
            image[None], window, steps, baselines=cover, target=number, perturbations_per_eval=AT_ONCE
        )
        found.append(falls[:, 0].numpy())
    return np.concatenate(found).astype(np.float32, copy=False)


def mean_colour(network: Network) -> NDArray[np.uint8]:
    """Return the colour (3,) uint8 that is nothing to a network: the mean that its images are brought to."""
    colour: NDArray[np.uint8] = np.rint(255 * np.array(network.info.preprocess.mean)).astype(np.uint8)
    return colour
