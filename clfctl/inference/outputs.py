"""What exported models say of labelled images: the same that `predict` says, kept for metrics."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from clfctl.data.ahead import work_ahead
from clfctl.data.loader import BadImages, read_or_note
from clfctl.data.sources.base import Part
from clfctl.errors import ModelError
from clfctl.evaluation.outputs import Floats, Numbers, Outputs
from clfctl.inference.predictor import Predictor

AHEAD = 2


def outputs_of(
    predictors: Sequence[Predictor], part: Part, bad: BadImages, workers: int, on_images: Callable[[int], object]
) -> list[Outputs]:
    """Return what each predictor says of the images of a part; all of them must see an image in the same way.

    An image is decoded once. One that cannot be read is left out and noted. `on_images` is told how many more are done.
    Raises ModelError if an answer is not finite, DataError if too many images are bad.
    """
    first = predictors[0]

    def look_and_ask(chunk: NDArray[np.int64]) -> tuple[list[int], list[Floats]]:
        seen = [(index, read_or_note(part.source, index, bad, first.look)) for index in chunk.tolist()]
        there = {index: pixels for index, pixels in seen if pixels is not None}
        images = [*there.values()]
        return [*there], [each.probabilities(images) for each in predictors] if images else []

    chunks = _chunks(np.asarray(part.indices, np.int64), first.batch_size)
    done = work_ahead(look_and_ask, chunks, workers=workers, n_ahead=workers + AHEAD, name="ask",
                      begin_thread=first.begin_thread)  # fmt: skip
    indices, found = list[int](), [list[Floats]() for _ in predictors]
    for read, answers in done:
        indices += read
        for rows, answer in zip(found, answers, strict=False):
            rows.append(answer)
        on_images(len(read))
    numbers = np.asarray(indices, np.int64)
    labels = np.asarray([part.source.labels[index] for index in indices], np.int64)
    return [_outputs(each, rows, numbers, labels) for each, rows in zip(predictors, found, strict=True)]


def _chunks(indices: Numbers, size: int) -> Iterator[Numbers]:
    for first in range(0, len(indices), size):
        yield indices[first : first + size]


def _outputs(predictor: Predictor, rows: list[Floats], indices: Numbers, labels: Numbers) -> Outputs:
    n_classes = len(predictor.info.classes)
    probabilities = np.concatenate(rows) if rows else np.zeros((0, n_classes), np.float32)
    if not np.isfinite(probabilities).all():
        raise ModelError(f"the answers of {predictor.title} are not finite", "try the checkpoint itself")
    true = probabilities[np.arange(len(labels)), labels]
    losses = -np.log(np.maximum(true, np.finfo(np.float32).tiny))
    return Outputs(indices, labels, probabilities, losses)
