"""Devices and precisions that are there, and those that are not."""

import pytest
import torch

from clfctl.engine.device import pick_device, pick_precision, seed_step, set_threads
from clfctl.errors import UsageError

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "meta:x"])
def test_unknown_device_names_those_that_are_there(name: str) -> None:
    with pytest.raises(UsageError, match="device: ") as caught:
        pick_device(name)
    assert "cpu" in caught.value.hint


def test_precision_on_the_cpu() -> None:
    assert pick_precision("auto", CPU).dtype == torch.float32
    assert pick_precision("bf16", CPU).dtype == torch.bfloat16
    assert not pick_precision("bf16", CPU).scaler.is_enabled()
    with pytest.raises(UsageError, match="fp16 needs a CUDA device"):
        pick_precision("fp16", CPU)


@pytest.mark.parametrize(("name", "index"), [("cuda", 1), ("cuda:0", 0), ("cuda:2", 2)])
def test_the_generator_that_is_seeded_is_that_of_the_device(
    name: str, index: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There are not three GPUs here: only that `cuda` means the current one, as it does for tensors."""
    generators = [torch.Generator() for _ in range(3)]
    before = [each.initial_seed() for each in generators]
    monkeypatch.setattr(torch.cuda, "default_generators", generators)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    seed_step(torch.device(name), 1, 2)
    changed = [n for n, each in enumerate(generators) if each.initial_seed() != before[n]]
    assert changed == [index]


def test_more_threads_than_cores_are_warned_of() -> None:
    before = torch.get_num_threads()
    assert "10000 threads" in set_threads(10_000)
    assert set_threads(1) == ""
    assert torch.get_num_threads() == 1
    set_threads(before)
