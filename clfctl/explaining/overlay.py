"""A heat map drawn over its picture: the picture in grey, so that every colour is heat."""

import numpy as np
from matplotlib import colormaps

from clfctl.data.pixels.decode import Pixels
from clfctl.explaining.heat import Floats

# From black to yellow, evenly bright: read the same by every kind of colour vision, and in print.
COLOURS = "inferno"
STRENGTH = 0.75
# What the model did not see is this bright.
UNSEEN = 0.3
# Single pixels of the highest heat would leave all others dark.
TOP_SHARE = 0.995
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def levels_of(heat: Floats) -> Floats:
    """Return a map (H, W), whose NaN the model did not see, as levels from 0 to 1; all 0 where nothing is above 0.

    0 is the least of what was seen, if that is above 0: a map that comes nowhere near to 0 would be bright all over.
    One that is the same everywhere is 1 everywhere.
    """
    positive = np.nan_to_num(heat, nan=0.0).clip(min=0)
    seen = positive[~np.isnan(heat)]
    if not seen.any():
        return np.zeros_like(positive)
    least, top = float(seen.min()), float(np.quantile(seen, TOP_SHARE))
    if top <= least:
        top = float(seen.max())
    if top <= least:
        least = 0.0
    levels: Floats = ((positive - np.float32(least)) / np.float32(top - least)).clip(0, 1).astype(np.float32)
    return levels


def overlaid(picture: Pixels, heat: Floats, strength: float = STRENGTH) -> Pixels:
    """Return a picture (H, W, 3) uint8 with a map (H, W) of the same size over it; `strength` in [0, 1] is how much.

    At 0 it is the picture itself, but for what the model did not see, which is dark.
    """
    colour_share = min(1.0, 2 * strength)
    levels = levels_of(heat)
    base = picture.astype(np.float32)
    grey = (base @ _LUMA)[..., None]
    base = base + colour_share * (grey - base)
    colours = 255 * colormaps[COLOURS](levels)[..., :3].astype(np.float32)
    share = (strength * np.sqrt(levels))[..., None]
    drawn = base * (1 - share) + colours * share
    drawn[np.isnan(heat)] *= UNSEEN
    return np.rint(drawn).clip(0, 255).astype(np.uint8)
