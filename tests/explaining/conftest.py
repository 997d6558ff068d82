"""A real run whose classes can be seen in one place alone: a coloured square somewhere on grey noise."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import clfctl

SIDE, SQUARE = 32, 10
CLASSES = ("blue", "green", "red")


@dataclass(frozen=True)
class Squares:
    """A run, its folder of images, and where the square of each is: left, top, by the image's path."""

    run: Path
    data: Path
    corners: dict[Path, tuple[int, int]]

    def images(self, n: int) -> list[Path]:
        """Return the first `n` images of each class."""
        return [each for name in CLASSES for each in sorted((self.data / name).iterdir())[:n]]


def noise_with_square(draw: np.random.Generator, channel: int, left: int, top: int) -> Image.Image:
    """Return a picture of 32 x 32 pixels, whose square alone tells the class."""
    pixels = np.repeat(draw.integers(60, 190, (SIDE, SIDE, 1)), 3, 2)
    square = pixels[top : top + SQUARE, left : left + SQUARE]
    square[...] = square // 4
    square[..., channel] += 160
    return Image.fromarray(pixels.astype(np.uint8))


@pytest.fixture(scope="session")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Squares:
    root, draw, corners = tmp_path_factory.mktemp("squares"), np.random.default_rng(0), {}
    for name in CLASSES:
        for number in range(32):
            left, top = draw.integers(0, SIDE - SQUARE + 1, 2).tolist()
            path = root / "data" / name / f"{number:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            noise_with_square(draw, ("red", "green", "blue").index(name), left, top).save(path)
            corners[path] = left, top
    trained = clfctl.train(
        data=str(root / "data"),
        model="resnet9_small",
        image_size=SIDE,
        augment="none",
        batch_size=16,
        lr=3e-3,
        epochs=4,
        scheduler="constant",
        export=False,
        runs_dir=root / "runs",
    )
    assert trained.best is not None
    assert trained.best.metrics["val_top1"] > 0.9
    return Squares(trained.run, root / "data", corners)
