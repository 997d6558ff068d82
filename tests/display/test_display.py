"""What is seen: the table at 80 and 200 columns, plain lines, JSON lines, curves, plots."""

import io
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console

from clfctl.display.curve import draw_curve, format_lr
from clfctl.display.epochs import format_time, plain_line
from clfctl.display.live import LiveTable, epoch_table
from clfctl.display.output import Output
from clfctl.display.plots import history_figures, save_plots
from clfctl.display.watchers import EpochLines, Plots, watchers_for
from clfctl.engine.progress import Progress
from clfctl.engine.watching import Training
from clfctl.planning.plan import Plan
from clfctl.runs.folder import RunFolder
from clfctl.runs.history import EpochResult
from clfctl.schedules import Cosine, Warmup, sample_curve
from clfctl.settings.groups import OutputSettings
from clfctl.storage.json_lines import dump_json

CURVE = sample_curve(Warmup(Cosine(9), 1), 0.001, 10, per_epoch=20)


def result(epoch: int = 3, **values: object) -> EpochResult:
    usual = {
        "lr_start": 1e-4, "lr": 1.2345e-4, "train_loss": 0.12345, "val_loss": 0.2, "val_top1": 0.98765,
        "is_best": True, "images_per_s": 1234.5, "time_s": 61.0,
    }  # fmt: skip
    return EpochResult.from_record(usual | {"epoch": epoch} | values)


def training(history: Sequence[EpochResult] = (), progress: Progress | None = None) -> Training:
    schedule = Warmup(Cosine(9), 1)
    plan = Plan(schedule, 0.001, 10, "min", 0, 0, ())
    run = RunFolder(Path("run"))
    return Training(run, plan, tuple(history), progress or Progress(), lambda: CURVE)


def shown(width: int, height: int = 40, n_results: int = 3) -> list[str]:
    console = Console(width=width, height=height, file=io.StringIO(), force_terminal=True, color_system=None)
    live = LiveTable(console)
    live.watch(training(progress=Progress(epoch=3, batch=5, n_batches=45, lr=5e-4, images=160)))
    for epoch in range(n_results):
        live.epoch(result(epoch + 1))
    with console.capture() as capture:
        console.print(live.view())
    return capture.get().splitlines()


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_live_view_fits_the_terminal_and_cuts_nothing(width: int) -> None:
    lines = shown(width)
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    for word in ("epoch", "train loss", "val acc", "98.77 %", "★", "1:01 min", "5/45", "▲", "learning rate: 5e-04"):
        assert word in text
    assert "…" not in text


@pytest.mark.parametrize("height", [8, 15, 24, 60])
@pytest.mark.parametrize("width", [80, 200])
def test_live_view_of_a_long_training_keeps_to_the_height(width: int, height: int) -> None:
    lines = shown(width, height, n_results=100)
    assert len(lines) < height
    assert "100/10" in "\n".join(lines)


@pytest.mark.parametrize("width", [30, 40, 55, 60, 70, 80])
def test_a_narrow_table_leaves_columns_out_and_cuts_none(width: int) -> None:
    console = Console(width=width, file=io.StringIO())
    with console.capture() as capture:
        console.print(epoch_table([result(epoch) for epoch in (9, 10)], 10, width))
    text = capture.get()
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    assert all(word in text for word in ("10/10", "1.23e-04", "98.77 %"))
    assert ("images/s" in text) == (width >= 80)


def test_wide_table_shows_where_the_learning_rate_began() -> None:
    console = Console(width=200, file=io.StringIO())
    with console.capture() as capture:
        console.print(epoch_table([result()], 10, 200))
    assert "1e-04 → 1.23e-04" in capture.get()


def test_leaving_the_live_display_leaves_the_table() -> None:
    out = io.StringIO()
    console = Console(width=80, file=out, force_terminal=True)
    live = LiveTable(console)
    live.start(training([result(1)]))
    live.epoch(result(2))
    live.end(None)
    left = out.getvalue().split("\x1b[?25h")[-1]
    assert "1/10" in left
    assert "2/10" in left


def print_epoch(output: OutputSettings, epoch: EpochResult) -> None:
    lines, plots = watchers_for(Output(output))
    assert isinstance(lines, EpochLines)
    assert isinstance(plots, Plots)
    lines.start(training())
    lines.epoch(epoch)
    lines.end(None)


def test_plain_line_is_ascii_without_control_codes(capsys: pytest.CaptureFixture[str]) -> None:
    print_epoch(OutputSettings(), result(val_loss=math.nan, val_top1=math.nan))
    line = capsys.readouterr().out
    assert line.isascii()
    assert line.startswith("epoch 3/10  lr 1.23e-04  train_loss 0.1235  val_loss -  val_top1 -  best")
    assert "\x1b" not in line


