"""A trained model that names the class of images."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from clfctl.data.loader import BAD_IMAGE_ERRORS, reason_of
from clfctl.data.transform import to_pixels
from clfctl.engine.device import Precision
from clfctl.engine.saving import ModelInfo
from clfctl.engine.step import Normalize


@dataclass(frozen=True)
class Prediction:
    """The likeliest classes of an image, best first, as (class, probability); `error` says why there are none."""

    path: Path
    classes: tuple[tuple[str, float], ...]
    error: str = ""


@dataclass(frozen=True)
class Predictor:
    """A model in evaluation mode with what it needs to know."""

    model: nn.Module
    info: ModelInfo
    precision: Precision

    @torch.inference_mode()
    def predict(self, paths: Sequence[Path], top_k: int = 1, batch_size: int = 32) -> Iterator[Prediction]:
        """Yield a prediction for each path, in their order; an image that cannot be read has none but its error."""
        normalize = Normalize(self.info.preprocess, self.precision.device)
        for start in range(0, len(paths), batch_size):
            chunk = paths[start : start + batch_size]
            read = [self._read(path) for path in chunk]
            pixels = [each for each in read if not isinstance(each, str)]
            rows = iter(self._probabilities(normalize, pixels, top_k) if pixels else ())
            for path, each in zip(chunk, read, strict=True):
                yield Prediction(path, (), each) if isinstance(each, str) else Prediction(path, next(rows))

    def _read(self, path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]] | str:
        try:
            with Image.open(path) as image:
                return to_pixels(image, self.info.preprocess)
        except BAD_IMAGE_ERRORS as error:
            return reason_of(str(path), error)

    def _probabilities(
        self, normalize: Normalize, pixels: Sequence[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]], top_k: int
    ) -> list[tuple[tuple[str, float], ...]]:
        images = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2)
        with self.precision.autocast():
            logits = self.model(normalize(images))
        best = logits.float().softmax(1).topk(min(top_k, len(self.info.classes)))
        rows = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        return [tuple((self.info.classes[i], p) for i, p in zip(*row, strict=True)) for row in rows]
