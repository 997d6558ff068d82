"""Mixup and CutMix are torchvision's for the same share and box; what is drawn depends on seed and step alone."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch.nn import functional
from torchvision.transforms import v2

from clfctl.engine.mixing import Mixer, Mixture

N_CLASSES = 5
shares, sides = st.floats(0, 1), st.integers(1, 40)


def batch(n: int, height: int, width: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(n + 31 * height + 1009 * width)
    images = torch.rand((n, 3, height, width), generator=draw)
    return images, torch.randint(N_CLASSES, (n,), generator=draw), torch.randn((n, N_CLASSES), generator=draw)


def check(mixture: Mixture, theirs: v2.MixUp | v2.CutMix, n: int, height: int, width: int) -> None:
    """Images and loss, with and without label smoothing, are those of torchvision and of its soft labels."""
    images, labels, logits = batch(n, height, width)
    # torchvision finds the labels among the inputs by identity.
    params = {"labels": labels, "batch_size": n, "lam": mixture.share, "lam_adjusted": mixture.share}
    if mixture.box:
        left, top, right, bottom = mixture.box
        params["box"] = (left, top, right, bottom)
    expected, soft = theirs.transform(images.clone(), params), theirs.transform(labels, params)
    torch.testing.assert_close(mixture.images(images.clone()), expected, rtol=0, atol=1e-6)
    for smoothing in (0.0, 0.1):
        loss = mixture.loss(partial(functional.cross_entropy, logits, label_smoothing=smoothing), labels)
        wanted = functional.cross_entropy(logits, soft, label_smoothing=smoothing)
        torch.testing.assert_close(loss, wanted, rtol=1e-5, atol=1e-6)


@given(shares, st.integers(1, 6), sides, sides)
def test_mixup_is_torchvisions(share: float, n: int, height: int, width: int) -> None:
    check(Mixture(share), v2.MixUp(num_classes=N_CLASSES), n, height, width)


@given(st.integers(0, 10**9), st.integers(1, 6), sides, sides)
def test_cutmix_is_torchvisions(seed: int, n: int, height: int, width: int) -> None:
    mixture = Mixer(0, 1, seed).mixture(0, height, width)
    assert mixture is not None
    assert mixture.box is not None
    left, top, right, bottom = mixture.box
    assert 0 <= left <= right <= width
    assert 0 <= top <= bottom <= height
    assert mixture.share == pytest.approx(1 - (right - left) * (bottom - top) / (width * height))
    check(mixture, v2.CutMix(num_classes=N_CLASSES), n, height, width)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_shares_are_drawn_from_beta(alpha: float) -> None:
    mixer = Mixer(alpha, 0, seed=3)
    drawn = [mixture.share for step in range(3000) if (mixture := mixer.mixture(step, 8, 8))]
    assert stats.kstest(drawn, stats.beta(alpha, alpha).cdf).pvalue > 0.001


def test_boxes_cover_what_the_share_says_where_none_is_cut_off() -> None:
    mixer, size = Mixer(0, 1.0, seed=0), 1000
    drawn = [mixture for step in range(2000) if (mixture := mixer.mixture(step, size, size)) and mixture.box]
    inner = [m for m in drawn if m.box and min(m.box[:2]) > 0 and max(m.box[2:]) < size]
    assert len(inner) > 100
    sides = np.array([(m.box[2] - m.box[0], m.box[3] - m.box[1]) for m in inner if m.box])
    assert (sides[:, 0] == sides[:, 1]).all()
    centres = np.array([(m.box[0] + m.box[2]) / 2 for m in inner if m.box and m.share > 0.95])
    # Small boxes lie anywhere alike.
    assert stats.kstest(centres / size, stats.uniform(0, 1).cdf).pvalue > 0.001


def test_with_both_each_has_half_of_the_batches() -> None:
    drawn = [Mixer(0.2, 1, seed=0).mixture(step, 8, 8) for step in range(2000)]
    n_cut = sum(mixture is not None and mixture.box is not None for mixture in drawn)
    assert 900 < n_cut < 1100


def test_what_is_drawn_depends_on_seed_and_step_alone() -> None:
    def shares_of(seed: int) -> list[Mixture | None]:
        return [Mixer(0.2, 1, seed).mixture(step, 32, 24) for step in range(50)]

    assert shares_of(1) == shares_of(1)
    assert shares_of(1) != shares_of(2)
    assert len(set(shares_of(1))) == 50
    assert Mixer(0, 0, 1).mixture(0, 8, 8) is None