def test_json_lines_are_strict_json(capsys: pytest.CaptureFixture[str]) -> None:
    print_epoch(OutputSettings(json_lines=True), result(val_loss=math.nan))
    record = json.loads(capsys.readouterr().out, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    assert record["val_loss"] == "nan"
    assert dump_json(EpochResult.from_record(record).as_record()) == dump_json(record)


def test_quiet_shows_no_epochs_not_even_as_json() -> None:
    assert [type(each) for each in watchers_for(Output(OutputSettings(quiet=True, json_lines=True)))] == [Plots]


@given(st.floats(allow_nan=True))
def test_a_learning_rate_takes_eight_columns_at_most(lr: float) -> None:
    assert len(format_lr(lr)) <= 8 or abs(lr) >= 1e100 or lr < 0


@pytest.mark.parametrize(
    ("lr", "text"), [(0, "0"), (1e-4, "1e-04"), (1.5e-4, "1.5e-04"), (0.1, "0.1"), (0.000999999, "0.001"), (1, "1")]
)
def test_learning_rates_are_written_short(lr: float, text: str) -> None:
    assert format_lr(lr) == text


@pytest.mark.parametrize(
    ("time_s", "text"), [(0.04, "0.0 s"), (59.96, "1:00 min"), (3599.6, "1:00:00 h"), (7322, "2:02:02 h")]
)
def test_times_are_written_short(time_s: float, text: str) -> None:
    assert format_time(time_s) == text


@given(
    st.lists(st.lists(st.tuples(st.floats(0, 100), st.floats()), max_size=20), max_size=3),
    st.integers(0, 90),
    st.integers(0, 20),
    st.booleans(),
)
def test_any_curve_fits_its_frame(series: list[list[tuple[float, float]]], width: int, height: int, log: bool) -> None:
    lines = draw_curve(series, width, height, log=log, marker=3.0)
    assert len(lines) <= height
    assert all(len(line) <= width for line in lines)


def test_marker_is_under_its_place() -> None:
    lines = draw_curve([CURVE], 60, 10, marker=5.0)
    ruler = next(line for line in lines if "▲" in line)
    assert abs(ruler.index("▲") - (ruler.index("└") + 1 + (59 - ruler.index("└")) / 2)) <= 1


def test_plain_line_of_a_diverged_epoch_shows_it() -> None:
    assert "val_loss nan" in plain_line(result(val_loss=math.nan), 5)


def test_plots_are_images(tmp_path: Path) -> None:
    history = [result(epoch, val_loss=math.nan if epoch == 2 else 0.1 * epoch) for epoch in range(1, 5)]
    paths = save_plots(history, tmp_path / "plots")
    assert [path.name for path in paths] == ["loss.png", "accuracy.png", "lr.png"]
    for path in paths:
        with Image.open(path) as image:
            colors = image.convert("RGB").getcolors(1_000_000)
            assert image.size == (1080, 660)
            assert colors is not None
            assert len(colors) > 20


def test_what_a_schedule_moved_beside_the_rate_is_drawn_too(tmp_path: Path) -> None:
    moved = {"momentum_start": 0.95, "momentum": 0.85, "weight_decay_start": 0.1, "weight_decay": 0.05}
    # The first epoch was trained before a schedule moved anything.
    history = [result(1), *(replace(result(epoch), moved=moved) for epoch in (2, 3))]
    figures = dict(history_figures(history, (4, 3)))
    assert [*figures] == ["loss", "accuracy", "lr", "momentum", "weight_decay"]
    (line,) = figures["momentum"].axes[0].lines
    np.testing.assert_equal(line.get_ydata(), [math.nan, math.nan, 0.95, 0.85, 0.95, 0.85])
    assert figures["weight_decay"].axes[0].get_title() == "Weight decay"
    assert [path.name for path in save_plots(history[:1], tmp_path)] == ["loss.png", "accuracy.png", "lr.png"]


@pytest.mark.parametrize("width", [60, 80, 200])
def test_progress_line_leaves_room_for_the_echo_of_ctrl_c(width: int) -> None:
    console = Console(width=width, height=40, file=io.StringIO(), force_terminal=True)
    progress = Progress(epoch=1, batch=9, n_batches=12, images=99)
    display = LiveTable(console)
    display.watch(training([result(1)], progress))
    # As Live prints it: nothing may follow, not even blanks, or `^C` wraps and a line too few is cleared.
    *_, last = console.render_lines(display.view(), pad=False)
    assert len("".join(segment.text for segment in last)) <= width - 3
