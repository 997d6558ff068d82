"""What a model says of images: which, in which order, averaged over views, without those that cannot be read."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from clfctl.data.loader import BadImages, Loader
from clfctl.data.pixels.transform import Preprocess
from clfctl.data.pixels.views import views
from clfctl.data.sources.base import ArrayImages, FileImages, Part
from clfctl.engine.device import pick_precision
from clfctl.engine.evaluate import evaluate
from clfctl.engine.measure import View, measure
from clfctl.engine.step import Normalize
from clfctl.errors import ModelError

CPU = torch.device("cpu")
PRECISION = pick_precision("off", CPU)
PREPROCESS = Preprocess(16, crop_ratio=1.0)
NORMALIZE = Normalize(PREPROCESS, CPU)


def part(n: int) -> Part:
    rng = np.random.default_rng(0)
    pixels, labels = rng.integers(0, 256, (n + 5, 20, 24, 3), np.uint8), rng.integers(0, 4, n + 5)
    images = ArrayImages("noise", pixels, labels.tolist())
    return Part(images, range(3, n + 3))


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 5, 5, 2), nn.ReLU(), nn.Flatten(), nn.Linear(180, 4)).eval()


def view_loaders(images: Part, n: int, workers: int = 0, bad: BadImages | None = None) -> list[View]:
    bad = bad or BadImages("skip", len(images))
    return [(Loader(images, PREPROCESS, 7, workers, bad, crop=crop), ways) for crop, ways in views(n)]


def test_one_view_is_what_validation_computes() -> None:
    images, net = part(20), model()
    found = measure(net, view_loaders(images, 1), PRECISION, NORMALIZE)
    metrics = evaluate(net, view_loaders(images, 1)[0][0], PRECISION, NORMALIZE)
    assert found.losses.mean() == pytest.approx(metrics["val_loss"], rel=1e-6)
    assert (found.predicted == found.labels).mean() == metrics["val_top1"]
    assert found.indices.tolist() == list(images.indices)
    assert found.labels.tolist() == [images.source.labels[i] for i in images.indices]
    assert found.probabilities.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert found.probabilities.dtype == np.float32


@pytest.mark.parametrize("n", [2, 3, 12])
def test_views_are_averaged_as_probabilities(n: int) -> None:
    images, net = part(20), model()
    expected, n_seen = torch.zeros(20, 4), 0
    with torch.inference_mode():
        for loader, ways in view_loaders(images, n):
            pixels = torch.cat([batch.images for batch in loader.batches()])
            for mirrored in ways:
                expected += functional.softmax(net(NORMALIZE(pixels.flip(3) if mirrored else pixels)), 1)
                n_seen += 1
    assert n_seen == n
    found = measure(net, view_loaders(images, n, workers=2), PRECISION, NORMALIZE)
    assert found.probabilities == pytest.approx((expected / n).numpy(), abs=1e-6)
    assert found.losses == pytest.approx(-np.log(found.probabilities[np.arange(20), found.labels]), abs=1e-5)
    again = measure(net, view_loaders(images, n), PRECISION, NORMALIZE)
    assert np.array_equal(again.probabilities, found.probabilities)


def test_progress_counts_every_view() -> None:
    seen: list[int] = []
    measure(model(), view_loaders(part(20), 3), PRECISION, NORMALIZE, seen.append)
    assert sum(seen) == 60


@pytest.mark.parametrize("n", [1, 3])
def test_images_that_cannot_be_read_are_left_out(n: int, photos: Path) -> None:
    paths = sorted(photos.rglob("*.jpg"))
    paths[0].write_bytes(b"no")
    paths[9].unlink()
    images = Part(FileImages(paths, [i // 8 for i in range(24)]), range(24))
    bad = BadImages("skip", 24)
    found = measure(model(), view_loaders(images, n, 2, bad), PRECISION, NORMALIZE)
    assert found.indices.tolist() == [i for i in range(24) if i not in (0, 9)]
    assert found.labels.tolist() == [i // 8 for i in found.indices]
    assert set(bad.found) == {str(paths[0]), str(paths[9])}
    alone = measure(model(), view_loaders(Part(images.source, [5]), n), PRECISION, NORMALIZE)
    assert found.probabilities[4] == pytest.approx(alone.probabilities[0], abs=1e-6)


def test_outputs_that_are_not_finite_are_an_error() -> None:
    net = model()
    assert isinstance(net, nn.Sequential)
    with torch.no_grad():
        net[3].get_parameter("bias")[1] = float("nan")
    with pytest.raises(ModelError, match="outputs for noise image 3 are not finite"):
        measure(net, view_loaders(part(20), 2), PRECISION, NORMALIZE)


def test_a_loss_larger_than_any_probability_can_say_is_finite() -> None:
    """float32 has no e^-200, but the loss of an answer that was as sure as that has its digits."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(768, 4))
    with torch.no_grad():
        net[1].get_parameter("weight").zero_()
        net[1].get_parameter("bias").copy_(torch.tensor([200.0, 0, 0, 0]))
    for n in (1, 2):
        found = measure(net, view_loaders(part(20), n), PRECISION, NORMALIZE)
        wrong = found.labels != 0
        assert found.losses[wrong] == pytest.approx(200)
        assert (found.probabilities[:, 0] == 1).all()
