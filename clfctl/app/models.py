"""The models that the app can ask, and how it asks them: one question at a time, as a model has all cores."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from io import BytesIO
from itertools import count
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import streamlit as st
from PIL import Image, ImageOps

from clfctl.data.pixels.image_file import load
from clfctl.data.pixels.to_rgb import to_rgb, value_range
from clfctl.data.pixels.unreadable import BadImageError, reason_of
from clfctl.data.workers import n_cores
from clfctl.errors import UsageError
from clfctl.explaining.explanation import drawn_size
from clfctl.inference.ensemble_predictor import EnsemblePredictor, put_together
from clfctl.inference.open import open_predictor
from clfctl.inference.prediction import Choice, Prediction
from clfctl.inference.predictor import Predictor
from clfctl.inference.stream import answers
from clfctl.inference.uploads import Limits, open_sent_image, open_sent_model
from clfctl.runs.ensemble import Ensemble, EnsembleFolder, Member, is_ensemble
from clfctl.runs.folder import ONNX_SUFFIX, RunFolder
from clfctl.settings.ensembles import Rule

if TYPE_CHECKING:
    from clfctl.explaining.open import Opened as Networks

# Models that are kept open at a time, for all who look.
MOST_OPEN = 4
# Sides of a picture on the page, in pixels: larger ones are scaled down, tiny ones enlarged by a whole factor.
# The map over it is drawn with as many.
LARGEST = 1024
ONE_AT_A_TIME = Lock()


@dataclass(frozen=True)
class Opened:
    """A model that is open, how long that took, and what is worth knowing about it.

    `path` is where it lies, None for one that was sent, and for several `members` that answer as one; `number` tells it
    from every other of this process.
    """

    predictor: Predictor
    took_s: float
    notes: tuple[str, ...] = ()
    path: Path | None = None
    members: tuple["Opened", ...] = ()
    number: int = field(default_factory=count().__next__)

    @property
    def is_sent(self) -> bool:
        """Whether it, or one of its members, came from who looks at the page."""
        return any(each.is_sent for each in self.members) if self.members else self.path is None

    @cached_property
    def networks(self) -> "Networks":
        """What heat maps are made of: what answers, or the checkpoint of a run for which ONNX Runtime does.

        Raises ClfctlError where there is none.
        """
        from clfctl.explaining.open import networks_in, networks_of_members, open_networks

        if isinstance(self.predictor, EnsemblePredictor) and self.members:
            return networks_of_members(self.predictor, [each.networks for each in self.members])
        found = networks_in(self.predictor)
        if found:
            return found
        if self.path is None or (self.path.suffix == ONNX_SUFFIX and self.path.is_file()):
            what = "an .onnx file only answers; choose the run or the checkpoint that it was made of"
            raise UsageError(what)
        return open_networks(self.path)


@dataclass(frozen=True)
class Answer:
    """What a model says of a picture, and how long decoding and computing it took together."""

    prediction: Prediction
    took_s: float


def opened(path: Path) -> Opened:
    """Return a model, kept open until its files change. Raises ClfctlError if it cannot be asked."""
    run = RunFolder(path)
    files = (path, run.onnx, run.best, run.last, EnsembleFolder(path).file)
    return _opened(path, tuple(file.stat().st_mtime_ns for file in files if file.is_file()))


@st.cache_resource(max_entries=MOST_OPEN, show_spinner="Opening the model …")
def _opened(path: Path, stamps: tuple[int, ...]) -> Opened:  # noqa: ARG001 (another stamp is another model)
    notes, started = list[str](), time.perf_counter()
    with ONE_AT_A_TIME:
        predictor = open_predictor(path, n_cores(), notes.append)
    return Opened(predictor, time.perf_counter() - started, tuple(notes), path)


def together(models: Sequence[tuple[str, Opened]], rule: Rule) -> Opened:
    """Return several models, each with its name, as one that answers by a rule. Raises UsageError if they cannot."""
    return _together(tuple(model.number for _, model in models), rule, models)


@st.cache_resource(max_entries=MOST_OPEN, show_spinner=False, scope="session")
def _together(
    numbers: tuple[int, ...],  # noqa: ARG001 (they tell these models from others)
    rule: Rule,
    _models: Sequence[tuple[str, Opened]],
) -> Opened:
    for name, model in _models:
        if isinstance(model.predictor, EnsemblePredictor) or (model.path and is_ensemble(model.path)):
            hint = "choose the runs that it was made of, or it alone"
            raise UsageError(f"{name} is an ensemble, and cannot be a member of one", hint)
    ensemble = Ensemble(tuple(Member(model.path or Path(name), name) for name, model in _models), rule)
    members = tuple(model for _, model in _models)
    predictor = put_together(ensemble, [each.predictor for each in members])
    notes = tuple(dict.fromkeys(note for each in members for note in each.notes))
    return Opened(predictor, sum(each.took_s for each in members), notes, members=members)


@st.cache_resource(max_entries=MOST_OPEN, show_spinner="Opening the model …", scope="session")
def sent_model(name: str, content: bytes, _limits: Limits) -> Opened:
    """Return a model that was sent, for whom it was sent by. Raises ModelError."""
    started = time.perf_counter()
    with ONE_AT_A_TIME:
        predictor = open_sent_model(content, name, _limits, n_cores())
    return Opened(predictor, time.perf_counter() - started)


def ask(predictor: Predictor, content: bytes, limits: Limits, top_k: int) -> Answer:
    """Return what a model says of an image, given as the bytes of its file; one that is bad has only its reason."""
    with ONE_AT_A_TIME:
        started = time.perf_counter()
        try:
            with open_sent_image(content, limits) as image:
                seen = predictor.look(image)
        except Exception as error:  # a decoder may raise anything
            return Answer(Prediction("", error=reason_of(error)), 0.0)
        found = answers(predictor, [("", seen)], Choice(top_k))[0]
        return Answer(found, time.perf_counter() - started)


def picture_of(content: bytes, limits: Limits) -> Image.Image:
    """Return an image upright and in RGB, of a size to be shown. Raises OSError, with the reason."""
    with open_sent_image(content, limits) as image:
        if image.format in ("JPEG", "MPO"):
            image.draft("RGB", (LARGEST, LARGEST))
        load(image)
        try:
            upright = image if image.format == "TIFF" else ImageOps.exif_transpose(image)
            upright.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
            shown = to_rgb(upright, value_range(upright))
        except Exception as error:  # as above
            raise BadImageError(reason_of(error)) from None
    return enlarged(shown)


def enlarged(picture: Image.Image) -> Image.Image:
    """Return a picture of few pixels larger by a whole factor, since a browser would blur it."""
    height, width = drawn_size(picture.height, picture.width)
    return picture.resize((width, height), Image.Resampling.NEAREST)


def as_png(picture: Image.Image) -> bytes:
    """Return a picture as the bytes of a PNG file."""
    file = BytesIO()
    picture.save(file, "png")
    return file.getvalue()
