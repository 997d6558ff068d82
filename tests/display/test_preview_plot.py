"""Curves as pictures: the same bytes every time, the line where it belongs, small files."""

import itertools
import math
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import matplotlib
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from clfctl.display.curve import Stretch
from clfctl.display.preview_plot import NamedCurve, save_preview, thinned
from clfctl.errors import UsageError
from clfctl.schedules import Cosine, Step, Warmup, sample_curve

COSINE = NamedCurve("cosine", sample_curve(Warmup(Cosine(28), 2), 1e-3, 30))
STEP = NamedCurve("step(8) $a$", sample_curve(Step(8), 1e-3, 30), dashed=True)
PARTS = [Stretch("warmup", 0, 2), Stretch("cosine", 2, 30)]
SVG = "{http://www.w3.org/2000/svg}"
BLUE = (0, 0x72, 0xB2)


def texts(path: Path) -> list[str]:
    return [each.text or "" for each in ElementTree.parse(path).iter(f"{SVG}text")]


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_the_same_curves_give_the_same_bytes(tmp_path: Path, suffix: str) -> None:
    paths = [tmp_path / f"{name}{suffix}" for name in ("first", "second")]
    styles: tuple[dict[Any, Any], ...] = ({}, {"lines.linewidth": 9, "font.size": 30})
    for path, own in zip(paths, styles, strict=True):
        with matplotlib.rc_context(own):  # a user's own style changes nothing
            save_preview(path, [COSINE, STEP], log=True, epochs=30, stretches=PARTS, title="two", seam=10)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert paths[0].stat().st_size < (25_000 if suffix == ".svg" else 90_000)


def test_drawing_leaves_matplotlib_as_it_was(tmp_path: Path) -> None:
    before = dict(matplotlib.rcParams)
    save_preview(tmp_path / "curve.svg", [COSINE], log=False, epochs=30)
    assert dict(matplotlib.rcParams) == before


def test_svg_names_axes_curves_parts_and_seam(tmp_path: Path) -> None:
    path = tmp_path / "curve.svg"
    save_preview(path, [COSINE, STEP], log=False, epochs=30, stretches=PARTS, title="two of them", seam=10)
    words = texts(path)
    for word in ("epochs", "learning rate", "cosine", "step(8) $a$", "warmup", "two of them", "resumed here", "0.001"):
        assert word in words
    assert words.count("cosine") == 2  # the part and the curve
    save_preview(path, [COSINE], log=False, epochs=30)
    assert "cosine" not in texts(path)  # a legend of one curve says nothing
    assert "dc:date" not in path.read_text(encoding="utf-8")


def test_png_has_the_line_where_the_rates_are(tmp_path: Path) -> None:
    path = tmp_path / "curve.PNG"
    save_preview(path, [NamedCurve("half", [(0, 1.0), (5, 1.0), (5, 0.5), (10, 0.5)])], log=False, epochs=10)
    with Image.open(path) as image:
        image.load()
        assert image.format == "PNG"
        assert image.size == (1080, 600)
        assert image.info.get("Software") is None
        rgb = image.convert("RGB")
    blue = [(x, y) for x in range(1080) for y in range(600) if rgb.getpixel((x, y)) == BLUE]
    left, right = min(x for x, _ in blue), max(x for x, _ in blue)
    top, bottom = min(y for _, y in blue), max(y for _, y in blue)
    assert right - left > 900
    assert bottom - top > 200
    assert all(y < (top + bottom) / 2 for x, y in blue if x < left + 0.45 * (right - left))
    assert all(y > (top + bottom) / 2 for x, y in blue if x > left + 0.55 * (right - left))


def test_zeros_lie_on_the_edge_of_a_log_axis(tmp_path: Path) -> None:
    path = tmp_path / "curve.svg"
    save_preview(path, [NamedCurve("", [(0, 0.0), (5, 1e-3), (10, 0.0)])], log=True, epochs=10)
    assert "≤1e-04" in texts(path)
    save_preview(path, [NamedCurve("", [(0, 0.0), (10, 0.0)])], log=True, epochs=10)
    assert "0" in texts(path)


