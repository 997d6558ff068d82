"""A teacher sees what the student sees, answers for its classes, and changes nothing else; and it is known again."""

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from clfctl import api
from clfctl.data.loader import Batch
from clfctl.data.pixels.transform import Preprocess
from clfctl.data.sources.open import open_data
from clfctl.engine.assemble import build_parts
from clfctl.engine.describe import describe_parts
from clfctl.engine.device import pick_precision
from clfctl.engine.step import Normalize, Stepper
from clfctl.engine.teacher import Lesson, Teacher
from clfctl.errors import CheckpointError, ClfctlError, UsageError
from clfctl.planning.teaching import TeacherFile, find_teacher
from clfctl.runs.folder import RunFolder
from clfctl.settings.groups import TrainSettings
from clfctl.settings.image_size import read_image_size

CPU = torch.device("cpu")
SIDE, N_CLASSES = 8, 4
STUDENT = Preprocess(SIDE)
FILE = TeacherFile(Path("teacher.safetensors"), (0, 1, 2, 3), "")


def network(seed: int, n_classes: int = N_CLASSES) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(0.3),
        nn.Linear(24, n_classes),
    )  # fmt: skip


def a_batch(n: int = 12) -> Batch:
    draw = torch.Generator().manual_seed(n)
    pixels = torch.randint(256, (n, SIDE, SIDE, 3), dtype=torch.uint8, generator=draw)
    return Batch(pixels.permute(0, 3, 1, 2), torch.randint(N_CLASSES, (n,), generator=draw), range(n))


def lesson_of(weight: float, temperature: float = 3.0) -> Lesson:
    teacher = Teacher(network(1), Preprocess(SIDE, mean=(0.5, 0.4, 0.3)), STUDENT, FILE.places)
    return Lesson(teacher, FILE, weight, temperature, "")


def stepped(lesson: Lesson | None, **values: object) -> torch.Tensor:
    """All that a step changes, and its loss, in one vector."""
    settings = TrainSettings.model_validate({"batch_size": 12} | values)
    model = network(2).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    stepper = Stepper(model, optimizer, pick_precision("off", CPU), Normalize(STUDENT, CPU), settings, None, lesson)
    torch.manual_seed(3)
    loss = stepper.step(a_batch(), 0)
    return torch.cat([each.detach().double().flatten() for each in (*model.state_dict().values(), loss)])


