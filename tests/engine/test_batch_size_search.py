"""The largest batch that fits is found by real steps, never one that was not proven, and nothing else is changed."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from clfctl import api
from clfctl.data.onlookers import no_line
from clfctl.data.sources.base import Data, Part
from clfctl.data.sources.open import open_data
from clfctl.engine.assemble import Parts, build_parts, make_trainer
from clfctl.engine.batch_size_search import MOST_ON_CPU, Sizes, Trials, find_batch_size
from clfctl.engine.memory import Peak, free_bytes, is_out_of_memory
from clfctl.engine.optimizers import build_optimizer
from clfctl.errors import ClfctlError, UsageError
from clfctl.planning.changes import change_settings
from clfctl.runs.folder import RunFolder, create_run
from clfctl.settings.groups import TrainSettings

SEEN: list[int] = []
QUICK: dict[str, object] = {
    "image_size": 32, "batch_size": 32, "find_batch_size": True, "model": "test_efficientnet", "pretrained": False,
}  # fmt: skip


class Limited(nn.Module):
    """A network whose memory is short from a number of images on."""

    def __init__(self, most: int, error: type[RuntimeError] = torch.OutOfMemoryError) -> None:
        super().__init__()
        self.most, self.error = most, error
        self.norm, self.drop, self.head = nn.BatchNorm2d(3), nn.Dropout(0.5), nn.Linear(3, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        SEEN.append(len(images))
        if len(images) > self.most:
            raise self.error("CUDA out of memory. Tried to allocate 2.00 GiB")
        logits: torch.Tensor = self.head(self.drop(self.norm(images).mean((2, 3))))
        return logits


@cache
def digits() -> Data:
    return open_data(TrainSettings(), 0)


def parts_of(model: nn.Module, **values: object) -> Parts:
    settings = TrainSettings.model_validate(QUICK | values)
    parts = build_parts(settings, digits())
    return replace(parts, built=replace(parts.built, model=model), optimizer=build_optimizer(settings, model))


@pytest.mark.parametrize("most", [3, 32, 63, 100])
@pytest.mark.parametrize("accumulate", [1, 4])
def test_what_is_found_was_proven_and_is_close_to_the_limit(most: int, accumulate: int) -> None:
    SEEN.clear()
    model = Limited(most)
    parts = parts_of(model, accumulate=accumulate, ema=0.9, batch_size=32)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    found, lines = find_batch_size(parts, no_line)
    at_once = found.settings.images_at_once
    limit = min(most, MOST_ON_CPU // accumulate)
    assert limit * 15 / 16 - 1 < at_once <= limit
    assert at_once in SEEN
    assert not found.settings.find_batch_size
    assert lines[0].startswith(f"Found  batches of {found.settings.batch_size}: ")
    # It was tried on copies.
    assert found.built.model is model
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not parts.optimizer.state
    assert torch.equal(torch.get_rng_state(), state)


@given(st.integers(1, 5), st.integers(1, 40), st.integers(2, 400), st.integers(0, 500))
def test_sizes_are_multiples_between_the_bounds(unit: int, first: int, most: int, limit: int) -> None:
    sizes = Sizes(unit * min(first, most), unit, unit, unit * most)
    tried: dict[int, bool] = {}

    def fits(n: int) -> bool:
        assert n not in tried
        tried[n] = n <= limit
        return tried[n]

    found = sizes.largest(fits)
    assert all(n % unit == 0 and unit <= n <= unit * most for n in tried)
    assert found <= limit
    assert found == max((n for n, is_fitting in tried.items() if is_fitting), default=0)
    best = min(unit * most, limit // unit * unit)
    assert best - found < max(unit, found / 16) or best == found
    assert len(tried) < 25


def test_where_not_even_two_fit_it_is_a_sentence() -> None:
    with pytest.raises(ClfctlError, match="not even batches of 2 fit in the memory of cpu") as caught:
        find_batch_size(parts_of(Limited(1)), no_line)
    assert caught.value.field == "find_batch_size"


def test_an_error_that_is_not_of_memory_is_none() -> None:
    class Broken(Limited):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        find_batch_size(parts_of(Broken(1)), no_line)


def test_no_more_than_there_are_images() -> None:
    parts = parts_of(Limited(10**6), batch_size=5)
    few = Part(parts.data.train.source, parts.data.train.indices[:30])
    found, lines = find_batch_size(replace(parts, data=replace(parts.data, train=few)), no_line)
    assert found.settings.batch_size == 30
    assert "all images" in lines[0]


def test_training_that_runs_out_of_memory_ends_in_a_sentence() -> None:
    trainer = make_trainer(parts_of(Limited(20), accumulate=2, batch_size=64), create_run(Path("runs"), "{n}", ""))
    with pytest.raises(ClfctlError, match=r"the memory of cpu .* is too small for 32 images at once") as caught:
        list(trainer.epochs())
    assert "clfctl resume runs/1 `accumulate=4`" in caught.value.hint


def test_a_cpu_is_not_filled() -> None:
    trials = Trials(parts_of(Limited(10**6)))
    free = free_bytes()
    if free is None:
        pytest.skip("the system does not say how much memory is free")
    trials._bytes_of_image = free / 64  # as if a smaller batch had taken so much
    SEEN.clear()
    assert not trials.fits(64)
    assert not SEEN
    assert trials.fits(32)


def test_the_peak_is_what_was_taken() -> None:
    if free_bytes() is None:
        pytest.skip("the system does not say how much memory is in use")
    peak = Peak()
    taken = torch.ones(2**25)
    del taken
    assert peak.n_bytes() > 2**26


@pytest.mark.parametrize(
    ("error", "is_short"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes."), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (MemoryError(), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("a"), False),
    ],
)
def test_which_errors_are_of_memory(error: Exception, is_short: bool) -> None:
    assert is_out_of_memory(error) == is_short


@pytest.mark.slow
def test_a_run_keeps_what_was_found(photos: Path) -> None:
    quick: dict[str, Any] = QUICK | {"workers": 0, "export": False, "val_split": 0.25, "epochs": 1, "batch_size": 4}
    trained = api.train(data=str(photos), **quick)
    assert "Found  batches of 18: all images; `lr=` is as it was" in trained.notes
    config = RunFolder(trained.run).config.read_text(encoding="utf-8")
    assert "batch_size = 18\n" in config
    assert "find_batch_size = false\n" in config
    resumed = api.resume(trained.run, epochs=2)
    assert not [each for each in resumed.notes if each.startswith(("Found", "Search"))]


def test_it_is_not_for_a_run_that_has_begun() -> None:
    with pytest.raises(UsageError, match="tried before a run begins") as caught:
        change_settings(TrainSettings(), {"find_batch_size": True})
    assert caught.value.field == "find_batch_size"
