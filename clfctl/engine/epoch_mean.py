"""The weights at the end of an epoch, taken into the mean of those of several."""

from collections.abc import Callable
from itertools import takewhile

from clfctl.data.loader import Loader
from clfctl.engine.averaging import batches_to_see, norms_to_refresh, refresh
from clfctl.engine.micro_batches import Normalizer
from clfctl.engine.state import TrainState


def take_into_mean(state: TrainState, loader: Loader, normalize: Normalizer, is_stop_asked: Callable[[], bool]) -> None:
    """Average the weights at the end of the epoch, where the schedule says so; the mean sees some of its images.

    `loader` has the batches of all processes: each sees them whole, so that all come to the same statistics.
    """
    mean, epoch = state.mean, state.cursor.epoch
    if mean is None or epoch < mean.first:
        return
    mean.add(epoch + 1)
    batches = takewhile(lambda _: not is_stop_asked(), batches_to_see(loader, epoch))
    images = (normalize(batch.images) for batch in batches)
    refresh(mean.model, norms_to_refresh(state.model), images, state.precision)
