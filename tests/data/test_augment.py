"""Augmentation is torchvision's for the same draw, the sample's own whatever the workers, and within its limits."""

import random
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_images

from clfctl.data.loader import BadImages, Loader
from clfctl.data.pixels.augment import OPERATIONS, OpName, change, erase, operate, rand_magnitude, trivial_magnitude
from clfctl.data.pixels.transform import Augmentation, Preprocess
from clfctl.data.sources.open import open_data
from clfctl.settings.data import AugmentLevel, DataSettings

PHOTO = Image.fromarray(load_sample_images().images[1]).resize((96, 64))
LEVELS = get_args(AugmentLevel)


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_and_their_strengths_are_those_of_torchvision(name: OpName) -> None:
    from torchvision.transforms import v2

    for theirs, magnitude in (
        (v2.TrivialAugmentWide(), trivial_magnitude),
        (v2.RandAugment(), lambda name, step: rand_magnitude(name, step, PHOTO.size)),
    ):
        magnitudes_of, is_signed = theirs._AUGMENTATION_SPACE[name]
        magnitudes = magnitudes_of(31, PHOTO.height, PHOTO.width)
        steps = range(31) if magnitudes is not None else range(1)
        for step in steps:
            expected = float(magnitudes[step]) if magnitudes is not None else 0.0
            assert magnitude(name, step) == pytest.approx(expected, abs=2e-5)
        for strength in (expected, -expected) if is_signed else (expected,):
            changed = theirs._apply_image_or_video_transform(PHOTO, name, strength, theirs.interpolation, theirs._fill)
            assert np.array_equal(np.asarray(operate(PHOTO, name, strength)), np.asarray(changed))


@pytest.mark.parametrize("level", LEVELS)
def test_a_level_changes_what_it_says(level: AugmentLevel) -> None:
    pixels = np.asarray(PHOTO)
    changed = [change(pixels, level, random.Random(key)) for key in range(20)]
    assert all(each.shape == pixels.shape and each.dtype == np.uint8 for each in changed)
    n_same = sum(np.array_equal(each, pixels) for each in changed)
    assert n_same == 20 if level in ("none", "light") else n_same < 8
    assert all(np.array_equal(each, change(pixels, level, random.Random(key))) for key, each in enumerate(changed))


def test_erasing_covers_a_box_with_the_mean() -> None:
    pixels = np.full((64, 96, 3), 7, np.uint8)
    for key in range(50):
        covered = (erase(pixels, (1.0, 0.5, 0.0), random.Random(key)) == [255, 128, 0]).all(2)
        rows, columns = covered.any(1), covered.any(0)
        assert covered.sum() == rows.sum() * columns.sum()
        assert 0.015 < covered.mean() < 0.35
    assert (pixels == 7).all()


@pytest.mark.parametrize("level", LEVELS)
def test_bits_do_not_depend_on_the_workers(level: AugmentLevel, photos: Path) -> None:
    data = open_data(DataSettings(data=str(photos), batch_size=4), 0)

    def batches(workers: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        bad = BadImages("error", len(data.train))
        augment = Augmentation(level, erasing=0.5)
        loader = Loader(data.train, Preprocess(32), 4, workers, bad, shuffle_seed=1, augment=augment)
        return [(batch.images, batch.labels) for epoch in range(3) for batch in loader.batches(epoch)]

    expected = batches(0)
    for workers in (1, 2, 4):
        for found, wanted in zip(batches(workers), expected, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))
