"""Curves as text: what exactly is drawn, what tells them apart, and the parts under the axis."""

import itertools
import math
import re
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clfctl.display.axes import Axis, y_axis, y_labels
from clfctl.display.curve import Stretch, draw_curve, format_lr, letter_of, paint
from clfctl.display.stretches import stretch_line
from clfctl.schedules import Cosine, Plateau, Step, Warmup, sample_curve

COSINE = sample_curve(Warmup(Cosine(28), 2), 1e-3, 30)
STEP = sample_curve(Warmup(Step(8), 2), 1e-3, 30)
PLATEAU = sample_curve(Plateau(3), 1e-3, 30, [1.0] * 30)
GOLDEN_ONE = """\
0.001 ┤  ⡏⠉⠉⠙⠒⠲⢤⣀⣀⡀
      │ ⢰⠁        ⠉⠓⣆⡀
5e-04 ┤ ⡜            ⠉⠓⠦⢤⣀
      │ ⡇                ⠘⠲⢤⣀
      │⢸                    ⠈⠙⠤⣄⡀
    0 ┤⡎                        ⠉⠉⠓⠦⠤⢤⣀⣀
      └┬──────────┬─────────┬──────────┬
       0          10        20 30 epochs
       ├┤├────────── cosine ───────────┤
""".splitlines()
GOLDEN_THREE = """\
 0.001 ┤⠉⠉⡹⠋⠉⠉⠉⠉⢹⠉⠉⠉⠛⠛⠛⠛⠛⡗⠒A⠤⠤⢄⣀⣀⣀
       │ ⡸⠁     ⠈⠉⠉⠉⠉⠉⠉⢹ ⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠛⠛⡧⢤⣀⡀
       │⢠⠃             ⠘⠒⠒⠒⠒⠒⠒⡆        ⠓⠒⠒⠚⠛⠓⠒⠶⢶⠒⠒⠒⠒⢲
 1e-04 ┤⢸                     ⠘⠒⠒⠒⠒⠒⠒⡆         ⠈⠉⠧⠤⡄⠘⠒⠒⠒⠒B⠒⠒
       │⡜                            ⠓⠒⠒⠒⠒⠒⠒⡆      ⠉⢹⣀⣀
       │⡇                                   ⠧⠤⠤C⠤⠤⠤⡄  ⠸⠤⡄
       │⡇                                          ⠧⠤⠤⠤⠤⣧⣤
 1e-05 ┤⡇                                                ⢸⠦⠤
       │⡇                                                 ⡇
≤2e-06 ┤⡇                                                 ⠉⠉
       └┬───────┬────────┬────────┬───────┬────────┬───────┬
        0       5        10       15      20       30 epochs
""".splitlines()
GOLDEN_COLOR = [
    "1 \x1b[2m┤\x1b[0m    \x1b[38;5;27m⢀⡠⠤⠒⠉\x1b[0m",
    "0 \x1b[2m┤\x1b[0m\x1b[38;5;27m⣀⠤⠒⠊⠁\x1b[0m",
    "  \x1b[2m└┬────────\x1b[0m",
    "   0       4\x1b[0m",
]
SGR = re.compile(r"\x1b\[[0-9;]*m")

rates = st.floats() | st.floats(0, 1) | st.sampled_from([0.0, 1e-3, 5e-324, 1.7e308])
many_series = st.lists(st.lists(st.tuples(st.floats(0, 100), rates), max_size=20), max_size=30)
many_stretches = st.lists(
    st.builds(Stretch, st.text("abcdefgh ", max_size=12), st.floats(-5, 105), st.floats()), max_size=8
)
widths, heights = st.integers(0, 120), st.integers(0, 24)


def test_warmup_and_cosine_exactly() -> None:
    assert draw_curve([COSINE], 40, 9, stretches=[Stretch("warmup", 0, 2), Stretch("cosine", 2, 30)]) == GOLDEN_ONE


def test_three_schedules_on_a_log_axis_exactly() -> None:
    assert draw_curve([COSINE, STEP, PLATEAU], 60, 12, log=True, letters=True) == GOLDEN_THREE


def test_a_straight_line_in_colour_exactly() -> None:
    assert draw_curve([[(0, 0), (4, 1)]], 12, 4, color=True, x_label="") == GOLDEN_COLOR


@given(many_series, widths, heights, st.booleans(), st.booleans(), many_stretches)
def test_every_drawing_keeps_to_its_width_and_to_plain_text(
    series: list[list[tuple[float, float]]], width: int, height: int, log: bool, letters: bool, stretches: list[Stretch]
) -> None:
    plain = draw_curve(series, width, height, log=log, letters=letters, stretches=stretches, marker=3.0)
    assert len(plain) <= height
    assert all(len(line) <= width and "\x1b" not in line and line == line.rstrip() for line in plain)
    colored = draw_curve(series, width, height, log=log, letters=letters, stretches=stretches, marker=3.0, color=True)
    assert all(line.endswith("\x1b[0m") for line in colored)
    assert [SGR.sub("", line) for line in colored] == plain