@pytest.mark.parametrize(
    "points", [[], [(0.0, math.nan)], [(3.0, 1e-3)], [(0.0, 1e-3), (1.0, math.inf), (2.0, 1e-3)], [(0.0, 5e-324)]]
)
@pytest.mark.parametrize("log", [False, True])
def test_odd_curves_are_drawn_too(tmp_path: Path, points: list[tuple[float, float]], log: bool) -> None:
    path = tmp_path / "curve.svg"
    save_preview(path, [NamedCurve("odd", points), COSINE], log=log, epochs=0.5, stretches=[Stretch("p", -1, 90)])
    assert "odd" in texts(path)


def test_many_curves_and_long_names_keep_the_plot_as_high(tmp_path: Path) -> None:
    path = tmp_path / "curve.png"
    curves = [NamedCurve(f"{i} " + "a long name " * 5, COSINE.points) for i in range(8)]
    save_preview(path, curves, log=False, epochs=30)
    with Image.open(path) as image:
        assert image.size == (1080, 600 + 8 * 30)


def test_a_label_with_no_room_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "curve.svg"
    crowd = [Stretch(f"part number {i}", i, i + 1) for i in range(30)]
    save_preview(path, [COSINE], log=False, epochs=30, stretches=crowd)
    shown = [text for text in texts(path) if text.startswith("part")]
    assert 0 < len(shown) < 10


def test_a_wide_label_reaches_over_its_neighbour_or_goes_up_a_row(tmp_path: Path) -> None:
    places = []
    for second_label in ("cosine", "wide" * 18):
        path = tmp_path / "curve.svg"
        save_preview(
            path, [COSINE], log=False, epochs=30, stretches=[Stretch("warmup", 0, 1), Stretch(second_label, 1, 30)]
        )
        root = ElementTree.parse(path)
        places.append({each.text: float(each.attrib["y"]) for each in root.iter(f"{SVG}text")})
    low, high = places
    assert low["warmup"] == low["cosine"]
    assert high["warmup"] < high["wide" * 18]


@pytest.mark.parametrize("seam", [0, 3, 25, 30])
@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_the_words_at_the_seam_keep_off_the_curve(tmp_path: Path, seam: float, level: float) -> None:
    path = tmp_path / "curve.svg"
    save_preview(path, [NamedCurve("", [(0, level), (30, level)])], log=False, epochs=30, seam=seam)
    text = next(each for each in ElementTree.parse(path).iter(f"{SVG}text") if each.text == "resumed here")
    top, bottom = 10.0, 255.0  # of the plot, in points of the page
    line = bottom - level * (bottom - top) / 1.04
    assert not line - 1 < float(text.attrib["y"]) < line + 10
    assert 0 < float(text.attrib["x"]) < 450


def test_another_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.png or \.svg"):
        save_preview(tmp_path / "curve.pdf", [COSINE], log=False, epochs=30)
    assert not (tmp_path / "curve.pdf").exists()


def test_steps_and_lines_keep_only_their_corners() -> None:
    steps = [(i / 100, 1.0 if i < 500 else 0.5) for i in range(1001)]
    assert thinned(steps, (0, 10), (0, 1), "linear") == [(0, 1), (4.99, 1), (5, 0.5), (10, 0.5)]
    vertical = [(0.0, 1.0), (1.0, 1.0), (1.0, 0.5), (2.0, 0.5)]
    assert thinned(vertical, (0, 2), (0, 1), "linear") == vertical
    halving = [(float(i), 0.5**i) for i in range(11)]
    assert thinned(halving, (0, 10), (0.5**10, 1), "log") == [halving[0], halving[-1]]


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.25, 1.0]), st.floats(0, 1)), min_size=1, max_size=60))
def test_a_thinned_curve_is_the_same_to_a_tenth_of_a_pixel(moves: list[tuple[float, float]]) -> None:
    times = itertools.accumulate(step for step, _ in moves)
    points = [(time, y) for time, (_, y) in zip(times, moves, strict=True)]
    kept = thinned(points, (0, 60), (0, 1), "linear")
    assert kept[0] == points[0]
    assert kept[-1] == points[-1]
    for (x0, y0), (x1, y1) in itertools.pairwise(kept):
        for x, y in points:
            if x0 < x < x1:
                assert y == pytest.approx(y0 + (y1 - y0) * (x - x0) / (x1 - x0), abs=2e-4)
