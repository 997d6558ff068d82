"""An evaluation as tables and pictures: nothing is cut but names, and nothing is read as markup."""

import io
import itertools
import re
from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from rich.console import Console

from clfctl.display.eval_plots import INK, confusion_figure, drawing, reliability_figure, svg_of
from clfctl.display.eval_text import plain_lines, print_evaluation, share
from clfctl.evaluation.metrics import compute_metrics
from clfctl.evaluation.outputs import Outputs
from clfctl.evaluation.record import Evaluation, Mistake, Subject

HOSTILE = ["<script>alert(1)</script>", "\"quoted\" & 'single'", "[red]x[/red] $x_1$ {{ 7 * 7 }}"]


def evaluation_of(n: int, classes: list[str], seed: int = 0) -> Evaluation:
    """An evaluation of invented answers, three of four of them right, with its worst mistakes."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % len(classes)
    scores = rng.normal(0, 1, (n, len(classes)))
    scores[np.arange(n), np.where(rng.random(n) < 0.75, labels, rng.integers(0, len(classes), n))] += 6
    p = np.exp(scores)
    p = (p / p.sum(axis=1, keepdims=True)).astype(np.float32)
    outputs = Outputs(np.arange(n), labels, p, -np.log(p[np.arange(n), labels]))
    mistakes = []
    for place in outputs.worst(24).tolist():
        predicted, true = int(p[place].argmax()), int(labels[place])
        shares = float(p[place, predicted]), float(p[place, true])
        file = f"photos/{classes[true]}/IMG_{place:05d} with a long name.jpg"
        mistakes.append(Mistake(file, classes[true], classes[predicted], *shares, float(outputs.losses[place])))
    subject = Subject("runs/x", "runs/x/checkpoints/best.safetensors", 7, "efficientnet_b0", "photos/", "val", 2, 224)
    metrics = compute_metrics(outputs, classes)
    return Evaluation(
        subject, metrics, {"dragon": 3}, ("unicorn",), {}, ("3 images of <b>dragons</b>.",), tuple(mistakes)
    )


def printed(evaluation: Evaluation, top: int, width: int) -> list[str]:
    text = io.StringIO()
    print_evaluation(evaluation, top, Console(file=text, width=width))
    return [line.rstrip() for line in text.getvalue().splitlines()]


@pytest.fixture(scope="module")
def thousand() -> Evaluation:
    return evaluation_of(3000, [f"n{i:08d} a class with quite a long name, number {i}" for i in range(1000)])


@pytest.mark.slow
@pytest.mark.parametrize("width", [80, 120, 200])
def test_a_thousand_classes_stay_readable(width: int, thousand: Evaluation) -> None:
    evaluation = thousand
    lines = printed(evaluation, 10, width)
    assert len(lines) < 45
    assert max(map(len, lines)) <= width
    worst = evaluation.metrics.worst_classes()[:10]
    start = next(i for i, line in enumerate(lines) if line.startswith("class ")) + 2
    for line, each in zip(lines[start : start + 10], worst, strict=True):
        assert line[:9] == each.name[:9]
        for word in (f"{each.support}", share(each.precision), share(each.recall), share(each.f1), share(each.auc)):
            assert re.search(rf"\s{re.escape(word)}(\s|$)", line)
    assert "The 10 worst of 1000 classes" in lines
    start = next(i for i, line in enumerate(lines) if line.startswith("true ")) + 2
    for line, pair in zip(lines[start : start + 10], evaluation.metrics.confused(10), strict=True):
        assert line.split()[-3:] == [f"{pair.n}", f"{100 * pair.share:.2f}", "%"]


def test_names_are_shown_as_they_are() -> None:
    text = "\n".join(printed(evaluation_of(60, HOSTILE), 10, 200))
    for name in HOSTILE:
        assert name in text


def test_plain_lines_are_ascii_where_the_names_are() -> None:
    lines = plain_lines(evaluation_of(40, ["a", "b"]), 1)
    assert all(line.isascii() for line in lines)
    assert sum(line.startswith("class  ") for line in lines) == 1


@pytest.mark.parametrize(
    ("value", "text"), [(1.0, "1.000"), (0.9996, "0.999+"), (0.9994, "0.999"), (None, "–"), (0, "0.000")]
)
def test_only_a_whole_share_is_one(value: float | None, text: str) -> None:
    assert share(value) == text


@pytest.mark.slow
@pytest.mark.parametrize(("n_classes", "named"), [(2, True), (25, True), (100, True), (1000, False)])
def test_every_class_has_its_place_and_its_name(n_classes: int, named: bool) -> None:
    classes = [f"class {i}" for i in range(n_classes)]
    metrics = evaluation_of(2 * n_classes, classes).metrics
    with drawing():
        figure = confusion_figure(metrics)
        picture = io.BytesIO()
        figure.savefig(picture, dpi=100)
    axes = figure.axes[0]
    assert ([each.get_text() for each in axes.get_yticklabels()] == classes) == named
    colors = axes.images[0].get_array()
    assert colors is not None
    assert colors.shape == (n_classes, n_classes, 4)
    assert np.array_equal(colors[..., 3] > 0, metrics.confusion > 0)
    counts = {each.get_text() for each in axes.texts}
    assert counts == ({str(n) for n in metrics.confusion[metrics.confusion > 0]} if n_classes <= 25 else set())
    if named and n_classes > 4:
        assert not overlapping(figure)
    with Image.open(picture) as image:
        assert 250 < image.width < 2500


def overlapping(figure: Figure) -> bool:
    """Whether two names on the same axis touch."""
    figure.draw_without_rendering()
    boxes = [each.get_window_extent() for each in figure.axes[0].get_yticklabels()]
    return any(above.y0 < below.y1 for above, below in itertools.pairwise(boxes))


def test_an_svg_takes_the_colour_of_the_text_around_it() -> None:
    metrics = evaluation_of(60, HOSTILE).metrics
    with drawing(in_text=True):
        draws: tuple[Callable[[], Figure], ...] = (
            lambda: confusion_figure(metrics, INK),
            lambda: reliability_figure(metrics.calibration, INK),
        )
        for draw in draws:
            svg = svg_of(draw(), "a picture")
            assert svg.startswith('<svg role="img" aria-label="a picture"')
            assert "currentColor" in svg
            assert not re.search("#000000|black|#010203|<script>", svg)
            assert svg == svg_of(draw(), "a picture")
