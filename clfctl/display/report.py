"""An evaluation as one HTML file that needs nothing else: no script, no network, no other file."""

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from clfctl.display.ensemble_table import TITLES, lines_of, verdict
from clfctl.display.eval_plots import INK, confusion_figure, drawing, reliability_figure, svg_of
from clfctl.display.eval_text import interval_words, number_rows, percent, share
from clfctl.display.plots import history_figures
from clfctl.evaluation.record import Evaluation, Mistake
from clfctl.explaining.mistakes import ExplainedMistakes
from clfctl.runs.history import EpochResult
from clfctl.settings.image_size import read_image_size, size_in_words
from clfctl.version import __version__

TEMPLATE = "report.html.jinja"
# Of more the others are folded away; a phone scrolls past these in a second.
N_CLASSES, N_PAIRS = 30, 20
MIN_SIDE = 112
CURVES = {
    "loss": "Loss",
    "accuracy": "Accuracy",
    "lr": "Learning rate",
    "momentum": "Momentum",
    "weight_decay": "Weight decay",
}


@dataclass(frozen=True)
class Shown:
    """A mistake with its picture, and those with heat maps of the class that was named and of the true one, if any.

    Pictures are data: URLs.
    """

    mistake: Mistake
    picture: str
    named: str = ""
    true: str = ""


def render_report(
    evaluation: Evaluation,
    images: NDArray[np.uint8] | None,
    history: Sequence[EpochResult],
    maps: ExplainedMistakes | None = None,
) -> Iterator[bytes]:
    """Yield the report in pieces. `images` (M, H, W, 3) are those of the evaluation's M mistakes, None without any.

    `maps` are heat maps of the first of them.
    """
    metrics = evaluation.metrics
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"percent": percent, "share": share, "interval": interval_words, "in_words": _size_in_words}
    template = environment.from_string(resources.files("clfctl.display").joinpath(TEMPLATE).read_text("utf-8"))
    with drawing(in_text=True):
        confusion = svg_of(confusion_figure(metrics, INK), "confusion matrix")
        reliability = svg_of(reliability_figure(metrics.calibration, INK), "reliability diagram")
        curves = [(CURVES[name], Markup(svg_of(figure, CURVES[name]))) for name, figure in _curves(history)]
    pieces = template.generate(
        evaluation=evaluation,
        subject=evaluation.subject,
        metrics=metrics,
        numbers=number_rows(metrics),
        titles=TITLES,
        members=lines_of(evaluation) if evaluation.members else [],
        verdict=verdict(evaluation.members) if evaluation.members else "",
        worst=metrics.worst_classes(),
        n_classes=N_CLASSES,
        pairs=metrics.confused(N_PAIRS),
        mistakes=_shown(evaluation, images, maps),
        layer=maps.layer if maps else "",
        n_explained=len(maps.named) if maps else 0,
        confusion=Markup(confusion),
        reliability=Markup(reliability),
        curves=curves,
        version=__version__,
    )
    yield from (piece.encode() for piece in pieces)


def _shown(evaluation: Evaluation, images: NDArray[np.uint8] | None, maps: ExplainedMistakes | None) -> list[Shown]:
    pictures = [] if images is None else [*map(data_url, images)]
    named, true = ([*map(data_url, each)] for each in ((maps.named, maps.true) if maps else ((), ())))
    without = [""] * (len(pictures) - len(named))
    return [Shown(*each) for each in zip(evaluation.mistakes, pictures, named + without, true + without, strict=True)]


def _size_in_words(size: int | str) -> str:
    return size_in_words(read_image_size(size))


def _curves(history: Sequence[EpochResult]) -> Iterator[tuple[str, Any]]:
    if history:
        yield from history_figures(history, (4.6, 3.2))


def data_url(pixels: NDArray[np.uint8]) -> str:
    """Return an image as a data: URL; small ones are enlarged by a whole factor, as the browser would blur them."""
    picture = Image.fromarray(pixels)
    scale = max(1, -(-MIN_SIDE // picture.width))
    picture = picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)
    file = io.BytesIO()
    kind = "png" if scale > 1 else "jpeg"
    picture.save(file, kind, **({"quality": 88} if kind == "jpeg" else {"optimize": True}))
    return f"data:image/{kind};base64,{base64.b64encode(file.getbuffer()).decode()}"
