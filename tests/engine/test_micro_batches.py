"""A batch in parts has the gradient of the whole; the last batch, odd ones and pairs that are mixed included."""

import pytest
import torch
from torch import nn

from clfctl.data.loader import Batch
from clfctl.data.pixels.transform import Preprocess
from clfctl.data.sources.open import open_data
from clfctl.engine.assemble import build_parts
from clfctl.engine.check import check_training
from clfctl.engine.describe import describe_parts
from clfctl.engine.device import pick_precision
from clfctl.engine.micro_batches import part_sizes
from clfctl.engine.step import Normalize, Stepper
from clfctl.errors import UsageError
from clfctl.settings.groups import TrainSettings

CPU = torch.device("cpu")
N_CLASSES, SIDE = 3, 6
WEIGHTS = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)

# Settings of a step, and whether its classes are weighted.
OPTIONS: dict[str, tuple[dict[str, object], bool]] = {
    "plain": ({}, False),
    "class weights": ({}, True),
    "label smoothing": ({"label_smoothing": 0.1}, False),
    "smoothing and weights": ({"label_smoothing": 0.1}, True),
    "mixup": ({"mixup": 0.8}, False),
    "cutmix": ({"cutmix": 1.0}, False),
    "mixup, weights, smoothing": ({"mixup": 0.8, "label_smoothing": 0.2}, True),
    "cutmix, weights": ({"cutmix": 1.0}, True),
    "clipping": ({"clip_grad": 0.01}, False),
    "focal": ({"loss": "focal", "label_smoothing": 0.1, "mixup": 0.8}, True),
    "bce": ({"loss": "bce", "label_smoothing": 0.1, "cutmix": 1.0}, True),
    "all": ({"loss": "focal", "label_smoothing": 0.1, "mixup": 0.8, "cutmix": 1.0, "clip_grad": 0.02}, True),
}


class Double(Normalize):
    """Pixels as float64: what is compared is to differ by rounding alone."""

    def __init__(self) -> None:
        super().__init__(Preprocess(SIDE), CPU)

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        return super().__call__(images).double()


def a_batch(n: int) -> Batch:
    draw = torch.Generator().manual_seed(n)
    pixels = torch.randint(256, (n, SIDE, SIDE, 3), dtype=torch.uint8, generator=draw)
    return Batch(pixels.permute(0, 3, 1, 2), torch.randint(N_CLASSES, (n,), generator=draw), range(n))


def stepped(batch: Batch, accumulate: int, options: dict[str, object], weights: torch.Tensor | None) -> torch.Tensor:
    """The weights after one step of plain gradient descent, and the loss, in one vector."""
    settings = TrainSettings.model_validate({"batch_size": 12, "accumulate": accumulate, "seed": 5} | options)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GELU(), nn.Flatten(), nn.Linear(4 * 16, N_CLASSES)).double()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    stepper = Stepper(model, optimizer, pick_precision("off", CPU), Double(), settings, weights)
    loss = stepper.step(batch, 7)
    return torch.cat([each.detach().flatten() for each in (*model.parameters(), loss)])


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("n", [12, 11, 7, 5, 1])
def test_the_gradient_is_that_of_the_whole_batch(name: str, n: int) -> None:
    options, weighted = OPTIONS[name]
    batch = a_batch(n)
    whole, other = stepped(batch, 1, options, WEIGHTS if weighted else None), stepped(a_batch(n + 1), 1, options, None)
    assert not torch.allclose(whole, other, rtol=1e-6)
    for accumulate in (2, 3, 4, 6, 12):
        found = stepped(batch, accumulate, options, WEIGHTS if weighted else None)
        torch.testing.assert_close(found, whole, rtol=1e-11, atol=1e-13)


def test_parts_are_as_alike_as_can_be_and_none_is_alone() -> None:
    for size in range(1, 9):
        for n in range(1, 60):
            found = part_sizes(n, size)
            assert sum(found) == n
            assert max(found) - min(found) <= 1
            assert max(found) <= (3 if size == 2 and n % 2 else size)
            assert min(found) > 1 or size == 1 or n == 1
    assert part_sizes(256, 32) == [32] * 8


def test_the_model_never_sees_more_than_a_part() -> None:
    seen: list[int] = []

    class Watching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(3 * SIDE * SIDE, N_CLASSES)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            seen.append(len(images))
            logits: torch.Tensor = self.head(images.flatten(1))
            return logits

    model = Watching()
    settings = TrainSettings(batch_size=12, accumulate=4, mixup=0.5)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    stepper = Stepper(model, optimizer, pick_precision("off", CPU), Normalize(Preprocess(SIDE), CPU), settings)
    for n in (12, 7):
        stepper.step(a_batch(n), 0)
    assert seen == [3, 3, 3, 3, 3, 2, 2]


def settings_of(**values: object) -> TrainSettings:
    return TrainSettings.model_validate({"image_size": 32, "batch_size": 30, "model": "custom"} | values)


@pytest.mark.parametrize(("n", "hint"), [(4, "accumulate=3"), (40, "accumulate=30"), (7, "accumulate=6")])
def test_what_does_not_divide_is_a_sentence(n: int, hint: str) -> None:
    with pytest.raises(UsageError, match=f"30 images cannot be divided into {n} equal parts") as caught:
        check_training(settings_of(accumulate=n), lambda _: None)
    assert caught.value.field == "accumulate"
    assert f"`{hint}`" in caught.value.hint


def test_batch_normalization_of_a_part_is_said() -> None:
    settings = settings_of(accumulate=5)
    lines = describe_parts(build_parts(settings, open_data(settings, 0)))
    assert "Steps  30 images each, computed in 5 parts of 6; batch normalization sees the 6 of a part" in lines
    settings = settings_of(accumulate=5, freeze_batch_norm=True)
    lines = describe_parts(build_parts(settings, open_data(settings, 0)))
    assert "Steps  30 images each, computed in 5 parts of 6" in lines
    assert "Note   the model is new: its batch normalization has seen no images, and normalizes nothing" in lines


def test_parts_of_one_image_are_refused_where_there_is_nothing_to_normalize() -> None:
    settings = settings_of(model="test_resnet", pretrained=False, accumulate=30)
    with pytest.raises(UsageError, match="one image at once is too few for test_resnet at 32 pixels") as caught:
        build_parts(settings, open_data(settings, 0))
    assert caught.value.field == "accumulate"
