"""Images in, predictions out, in their order and a few at a time: threads decode, and compute where they may."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, islice

from clfctl.data.ahead import work_ahead
from clfctl.data.pixels.unreadable import reason_of
from clfctl.inference.inputs import open_input
from clfctl.inference.prediction import Choice, Prediction, choose
from clfctl.inference.predictor import Predictor, Seen

AHEAD = 2
Batch = tuple[str, ...]
Read = tuple[str, Seen | str]  # a name with what is seen of it, or why nothing is


def predictions(
    predictor: Predictor, names: Iterable[str], choice: Choice, *, batch_size: int = 0, workers: int = 1
) -> Iterator[Prediction]:
    """Yield a prediction for each name, in their order; an image that cannot be read has only its error.

    At most `workers` + 2 batches are in memory. `batch_size` 0 is what the predictor is fast with. Raises ModelError.
    """

    def look(batch: Batch) -> list[Read]:
        return [(name, read_pixels(predictor, name)) for name in batch]

    def look_and_ask(batch: Batch) -> list[Prediction]:
        return answers(predictor, look(batch), choice)

    batches = _batches(names, batch_size or predictor.batch_size)
    ahead = partial(
        work_ahead, workers=workers, n_ahead=workers + AHEAD, name="predict", begin_thread=predictor.begin_thread
    )
    if predictor.is_parallel:
        yield from chain.from_iterable(ahead(look_and_ask, batches))
    else:
        for read in ahead(look, batches):
            yield from answers(predictor, read, choice)


def predict_one(predictor: Predictor, name: str, choice: Choice) -> Prediction:
    """Return the prediction for one image, read and computed in this thread."""
    return answers(predictor, [(name, read_pixels(predictor, name))], choice)[0]


def read_pixels(predictor: Predictor, name: str) -> Seen | str:
    """Return what the model is to see of an image, or why it cannot be read."""
    try:
        with open_input(name) as image:
            return predictor.look(image)
    except Exception as error:  # whatever a decoder raises for one image, the others get their answers
        return reason_of(error, name)


def answers(predictor: Predictor, read: Sequence[Read], choice: Choice) -> list[Prediction]:
    """Return the predictions for a batch of images that were read, in their order. Raises ModelError."""
    images = [each for _, each in read if not isinstance(each, str)]
    rows = iter(predictor.probabilities(images) if images else ())
    return [
        Prediction(name, error=each)
        if isinstance(each, str)
        else Prediction(name, choose(next(rows), predictor.info.classes, choice))
        for name, each in read
    ]


def _batches(names: Iterable[str], size: int) -> Iterator[Batch]:
    rest = iter(names)
    while batch := tuple(islice(rest, size)):
        yield batch
