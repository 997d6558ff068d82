"""How many batches an epoch has, found out without opening an image; of digits, without numpy too."""

from collections.abc import Callable

from clfctl.data.sources.names import DIGITS, DIGITS_PER_CLASS, is_named
from clfctl.data.sources.size import check_batch_size, count_batches, fit_batch_size, n_to_train
from clfctl.settings.data import ImageSettings


def batches_per_epoch(settings: ImageSettings, seed: int, tell: Callable[[str], None]) -> int:
    """Return the batches of an epoch of training on the data that the settings name: see `images_to_train`."""
    n_images = images_to_train(settings, seed, tell)
    return count_batches(n_images, fit_batch_size(settings, n_images).batch_size, is_shuffled=True)


def images_to_train(settings: ImageSettings, seed: int, tell: Callable[[str], None]) -> int:
    """Return how many images a training on the data that the settings name has; nothing is downloaded.

    `tell` takes a line before something that takes long. Raises UsageError or DataError where a training could not
    open the data.
    """
    if settings.data == DIGITS and is_named(DIGITS, settings.data_dir):
        n_images = n_to_train(DIGITS_PER_CLASS, settings)
        check_batch_size(settings, n_images)
        return n_images
    from clfctl.data.sources.open import open_data  # numpy and Pillow

    return len(open_data(settings.model_copy(update={"download": False}), seed, tell).train)
