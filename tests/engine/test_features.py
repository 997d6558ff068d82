"""The features of a frozen network: what its classifier takes, computed once, and kept on disk."""

import errno
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from torch import nn

from clfctl.data.cache.folder import lock_for
from clfctl.data.loader import BadImages, Loader
from clfctl.data.pixels.transform import Preprocess
from clfctl.data.pixels.views import views
from clfctl.data.sources.base import ArrayImages, Part
from clfctl.engine.device import pick_precision
from clfctl.engine.feature_store import SUFFIX, digest_of, kept_features, key_of
from clfctl.engine.features import Pooled, Seen, classifier_of, compute_features
from clfctl.engine.measure import View
from clfctl.engine.step import Normalize
from clfctl.errors import ModelError, UsageError
from clfctl.models.custom_cnn import CustomCNN
from clfctl.storage.files import temporary_for
from clfctl.storage.lock import locked

CPU = torch.device("cpu")
PRECISION = pick_precision("off", CPU)
PREPROCESS = Preprocess(32, crop_ratio=1.0)
NORMALIZE = Normalize(PREPROCESS, CPU)
HEAD = {"head.weight", "head.bias"}


def part(n: int = 12) -> Part:
    rng = np.random.default_rng(0)
    pixels, labels = rng.integers(0, 256, (n + 3, 40, 36, 3), np.uint8), rng.integers(0, 4, n + 3)
    return Part(ArrayImages("noise", pixels, labels.tolist()), range(3, n + 3))


def loaders(images: Part, n_views: int) -> list[View]:
    bad = BadImages("skip", len(images))
    return [(Loader(images, PREPROCESS, 5, 0, bad, crop=crop), ways) for crop, ways in views(n_views)]


@pytest.fixture(scope="module")
def net() -> CustomCNN:
    torch.manual_seed(0)
    return CustomCNN(4).eval()


@pytest.mark.parametrize("n_views", [1, 2, 3])
def test_the_classifier_makes_of_them_what_the_model_answers(net: CustomCNN, n_views: int) -> None:
    images = part()
    seen = compute_features(Pooled(net), loaders(images, n_views), PRECISION, NORMALIZE)
    assert seen.features.shape == (n_views, 12, net.head.in_features)
    assert seen.places.tolist() == list(range(12))
    number = 0
    for loader, ways in loaders(images, n_views):
        pixels = torch.cat([batch.images for batch in loader.batches()])
        for mirrored in ways:
            with torch.inference_mode():
                logits = net(NORMALIZE(pixels.flip(3) if mirrored else pixels))
                again = net.head(torch.from_numpy(seen.features[number]))
            torch.testing.assert_close(again, logits, rtol=1e-5, atol=1e-5)
            number += 1