def test_colours_do_not_run_into_the_next_piece() -> None:
    for line in draw_curve([COSINE, STEP], 60, 12, color=True, letters=True):
        assert re.fullmatch(r"(\x1b\[(2|1|(1;)?38;5;\d+)m[^\x1b]+\x1b\[0m|[^\x1b]+)*(\x1b\[0m)?", line)


@pytest.mark.parametrize("n", [1, 2, 3, 6, 26, 30])
@pytest.mark.parametrize("log", [False, True])
def test_each_curve_has_its_letter_once(n: int, log: bool) -> None:
    series = [sample_curve(Warmup(Cosine(3 + 2 * i), 1), 1e-3 * (1 + i), 40) for i in range(n)]
    text = "\n".join(draw_curve(series, 100, 20, letters=True, log=log, x_label=""))
    assert sorted(re.findall("[A-Z]", text)) == [letter_of(i) for i in range(min(n, 26))]


def test_curves_that_lie_on_each_other_have_their_letters_and_both_colours() -> None:
    lines = draw_curve([COSINE, COSINE], 60, 12, letters=True, color=True)
    assert sorted(re.findall("[AB]", "\n".join(lines))) == ["A", "B"]
    assert all("\n".join(lines).count(paint("", i).removesuffix("\x1b[0m")) > 5 for i in range(2))


@given(st.integers(2, 6), st.integers(20, 120), st.integers(8, 24))
def test_a_letter_stands_on_its_own_curve(n: int, width: int, height: int) -> None:
    series = [[(0.0, i + 1.0), (10.0, i + 1.0)] for i in range(n)]
    lines = draw_curve(series, width, height, letters=True)
    for i in range(n):
        row = next(k for k, line in enumerate(lines) if letter_of(i) in line)
        alone = draw_curve([series[i], [(0.0, n)]], width, height)
        assert alone[row].count("\u2800") == 0
        assert sum(0x2800 < ord(character) < 0x2900 for character in alone[row]) > 5


def test_a_letter_keeps_off_other_curves_where_it_can() -> None:
    falling, rising = [(0.0, 1.0), (10.0, 0.0)], [(0.0, 0.0), (10.0, 1.0)]
    lines = draw_curve([falling, rising], 60, 14, letters=True)
    places = {each: (row, line.index(each)) for row, line in enumerate(lines) for each in "AB" if each in line}
    crossing = 6 + (60 - 6) / 2
    assert all(abs(column - crossing) >= 10 for _, column in places.values())


def test_a_curve_of_one_point_has_a_letter_and_one_without_points_has_none() -> None:
    lines = draw_curve([[(1.0, 1.0)], [], [(0.0, math.nan)]], 30, 6, letters=True, x_label="")
    assert re.findall("[A-Z]", "\n".join(lines)) == ["A"]


def test_letters_and_paint_for_a_legend() -> None:
    assert [letter_of(i) for i in (0, 1, 25, 26)] == ["A", "B", "Z", ""]
    assert SGR.sub("", paint("cosine", 3)) == "cosine"
    assert paint("cosine", 3).endswith("\x1b[0m")
    assert len({paint("x", i) for i in range(6)}) == 6


@pytest.mark.parametrize(
    ("stretches", "line"),
    [
        ([Stretch("warmup", 0, 8), Stretch("cosine", 8, 40)], "├warmup┤├─────────── cosine ───────────┤"),
        ([Stretch("warmup", 0, 10), Stretch("cosine", 10, 40)], "├─warmup─┤├────────── cosine ──────────┤"),
        ([Stretch("warmup", 0, 7), Stretch("cosine", 7, 40)], "├warmup├─────────── cosine ────────────┤"),
        ([Stretch("warmup", 0, 5), Stretch("cosine", 5, 40)], "├war…├──────────── cosine ─────────────┤"),
        ([Stretch("warmup", 0, 3), Stretch("cosine", 3, 40)], "├─┤├───────────── cosine ──────────────┤"),
        ([Stretch("warmup", 0, 0.2), Stretch("cosine", 0.2, 40)], "│├────────────── cosine ───────────────┤"),
        (
            [Stretch("a", 0, 20), Stretch("b", 20, 20.1), Stretch("c", 20.1, 40)],
            "├─────── a ────────┤│├─────── c ───────┤",
        ),
        ([Stretch("a", 0, 40), Stretch("end", 39.95, 40)], "├───────────────── a ─────────────────┤│"),
        ([Stretch("late", 30, 50), Stretch("never", 50, 60)], "                             ├─ late ──┤"),
        ([Stretch("b", 20, math.inf), Stretch("a", 0, 10)], "├── a ───┤          ├─────── b ────────┤"),
        ([Stretch("nan", math.nan, 10)], ""),
        ([], ""),
    ],
)
def test_parts_are_labelled_under_their_place(stretches: list[Stretch], line: str) -> None:
    assert stretch_line(stretches, Axis(0, 40), 40).rstrip() == line


