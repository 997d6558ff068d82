"""A confusion matrix as pixels and as a table of text, for trackers that show either."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_RIGHT, _WRONG = np.array((0, 114, 178)), np.array((213, 94, 0))
_SIDE = 480
_MOST = 30


def confusion_picture(confusion: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return (H, W, 3) uint8: a row a true class, blue on the diagonal, orange beside it, on white."""
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    strength = np.where(shares > 0, 0.15 + 0.85 * np.sqrt(shares), 0.0)[..., None]
    is_right = np.eye(len(confusion), dtype=bool)[..., None]
    colors = 255 - strength * (255 - np.where(is_right, _RIGHT, _WRONG))
    scale = max(1, _SIDE // len(confusion))
    whole: NDArray[np.uint8] = colors.round().astype(np.uint8).repeat(scale, axis=0).repeat(scale, axis=1)
    return whole


def confusion_table(classes: Sequence[str], confusion: NDArray[np.int64]) -> str:
    """Return it as a table in Markdown, a row a true class; of many classes the first thirty."""
    names = [name.replace("|", "/") for name in classes[:_MOST]]
    rows = [["", *names], ["---"] * (len(names) + 1)]
    rows += [[name, *map(str, row[:_MOST])] for name, row in zip(names, confusion.tolist(), strict=False)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