@pytest.mark.parametrize(
    "name", ["resnet10t", "mobilenetv3_small_050", "vit_tiny_patch16_224", "convnext_atto", "regnetx_002"]
)
def test_networks_whose_classifier_is_found(name: str) -> None:
    model = timm.create_model(name, num_classes=7)
    size = model.pretrained_cfg["input_size"][1]
    layer = classifier_of(model, name, size)
    assert layer is model.get_classifier()
    assert layer.out_features == 7


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("levit_128s", "has no linear layer on pooled features"),
        ("dla46_c", "has no linear layer on pooled features"),
        ("deit_tiny_distilled_patch16_224", "has no linear layer on pooled features"),
    ],
)
def test_networks_without_one_are_refused_in_a_sentence(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        classifier_of(timm.create_model(name, num_classes=7), name, 224)
    assert caught.value.field == "model"


class Doubtful(CustomCNN):
    """Adds to its logits what is not made of the pooled features."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return super().forward(images) + images.mean()


def test_a_network_that_answers_by_more_than_its_features_is_refused() -> None:
    with pytest.raises(UsageError, match="pooled features alone"):
        classifier_of(Doubtful(4), "doubtful", 32)


def test_features_that_are_not_finite_are_refused(net: CustomCNN) -> None:
    broken = CustomCNN(4)
    with torch.no_grad():
        next(broken.parameters()).fill_(float("nan"))
    with pytest.raises(ModelError, match="not finite"):
        compute_features(Pooled(broken), loaders(part(), 1), PRECISION, NORMALIZE)


def key(
    net: nn.Module, images: Part, preprocess: Preprocess = PREPROCESS, n_views: int = 1, network: str = "custom"
) -> str:
    return key_of(network, digest_of(net, HEAD), "float32", preprocess, n_views, images)


def test_kept_features_are_the_same_bits_and_are_not_computed_again(net: CustomCNN, tmp_path: Path) -> None:
    images, computed = part(), []

    def compute() -> Seen:
        computed.append(1)
        return compute_features(Pooled(net), loaders(images, 2), PRECISION, NORMALIZE)

    first, was_kept = kept_features(tmp_path, "custom", key(net, images), compute, print)
    again, is_kept = kept_features(tmp_path, "custom", key(net, images), compute, print)
    assert (was_kept, is_kept, len(computed)) == (False, True, 1)
    assert first.features.tobytes() == again.features.tobytes()
    assert first.places.tolist() == again.places.tolist()


@pytest.mark.parametrize("fault", ["the folder is a file", "it cannot be locked", "the disk is full"])
def test_what_cannot_be_kept_is_computed_once(
    net: CustomCNN, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    images, computed, told = part(), list[Seen](), list[str]()
    folder = tmp_path / "features"

    def compute() -> Seen:
        computed.append(compute_features(Pooled(net), loaders(images, 1), PRECISION, NORMALIZE))
        return computed[-1]

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if fault == "the folder is a file":
        folder.write_text("")
    if fault == "it cannot be locked":  # as in a folder of somebody else's
        monkeypatch.setattr("clfctl.engine.feature_store.lock_for", lambda folder, _: folder)
    if fault == "the disk is full":
        monkeypatch.setattr("clfctl.engine.feature_store.replace_file", full)
    seen, was_kept = kept_features(folder, "custom", key(net, images), compute, told.append)
    assert (seen, was_kept) == (computed[0], False)
    (line,) = told
    assert line.startswith("The features are not kept for the next time: ")
    assert kept_features(folder, "custom", "", compute, told.append) == (computed[1], False)
    assert len(computed) == 2
    assert len(told) == 1


@pytest.mark.parametrize("damage", ["empty", "begun", "header", "cut", "flipped"])
def test_a_file_that_is_not_whole_is_made_again(net: CustomCNN, tmp_path: Path, damage: str) -> None:
    images = part()
    seen = compute_features(Pooled(net), loaders(images, 1), PRECISION, NORMALIZE)
    kept_features(tmp_path, "custom", key(net, images), lambda: seen, print)
    (file,) = tmp_path.glob("*.features")
    content = file.read_bytes()
    flipped = content[:-100] + bytes([content[-100] ^ 1]) + content[-99:]
    damaged = {"empty": b"", "begun": content[:7], "header": content[:500], "cut": content[:-1], "flipped": flipped}
    file.write_bytes(damaged[damage])
    again, is_kept = kept_features(tmp_path, "custom", key(net, images), lambda: seen, print)
    assert not is_kept
    assert again is seen
    assert kept_features(tmp_path, "custom", key(net, images), lambda: seen, print)[1]


def test_what_killed_processes_left_is_removed(net: CustomCNN, tmp_path: Path) -> None:
    """`live.features` is the name of data whose features another process computes; `dead` was killed while it wrote."""
    left = {name: temporary_for(tmp_path / f"{name}-01234567{SUFFIX}") for name in ("live.features", "dead")}
    for path in left.values():
        path.write_bytes(b"some")
    seen = compute_features(Pooled(net), loaders(part(), 1), PRECISION, NORMALIZE)
    with locked(lock_for(tmp_path, "live.features-01234567")):
        kept_features(tmp_path, "custom", key(net, part()), lambda: seen, print)
    assert [name for name, path in left.items() if path.exists()] == ["live.features"]


def test_what_features_depend_on_is_in_their_key(net: CustomCNN) -> None:
    images = part()
    other = CustomCNN(4)
    other.load_state_dict(net.state_dict())
    with torch.no_grad():
        other.head.weight.add_(1)
    assert key(other, images) == key(net, images)  # a head of another training sees the same features
    with torch.no_grad():
        next(other.parameters()).view(-1)[0] += 1e-3
    changed = {
        "network": key(net, images, network="other"),
        "weights": key(other, images),
        "preprocess": key(net, images, replace(PREPROCESS, mean=(0.0, 0.0, 0.0))),
        "views": key(net, images, n_views=2),
        "images": key(net, part(13)),
        "order": key(net, Part(images.source, [*reversed(images.indices)])),
    }
    assert len({key(net, images), *changed.values()}) == 1 + len(changed)
