"""Pixels become numbers as torchvision makes them, in channels-last memory, whatever the batch."""

import pytest
import torch
from torchvision.transforms.v2 import functional

from clfctl.data.pixels.transform import Preprocess
from clfctl.engine.step import Normalize


@pytest.mark.parametrize("n", [0, 1, 5])
@pytest.mark.parametrize("memory", [torch.channels_last, torch.contiguous_format])
def test_numbers_are_torchvisions(n: int, memory: torch.memory_format) -> None:
    preprocess = Preprocess(24, mean=(0.1, 0.5, 0.7), std=(0.2, 0.3, 0.9))
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (n, 3, 24, 24), dtype=torch.uint8, generator=draw).contiguous(memory_format=memory)
    before = images.clone()
    seen = Normalize(preprocess, torch.device("cpu"))(images)
    expected = functional.normalize(images.float() / 255, list(preprocess.mean), list(preprocess.std))
    torch.testing.assert_close(seen, expected, rtol=0, atol=1e-5)
    assert seen.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(images, before)
