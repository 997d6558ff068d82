"""Images that a program has, rather than a command line names: paths, Pillow images and arrays, one or many."""

import os
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

import numpy as np
from PIL import Image

from clfctl.data.onlookers import no_line
from clfctl.data.pixels.unreadable import reason_of
from clfctl.data.workers import n_cores
from clfctl.errors import UsageError
from clfctl.inference.inputs import Inputs, find_inputs, open_any
from clfctl.inference.open import open_predictor
from clfctl.inference.prediction import Choice, Prediction
from clfctl.inference.predictor import Predictor
from clfctl.inference.stream import Read, answers, predictions
from clfctl.runs.ensemble import Model

ALLOWED = "give paths, Pillow images, or uint8 arrays of the shape (H, W, 3), (H, W, 4) or (H, W)"


def predict_images(model: Model, images: Any, choice: Choice, batch_size: int, workers: int) -> list[Prediction]:
    """Return a prediction for each image, in their order. Raises UsageError for what is not an image, ModelError."""
    given = several(images)
    are_paths = all(isinstance(each, str | os.PathLike) for each in given)
    names = find_inputs([os.fspath(each) for each in given]) if given and are_paths else ()
    if not are_paths:
        for number, each in enumerate(given):
            check_image(each, f"image {number}")
    predictor = open_predictor(model, n_cores(), no_line)
    if are_paths:
        threads = workers or n_cores()
        found = [*predictions(predictor, names, choice, batch_size=batch_size, workers=threads)]
        unlisted = names.unlisted if isinstance(names, Inputs) else {}
        return [*found, *(Prediction(folder, error=f"cannot be listed: {why}") for folder, why in unlisted.items())]
    found = list[Prediction]()
    waiting = iter(enumerate(given))
    while batch := [*islice(waiting, batch_size or predictor.batch_size)]:
        found += answers(predictor, [_read(predictor, number, each) for number, each in batch], choice)
    return found


def several(images: Any) -> Sequence[Any]:
    """Return what was given as a sequence; an array of four dimensions is several images."""
    if isinstance(images, str | os.PathLike | Image.Image):
        return [images]
    if isinstance(images, np.ndarray):
        return [*images] if images.ndim == 4 else [images]
    if not isinstance(images, Iterable):
        raise UsageError(f"{type(images).__name__} is not an image", ALLOWED, field="images")
    return [*images]


def check_image(image: Any, name: str) -> None:
    """Raise UsageError for what is not an image."""
    if isinstance(image, str | os.PathLike | Image.Image):
        return
    if not isinstance(image, np.ndarray):
        raise UsageError(f"{name} is of the type {type(image).__name__}", ALLOWED, field="images")
    is_picture = image.ndim == 2 or (image.ndim == 3 and image.shape[2] in (1, 3, 4))
    if image.dtype != np.uint8 or not is_picture or not image.size:
        raise UsageError(f"{name} is an array of {image.dtype} with the shape {image.shape}", ALLOWED, field="images")


def _read(predictor: Predictor, number: int, image: Any) -> Read:
    """Return the name of an image and what the model is to see of it, or why it cannot be read."""
    name = os.fspath(image) if isinstance(image, str | os.PathLike) else f"image {number}"
    try:
        return name, predictor.look(open_any(image))
    except Exception as error:  # a lazy Pillow image may be damaged as a file may be
        return name, reason_of(error, name)
