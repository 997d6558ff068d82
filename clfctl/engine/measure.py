"""What a trained model says of labelled images: probabilities that are kept, from images that are not."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import nn

from clfctl.data.loader import Batch, Loader
from clfctl.engine.device import Precision
from clfctl.engine.evaluate import answers
from clfctl.engine.folded import for_evaluation
from clfctl.engine.step import Normalize
from clfctl.errors import ModelError
from clfctl.evaluation.outputs import Floats, Numbers, Outputs

# A view: the loader of its crop, and whether the images are seen as they are, mirrored, or both.
View = tuple[Loader, Sequence[bool]]


@torch.inference_mode()
def measure(
    model: nn.Module,
    views: Sequence[View],
    precision: Precision,
    normalize: Normalize,
    on_images: Callable[[int], None] | None = None,
) -> Outputs:
    """Return the model's answers for the images of the loaders, which all read the same ones, in the same order.

    Probabilities are the mean over all views. Images that cannot be read are left out. Memory: (N, C) float32, and
    the loaders' batches. `on_images` is told how many images were seen, once a view. Raises ModelError if the model's
    outputs are not finite.
    """
    model = for_evaluation(model, precision)
    log_p: Floats | None = None
    n_all = len(views[0][0].part)
    n_views = sum(len(mirrored) for _, mirrored in views)
    n_seen, labels = np.zeros(n_all, np.int64), np.zeros(n_all, np.int64)
    for loader, mirrored in views:
        for places, batch, logits in placed(answers(model, loader, precision, normalize, mirrored), loader):
            for each in logits:
                answer = each.log_softmax(1).cpu().numpy()
                _check_finite(answer, loader, batch)
                if log_p is None:
                    log_p = np.full((n_all, answer.shape[1]), -np.inf, np.float32)
                # The sum of probabilities, in the logarithm, where the smallest ones keep their digits.
                log_p[places] = np.logaddexp(log_p[places], answer) if n_views > 1 else answer
                if on_images:
                    on_images(len(places))
            n_seen[places] += len(mirrored)
            labels[places] = batch.labels.numpy()
    # An image that was removed meanwhile was not seen in every view.
    whole = np.flatnonzero(n_seen == n_views)
    if log_p is None:
        log_p = np.zeros((n_all, 1), np.float32)
    return _outputs(np.asarray(views[0][0].part.indices, np.int64), labels, log_p, whole, n_views)


def placed(
    answered: Iterable[tuple[Batch, list[torch.Tensor]]], loader: Loader
) -> Iterator[tuple[Numbers, Batch, list[torch.Tensor]]]:
    """Yield the batches that have images, with the places of their images in the part, and the answers for them."""
    order = np.asarray(loader.part.indices, dtype=np.int64)
    for number, (batch, logits) in enumerate(answered):
        start = number * loader.batch_size
        chunk = order[start : start + loader.batch_size]
        if len(batch.indices):
            yield start + np.flatnonzero(np.isin(chunk, batch.indices)), batch, logits


def _check_finite(answer: Floats, loader: Loader, batch: Batch) -> None:
    bad = np.flatnonzero(~np.isfinite(answer).all(axis=1))
    if len(bad):
        name = loader.part.source.name(batch.indices[bad[0]])
        raise ModelError(f"the model's outputs for {name} are not finite", "try `checkpoint=best`, or another run")


def _outputs(indices: Numbers, labels: Numbers, log_p: Floats, whole: Numbers, n_views: int) -> Outputs:
    if len(whole) < len(indices):
        indices, labels, log_p = indices[whole], labels[whole], log_p[whole]
    if n_views > 1:
        log_p -= np.float32(np.log(n_views))
    losses = -log_p[np.arange(len(labels)), labels]
    np.exp(log_p, out=log_p)  # in place: this is the one large array
    return Outputs(indices, labels, log_p, losses)