def test_it_sees_the_same_pixels_in_its_own_normalization() -> None:
    model, own = network(1).eval(), Preprocess(SIDE, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    images = a_batch().images
    found = Teacher(model, own, STUDENT, range(N_CLASSES))(Normalize(STUDENT, CPU)(images))
    torch.testing.assert_close(found, model(Normalize(own, CPU)(images)), rtol=1e-4, atol=1e-5)
    assert not found.requires_grad


def test_it_sees_them_in_its_own_size() -> None:
    model, own = network(1).eval(), Preprocess(read_image_size("6x10"))
    images = Normalize(STUDENT, CPU)(a_batch().images)
    expected = model(functional.interpolate(images, (6, 10), mode="bilinear", antialias=True))
    torch.testing.assert_close(Teacher(model, own, STUDENT, range(N_CLASSES))(images), expected)


def test_it_answers_for_the_classes_of_the_student() -> None:
    model, images = network(1, 6).eval(), Normalize(STUDENT, CPU)(a_batch().images)
    found = Teacher(model, STUDENT, STUDENT, (5, 0, 3))(images)
    assert torch.equal(found, model(images)[:, [5, 0, 3]])


def test_the_loss_is_hintons() -> None:
    logits, taught = torch.randn(2, 7, N_CLASSES, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    lesson, t = lesson_of(0.7), 3.0
    p, q = (taught / t).softmax(1), (logits / t).softmax(1)
    expected = 0.3 * 2.0 + 0.7 * t**2 * (p * (p / q).log()).sum(1).mean()
    found = lesson.loss(torch.tensor(2.0, dtype=torch.float64), logits, taught, 1.0)
    torch.testing.assert_close(found, expected)


def test_it_changes_none_of_the_students_random_numbers() -> None:
    options = {"mixup": 0.8, "label_smoothing": 0.1}
    assert torch.equal(stepped(lesson_of(0.0), **options), stepped(None, **options))
    assert not torch.equal(stepped(lesson_of(0.5), **options), stepped(None, **options))


def test_it_is_not_trained_by_a_step() -> None:
    lesson = lesson_of(1.0)
    before = [value.clone() for value in lesson.teacher.model.state_dict().values()]
    stepped(lesson)
    assert all(map(torch.equal, lesson.teacher.model.state_dict().values(), before))


@pytest.mark.parametrize("options", [{}, {"mixup": 0.8, "loss": "focal"}])
def test_a_batch_in_parts_learns_the_same_from_it(options: dict[str, object]) -> None:
    def gradients(accumulate: int) -> list[torch.Tensor]:
        settings = TrainSettings.model_validate({"batch_size": 12, "accumulate": accumulate} | options)
        model = network(2).eval()  # without what sees a part only
        optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
        args = (model, optimizer, pick_precision("off", CPU), Normalize(STUDENT, CPU), settings, None)
        Stepper(*args, lesson_of(0.6)).step(a_batch(), 0)
        return [each.detach() for each in model.parameters()]

    for whole, parts in zip(gradients(1), gradients(4), strict=True):
        torch.testing.assert_close(parts, whole, rtol=1e-5, atol=1e-6)


QUICK: dict[str, object] = {
    "model": "test_efficientnet", "pretrained": False, "image_size": 32, "batch_size": 6, "workers": 0, "epochs": 1,
    "val_split": 0.25, "export": False,
}  # fmt: skip


@pytest.fixture
def taught(photos: Path) -> RunFolder:
    """A run that was stopped after an epoch, of a teacher `runs/teacher`."""
    api.train(TrainSettings.model_validate(QUICK), data=str(photos), run_name="teacher")
    settings = TrainSettings.model_validate(QUICK | {"distill": "runs/teacher", "seed": 1})
    return RunFolder(api.train(settings, data=str(photos), run_name="student").run)


@pytest.mark.slow
def test_a_run_knows_its_teacher_again(taught: RunFolder) -> None:
    assert api.resume(taught.path, epochs=2).planned_epochs == 2
    teacher = RunFolder(Path("runs/teacher"))
    api.resume(teacher.path, epochs=2, keep_best="val_loss")
    teacher.last.replace(teacher.best)
    with pytest.raises(CheckpointError, match="it has changed") as caught:
        api.resume(taught.path, epochs=3)
    assert caught.value.field == "distill"
    assert api.resume(taught.path, epochs=3, distill="runs/teacher").planned_epochs == 3
    assert api.resume(taught.path, epochs=4).planned_epochs == 4
    teacher.path.rename("elsewhere")
    with pytest.raises(UsageError, match="runs/teacher is not a run folder") as gone:
        api.resume(taught.path, epochs=5)
    assert "`distill_weight=0` goes on without it" in gone.value.hint
    assert api.resume(taught.path, epochs=5, distill="elsewhere").planned_epochs == 5
    assert api.resume(taught.path, epochs=6, distill_weight=0).planned_epochs == 6


@pytest.mark.slow
def test_a_teacher_must_know_all_of_the_classes(taught: RunFolder, photos: Path) -> None:
    (photos / "red").rename(photos / "crimson")
    with pytest.raises(UsageError, match="runs/teacher does not know the classes crimson") as caught:
        api.train(TrainSettings.model_validate(QUICK | {"distill": "runs/teacher"}), data=str(photos))
    assert caught.value.field == "distill"


@pytest.mark.parametrize("name", ["nowhere", "notes.txt", "broken.safetensors"])
def test_what_is_no_teacher_is_a_sentence(name: str) -> None:
    Path("notes.txt").write_text("no", encoding="utf-8")
    Path("broken.safetensors").write_bytes(b"no")
    with pytest.raises(ClfctlError) as caught:
        find_teacher(TrainSettings(distill=Path(name)), ("a",))
    assert caught.value.field == "distill"
    assert name in caught.value.message
    assert find_teacher(TrainSettings(distill=Path(name), distill_weight=0), ("a",)) is None


def test_what_does_nothing_is_said() -> None:
    settings = TrainSettings(
        model="custom", image_size=32, focal_gamma=1.0, distill_weight=0.9, distill_temperature=2.0
    )
    lines = describe_parts(build_parts(settings, open_data(settings, 0)))
    assert [line for line in lines if "does nothing" in line] == [
        "Note   `focal_gamma=` does nothing without `loss=focal`",
        "Note   `distill_weight=` does nothing without `distill=`",
        "Note   `distill_temperature=` does nothing without `distill=`",
    ]
