"""Sections of bench-data: no cell is cut at 80 columns or more, bars are in proportion, text is aligned."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from clfctl.bench.advice import advise
from clfctl.bench.plot import save_bench_plot
from clfctl.bench.print import _bar, plain_lines, print_on_terminal, print_section
from clfctl.bench.rows import COPY, LoaderRow, Rates, Stage
from clfctl.bench.sections import (
    Section,
    advice_section,
    files_section,
    loader_section,
    model_section,
    rivals_section,
    stages_section,
)
from clfctl.bench.windows import Sample
from clfctl.data.sources.base import ArrayImages, Part
from clfctl.display.output import Output
from clfctl.settings.groups import OutputSettings

RATES = Rates((11_700.0, 12_345.0, 13_900.0, 12_000.0, 12_500.0))
STAGES = [
    Stage(name, seconds, seconds / 1000e-6, Rates((1 / seconds, 1.1 / seconds, 0.9 / seconds)))
    for name, seconds in [("read", 80e-6), ("decode, crop and resize", 700e-6), ("augment", 20e-6), (COPY, 200e-6)]
]
ROWS = [
    LoaderRow(workers, cache, Rates(tuple(factor * each * (1 + workers) for each in (1000.0, 1100.0, 1050.0))), 10**9)
    for cache, factor in (("none", 1), ("disk", 4))
    for workers in range(4)
]
SAMPLE = Sample(Part(ArrayImages("", np.zeros((1, 8, 8), np.uint8), [0]), [0]), 512, 1640, 15_000_000, 0.05)
SECTIONS = {
    "files": files_section("photos/", SAMPLE, "cpu (2 threads)", 3.2),
    "stages": stages_section(STAGES),
    "loader": loader_section(ROWS, 2, 3),
    "model": model_section("efficientnet_b0", Rates((8.0, 8.2)), ROWS[1:3], ROWS[3]),
    "rivals": rivals_section({"clfctl": RATES, "clfctl --cache disk": RATES, "torchvision": RATES}, ["torchvision"], 2),
    "advice": advice_section(advise(ROWS[:4], {}, None)),  # type: ignore[arg-type]  # without a cache nobody asks
}


def on_terminal(section: Section, width: int) -> list[str]:
    file = io.StringIO()
    print_on_terminal(section, Console(file=file, width=width, force_terminal=True, color_system=None))
    return file.getvalue().splitlines()


@pytest.mark.parametrize("width", [80, 100, 200])
@pytest.mark.parametrize("name", SECTIONS)
def test_every_cell_is_whole(name: str, width: int) -> None:
    section = SECTIONS[name]
    lines = on_terminal(section, width)
    text = "\n".join(lines)
    assert "…" not in text
    assert all(len(line) <= width for line in lines)
    for row in section.rows:
        assert any(all(cell in line for cell in row) for line in lines), row
    assert all(word in text for note in section.notes for word in note.split())


@pytest.mark.parametrize("width", [80, 200])
def test_the_longest_bar_is_that_of_the_largest(width: int) -> None:
    lines = [line for line in on_terminal(SECTIONS["loader"], width) if "█" in line]
    lengths = [line.count("█") for line in lines]
    assert len(lengths) == 8
    assert lengths == sorted(lengths[:4]) + sorted(lengths[4:])
    assert max(lengths) == lengths[-1] > 2 * lengths[3]
    assert lengths[-1] >= (20 if width == 80 else 50)


@pytest.mark.parametrize(
    ("share", "bar"), [(0, ""), (1, "██████"), (0.5, "███"), (1 / 48, "▏"), (7 / 48, "▉"), (9 / 48, "█▏")]
)
def test_bars_end_at_an_eighth_of_a_column(share: float, bar: str) -> None:
    assert _bar(share, 6) == bar


def test_text_is_aligned() -> None:
    title, header, *rows = plain_lines(SECTIONS["loader"])[:6]
    assert title == "The loader of train, its batches only counted (2 cores)"
    assert len({len(line) for line in (header, *rows)}) == 1
    assert plain_lines(SECTIONS["files"]) == list(SECTIONS["files"].notes)


@pytest.mark.parametrize("name", SECTIONS)
def test_json_has_every_row_and_no_other_text(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    section = SECTIONS[name]
    print_section(section, Output(OutputSettings(json_lines=True)))
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert records == list(section.records)
    more = {"stages": -1, "loader": 1}.get(name, 0)  # the sum is none, and what auto stands for is one
    assert len(records) == max(1, len(section.rows) + more)


def test_worker_s_limit_leaves_the_copy_out() -> None:
    assert SECTIONS["stages"].notes == (
        "What limits a worker: decode, crop and resize, 88 % of its time (copy to device is not its work).",
    )


def test_the_chart_shows_stages_caches_and_lines(tmp_path: Path) -> None:
    lines = {"efficientnet_b0": Rates((8.0,)), "torchvision": RATES}
    save_bench_plot(tmp_path / "a.svg", "photos/", STAGES, ROWS, lines)
    text = (tmp_path / "a.svg").read_text()
    assert text.count("<svg") == 1
    save_bench_plot(tmp_path / "a.png", "photos/", STAGES, ROWS, lines)
    with Image.open(tmp_path / "a.png") as image:
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)
    for color in ("#0072B2", "#D55E00", "#CC79A7", "#E69F00"):  # stages and no cache, cache, and each line
        wanted = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
        assert (pixels == wanted).all(axis=1).sum() > 100, color
