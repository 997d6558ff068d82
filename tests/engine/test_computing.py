"""How a step is computed: activations once more, by deterministic algorithms, in TF32; then torch is as it was."""

import copy
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import nn
from typer.testing import Result

from clfctl.engine.activations import checkpoint_activations
from clfctl.engine.as_it_was import as_it_was
from clfctl.engine.determinism import be_deterministic, naming_the_operation
from clfctl.engine.device import pick_precision
from clfctl.errors import UsageError
from clfctl.models.custom_cnn import CustomCNN
from tests.conftest import SMALL


def networks() -> dict[str, Callable[[], nn.Module]]:
    import timm

    return {
        "custom": lambda: CustomCNN(5, dropout=0.3),
        "test_efficientnet": lambda: timm.create_model(
            "test_efficientnet", num_classes=5, drop_rate=0.3, drop_path_rate=0.3
        ),
        "test_vit": lambda: timm.create_model("test_vit", num_classes=5, img_size=32, proj_drop_rate=0.3),
    }


@contextmanager
def counted() -> Iterator[list[int]]:
    """Count the bytes that are kept for the backward pass."""
    kept = [0]

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        kept[0] += tensor.nbytes
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield kept


@pytest.mark.parametrize("name", ["custom", "test_efficientnet", "test_vit"])
def test_activations_that_are_computed_again_give_the_same_gradients_and_statistics(name: str) -> None:
    torch.manual_seed(0)
    plain = networks()[name]().train()
    again = copy.deepcopy(plain)
    checkpoint_activations(again, name)
    again = copy.deepcopy(again)  # as for what is measured on copies
    images, kept = torch.randn(4, 3, 32, 32), {}
    for part in range(2):  # two parts of a batch
        for which, model in (("plain", plain), ("again", again)):
            torch.manual_seed(part)
            with counted() as n_bytes:
                loss = model(images + part).square().mean()
            loss.backward()
            kept[which] = n_bytes[0]
    assert kept["again"] < 0.8 * kept["plain"]
    for (where, one), other in zip(plain.named_parameters(), again.parameters(), strict=True):
        assert one.grad is not None
        assert other.grad is not None
        assert torch.equal(one.grad, other.grad), where
    for (where, one), other in zip(plain.state_dict().items(), again.state_dict().values(), strict=True):
        assert torch.equal(one, other), where
    # Evaluated, it does not count, and neither does the difference.
    assert torch.equal(plain.eval()(images), again.eval()(images))


def test_a_model_that_cannot_compute_activations_again_is_a_sentence() -> None:
    with pytest.raises(UsageError, match=r"^checkpoint_activations: tiny cannot compute its activations again$"):
        checkpoint_activations(nn.Linear(2, 2), "tiny")


def flags() -> tuple[object, ...]:
    cudnn = torch.backends.cudnn
    is_on, precision = torch.are_deterministic_algorithms_enabled(), torch.get_float32_matmul_precision()
    return is_on, cudnn.deterministic, cudnn.benchmark, precision, os.environ.get("CUBLAS_WORKSPACE_CONFIG")


def test_torch_is_as_it_was_afterwards() -> None:
    before = flags()
    with as_it_was("cpu"):
        be_deterministic()
        torch.set_float32_matmul_precision("high")
        assert flags() == (True, True, False, "high", ":4096:8")
    assert flags() == before


def test_an_operation_without_a_deterministic_algorithm_is_named() -> None:
    values = torch.zeros(3)
    with as_it_was("cpu"):
        be_deterministic()
        with pytest.raises(UsageError, match=r"^deterministic: the model needs put_") as caught, naming_the_operation():
            values.put_(torch.tensor([0, 0]), torch.tensor([1.0, 2.0]))
    assert "leave it out" in caught.value.hint
    with pytest.raises(RuntimeError, match="mine"), naming_the_operation():
        raise RuntimeError("mine")


@pytest.mark.parametrize("amp", ["tf32", "fp16"])
def test_what_needs_cuda_is_a_sentence_without(amp: str) -> None:
    with pytest.raises(UsageError, match=f"^amp: {amp} needs a CUDA device, not cpu$"):
        pick_precision(amp, torch.device("cpu"))  # type: ignore[arg-type]


def test_a_dry_run_says_how_it_is_computed(cli: Callable[..., Result], photos: object) -> None:
    words = ("--deterministic", "--checkpoint-activations", "--dry-run")
    result = cli("train", "--data", str(photos), *SMALL, *words)
    assert result.exit_code == 0, result.output
    assert "float32, deterministic, activations computed again" in " ".join(result.output.split())
    assert not torch.are_deterministic_algorithms_enabled()
