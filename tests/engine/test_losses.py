"""The losses are those of torch, timm and torchvision, with class weights, label smoothing and mixed labels."""

import itertools

import pytest
import timm.loss
import torch
from torch.nn import functional
from torchvision.ops import sigmoid_focal_loss

from clfctl.engine.losses import Loss
from clfctl.engine.mixing import Mixture
from clfctl.settings.optimization import LossName

N, N_CLASSES = 12, 5
KINDS: tuple[LossName, ...] = ("cross-entropy", "focal", "bce")


def a_batch(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits (N, C) and class weights (C,), float64, and labels (N,)."""
    draw = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn((N, N_CLASSES), generator=draw, dtype=torch.float64)
    weights = torch.rand(N_CLASSES, generator=draw, dtype=torch.float64) + 0.5
    return logits, weights, torch.randint(N_CLASSES, (N,), generator=draw)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
def test_without_gamma_focal_loss_is_torchs_cross_entropy(smoothing: float, weighted: bool) -> None:
    logits, weights, labels = a_batch()
    loss = Loss("focal", smoothing, 0.0, weights if weighted else None)
    expected = functional.cross_entropy(logits, labels, weights if weighted else None, label_smoothing=smoothing)
    torch.testing.assert_close(loss(logits, labels), expected)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 5.0])
def test_focal_loss_of_two_classes_is_torchvisions(gamma: float) -> None:
    logits, _, labels = a_batch()
    # Two classes that exclude each other are one question: the difference of their logits.
    two, which = logits[:, :2], labels % 2
    expected = sigmoid_focal_loss(two[:, 1] - two[:, 0], which.double(), alpha=-1, gamma=gamma, reduction="mean")
    torch.testing.assert_close(Loss("focal", focal_gamma=gamma)(two, which), expected)


def test_focal_loss_of_many_classes_is_the_formula() -> None:
    logits, weights, labels = a_batch()
    p = logits.softmax(1)
    target = functional.one_hot(labels, N_CLASSES) * 0.9 + 0.1 / N_CLASSES
    each = (target * weights * (1 - p) ** 2 * -p.log()).sum(1)
    found = Loss("focal", 0.1, 2.0, weights)(logits, labels)
    torch.testing.assert_close(found, each.sum() / weights[labels].sum())


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0, 2.0])
def test_focal_loss_has_a_finite_gradient_where_nothing_is_left_to_learn(gamma: float) -> None:
    logits = torch.tensor([[1000.0, 0.0], [0.0, 1000.0], [30.0, 0.0]], requires_grad=True)
    loss = Loss("focal", 0.1, gamma)(logits, torch.tensor([0, 0, 0]))
    loss.backward()
    assert loss.isfinite()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_bce_is_timms(smoothing: float) -> None:
    logits, _, labels = a_batch()
    expected = timm.loss.BinaryCrossEntropy(smoothing)(logits, labels)
    torch.testing.assert_close(Loss("bce", smoothing)(logits, labels), expected)


def test_bce_weighs_images_by_their_class() -> None:
    logits, weights, labels = a_batch()
    of_images = weights[labels] / weights[labels].sum() * N
    target = functional.one_hot(labels, N_CLASSES).double()
    expected = functional.binary_cross_entropy_with_logits(logits, target, of_images[:, None])
    torch.testing.assert_close(Loss("bce", class_weights=weights)(logits, labels), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_mixed_labels_are_a_target_between_the_two(kind: LossName) -> None:
    logits, _, labels = a_batch()
    share = 0.3
    one_hot = functional.one_hot(labels, N_CLASSES).double()
    soft = share * one_hot + (1 - share) * one_hot.roll(1, 0)
    target = soft * 0.9 + 0.1 / N_CLASSES
    log_p = logits.log_softmax(1)
    match kind:
        case "cross-entropy":
            expected = functional.cross_entropy(logits, soft, label_smoothing=0.1)
        case "focal":
            expected = (target * (1 - log_p.exp()) ** 2 * -log_p).sum(1).mean()
        case "bce":  # timm's, for targets that are soft already
            expected = timm.loss.BinaryCrossEntropy(smoothing=0)(logits, target)
    found = Mixture(share).loss(lambda each: Loss(kind, 0.1)(logits, each), labels)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(("kind", "weighted"), [*itertools.product(KINDS, (False, True))])
def test_parts_sum_up_to_the_whole(kind: LossName, weighted: bool) -> None:
    logits, weights, labels = a_batch()
    loss = Loss(kind, 0.1, class_weights=weights if weighted else None)
    total = loss.total_of(labels)
    parts = [loss(logits[part], labels[part], total) for part in (slice(0, 5), slice(5, 6), slice(6, N))]
    torch.testing.assert_close(torch.stack(parts).sum(), loss(logits, labels))


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_is_computed_in_full(kind: LossName) -> None:
    logits, weights, labels = a_batch()
    loss = Loss(kind, 0.1, class_weights=weights.float())
    half = logits.to(torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        found = loss(half, labels)
    torch.testing.assert_close(found, loss(half.float(), labels))