def test_more_parts_than_columns_are_marks() -> None:
    assert stretch_line([Stretch("part", i, i + 1) for i in range(50)], Axis(0, 50), 8) == "│" * 8


@given(many_stretches, st.integers(1, 120))
def test_parts_never_leave_the_line(stretches: list[Stretch], width: int) -> None:
    assert len(stretch_line(stretches, Axis(0, 100), width)) == width


def test_parts_are_aligned_with_the_ticks() -> None:
    *_, ruler, numbers, parts = draw_curve(
        [COSINE], 80, 12, stretches=[Stretch("cosine", 0, 15), Stretch("step", 15, 30)]
    )
    assert len(numbers) == len(ruler) == len(parts) == 80
    assert parts[numbers.index("15")] == parts[numbers.index("0")] == "├"
    assert ruler[numbers.index("15")] == ruler[-1] == "┬"
    assert parts[-1] == "┤"


@pytest.mark.parametrize(
    "values", [[0, 1e-3], [0, 0.37], [1e-6, 1e-3], [3.1e-6, 0.04], [0.2, 0.5], [0, 1e-5, 1e-3], [0, 3e-9, 7.0]]
)
@pytest.mark.parametrize("log", [False, True])
def test_labels_stand_in_the_rows_of_their_values(values: list[float], log: bool) -> None:
    axis = y_axis(values, log)
    for n_rows in range(5, 41):
        labels = y_labels(axis, n_rows)
        places = [row for row, label in enumerate(labels) if label]
        assert (places[0], places[-1]) == (0, n_rows - 1)
        assert min(below - above for above, below in itertools.pairwise(places)) >= 2
        for row in places[1:-1]:
            assert n_rows - 1 - axis.place(float(labels[row]), 4 * n_rows) // 4 == row


@pytest.mark.parametrize(
    ("values", "log", "n_rows", "labels"),
    [
        ([0, 1e-3], False, 5, ["0.001", "", "5e-04", "", "0"]),
        ([0, 1e-3], False, 4, ["0.001", "", "", "0"]),
        ([0, 1e-3], False, 7, ["0.001", "", "", "5e-04", "", "", "0"]),
        ([0, 1e-3], False, 8, ["0.001", "", "", "5e-04", "", "", "", "0"]),
        ([1e-5, 1e-3], True, 7, ["0.001", "", "", "1e-04", "", "", "1e-05"]),
        ([0, 3e-5, 1e-3], True, 5, ["0.001", "", "1e-04", "", "≤2e-05"]),
        ([0, 1e-3, 1e-3], True, 4, ["0.001", "", "", "≤1e-04"]),
        ([1e-3], True, 4, ["0.001", "", "", "1e-04"]),
        ([1e-30, 1e-3], True, 4, ["0.001", "", "", "≤1e-11"]),
    ],
)
def test_labels_are_round_numbers(values: list[float], log: bool, n_rows: int, labels: list[str]) -> None:
    assert y_labels(y_axis(values, log), n_rows) == labels


def test_a_long_curve_is_drawn_in_milliseconds() -> None:
    points = [(i / 100, 1e-3 * math.cos(i / 700) ** 2) for i in range(2000)]
    times_s = []
    for _ in range(10):
        start_s = time.perf_counter()
        draw_curve([points], 80, 14)
        times_s.append(time.perf_counter() - start_s)
    assert min(times_s) < 0.05  # 3 ms; the rest is for a busy machine


def test_curves_import_nothing_heavy() -> None:
    code = "import sys, clfctl.display.curve; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"rich", "numpy", "torch", "matplotlib", "pydantic", "typer"} & set(loaded)


def test_the_name_of_a_rate_is_still_found_beside_the_curve() -> None:
    assert format_lr(1e-3) == "0.001"


def test_numbers_beside_a_narrow_axis_are_told_apart() -> None:
    """Losses of a run that learns little: each label was 2.3."""
    losses = [(1.0, 2.3027), (2.0, 2.2989), (3.0, 2.2982)]
    lines = draw_curve([losses], 60, 11, from_zero=False)
    labels = [line.split("┤")[0].strip() for line in lines if "┤" in line]
    assert labels[0] == "2.303"
    assert labels[-1] == "2.298"
    assert len({*labels}) == len(labels) >= 3
    assert [*map(float, labels)] == sorted(map(float, labels), reverse=True)
    assert len({len(line.split("│")[0]) for line in lines if "│" in line}) == 1
