"""A trained model that another learns from beside its labels: what it answers for the very same pixels."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from clfctl.data.pixels.transform import Preprocess
from clfctl.engine.device import Precision
from clfctl.engine.losses import in_full
from clfctl.engine.memory_format import lay_out
from clfctl.engine.saving import load_model, saved_settings
from clfctl.errors import CheckpointError
from clfctl.models.card import card_of
from clfctl.models.factory import rebuild_model
from clfctl.planning.teaching import WITHOUT, TeacherFile, find_teacher
from clfctl.runs.checkpoint import load_checkpoint, used_part
from clfctl.runs.folder import RunFolder
from clfctl.settings.groups import TrainSettings
from clfctl.storage.files import write_text
from clfctl.storage.json_lines import dump_json


class Teacher:
    """Answers for images that are normalized for another model.

    It draws nothing at random, needs no gradients, and is always in evaluation mode: Hinton et al. 2015,
    arXiv:1503.02531; the same view for both, as Beyer et al. 2022, arXiv:2106.05237, found to matter most.
    """

    def __init__(self, model: nn.Module, seen: Preprocess, student: Preprocess, places: Sequence[int]) -> None:
        """Take a model, what it and the student are trained to see, and the student's classes among its own."""
        self.model = model.eval().requires_grad_(False)
        device = next(model.parameters()).device
        self._places = torch.tensor(places, device=device)
        self._size = seen.size
        mean, std, own_mean, own_std = (
            torch.tensor(each, device=device).view(1, 3, 1, 1)
            for each in (seen.mean, seen.std, student.mean, student.std)
        )
        self._same = (seen.mean, seen.std) == (student.mean, student.std)
        self._scale, self._shift = own_std / std, (own_mean - mean) / std

    @torch.no_grad()
    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Return its logits (B, C) for the student's classes, of images (B, 3, H, W) as the student takes them."""
        seen = images if self._same else images * self._scale + self._shift
        if seen.shape[2:] != self._size:
            seen = functional.interpolate(seen, self._size, mode="bilinear", antialias=True)
        logits: torch.Tensor = self.model(seen)
        return logits[:, self._places]


@dataclass(frozen=True)
class Lesson:
    """How much of the loss a teacher's answers are, and how soft both are made: divided by `temperature`."""

    teacher: Teacher
    file: TeacherFile
    weight: float
    temperature: float
    words: str

    def loss(self, value: torch.Tensor, logits: torch.Tensor, taught: torch.Tensor, share: float) -> torch.Tensor:
        """Return the loss `value` of the labels mixed with that of the teacher's answers, a scalar.

        `logits` and `taught` (M, C) are what both answer for so large a `share` of a batch. Times the temperature's
        square, so that its gradients stay as large as they were (section 2 of Hinton et al.).
        """
        softened, wanted = ((in_full(each) / self.temperature).log_softmax(1) for each in (logits, taught))
        distance = functional.kl_div(softened, wanted, reduction="batchmean", log_target=True)
        return (1 - self.weight) * value + (self.weight * self.temperature**2 * share) * distance


def build_lesson(
    settings: TrainSettings, classes: Sequence[str], student: Preprocess, precision: Precision
) -> Lesson | None:
    """Load the teacher of a training, on its device; None if it has none. Raises ClfctlError if it cannot be used."""
    file = find_teacher(settings, classes)
    if file is None:
        return None
    try:
        checkpoint = load_checkpoint(file.path)
    except CheckpointError as error:
        raise CheckpointError(error.message, WITHOUT, field="distill") from None
    card = card_of(checkpoint)
    model = rebuild_model(card.name, len(card.classes), saved_settings(checkpoint)[0], card.preprocess.image_size)
    load_model(model, checkpoint, used_part(checkpoint).prefix)
    lay_out(model, precision.device, checkpoint.header.memory_format)
    words = f"{settings.distill}: {card.name}, {len(card.classes)} classes"
    teacher = Teacher(model, card.preprocess, student, file.places)
    return Lesson(teacher, file, settings.distill_weight, settings.distill_temperature, words)


def record_teacher(run: RunFolder, lesson: Lesson | None) -> None:
    """Write down which teacher a run has, so that it is known again."""
    if lesson:
        record = {"checkpoint": str(lesson.file.path), "checksum": lesson.file.checksum}
        write_text(run.teacher, dump_json(record) + "\n")


def check_teacher(run: RunFolder, lesson: Lesson | None) -> None:
    """Raise CheckpointError if the teacher is not the one that the run had until now."""
    if lesson is None or not run.teacher.is_file():
        return
    try:
        before = str(json.loads(run.teacher.read_text(encoding="utf-8"))["checksum"])
    except (OSError, ValueError, KeyError, TypeError):
        return  # it is written again when a change is kept
    if before != lesson.file.checksum:
        what = f"{lesson.file.path} is not the checkpoint that this run has learned from: it has changed"
        hint = f"`distill={lesson.file.path}` goes on with it as it is now, {WITHOUT}"
        raise CheckpointError(what, hint, field="distill")
