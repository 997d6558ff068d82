"""How many images a training has: what is kept for validation, and a batch that is no larger. No torch, no numpy."""

from collections.abc import Iterable
from typing import TypeVar

from clfctl.errors import UsageError
from clfctl.settings.data import ImageSettings

S = TypeVar("S", bound=ImageSettings)


def count_batches(n_images: int, batch_size: int, *, is_shuffled: bool) -> int:
    """Return the batches of an epoch.

    In training (shuffled) a last batch of a single image is dropped: batch normalization cannot train on it.
    """
    full, rest = divmod(n_images, batch_size)
    return full + (rest > 0 and not (is_shuffled and rest == 1 and full > 0))


def n_held_out(n: int, share: float) -> int:
    """Return how many of the `n` images of a class are kept for validation: `share` of them, rounded.

    A class keeps and gives at least one; a single image is for training, and with `share` 0 all are.
    """
    return min(max(1, round(n * share)), n - 1) if share and n > 1 else 0


def n_to_train(per_class: Iterable[int], settings: ImageSettings) -> int:
    """Return how many images are trained on, of data with so many of each class and no validation images of its own."""
    kept = [n - n_held_out(n, settings.val_split) for n in per_class]
    return sum(min(n, settings.max_per_class) for n in kept) if settings.max_per_class else sum(kept)


def check_batch_size(settings: ImageSettings, n_images: int) -> None:
    """Raise UsageError if a batch size that is stated is larger than the training images are many."""
    if settings.batch_size > n_images and "batch_size" in settings.model_fields_set:
        what, hint = f"{settings.batch_size} is more than the {n_images} training images", f"give at most {n_images}"
        raise UsageError(what, hint, field="batch_size")


def fit_batch_size(settings: S, n_images: int) -> S:
    """Return the settings with the default batch size no larger than the training images are many."""
    if settings.batch_size <= n_images:
        return settings
    fitted = settings.model_copy(update={"batch_size": n_images})
    # It is still a default, which nobody stated.
    fitted.model_fields_set.discard("batch_size")
    return fitted
