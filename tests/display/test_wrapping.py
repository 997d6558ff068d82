"""Notes and errors on a narrow terminal: no word is divided, and a command can be copied."""

import io
import textwrap

import pytest

from clfctl.display.output import Output
from clfctl.display.wrapping import in_width, width_of
from clfctl.settings.groups import OutputSettings

LONG = "Note   the best checkpoint is that of epoch 3 until a later one is better-by-its-criterion, which is val_top1."


@pytest.mark.parametrize("width", [20, 40, 79, 80])
def test_lines_are_broken_between_words(width: int) -> None:
    lines = in_width(LONG, width).split("\n")
    assert " ".join(map(str.strip, lines)).split() == LONG.split()
    longest = max(map(len, LONG.split()))
    assert max(map(len, lines)) <= max(width, longest + 2)
    assert all(line.startswith("  ") for line in lines[1:])


def test_what_fits_and_what_goes_to_no_terminal_stays() -> None:
    assert in_width(LONG, 200) == in_width(LONG, 0) == LONG
    assert in_width("│ a table   of two │", 20) == "│ a table   of two │"
    assert width_of(io.StringIO()) == 0


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("kind", [Terminal, io.StringIO])
def test_results_are_broken_on_a_terminal_alone(kind: type[io.StringIO], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr("sys.stdout", shown := kind())
    Output(OutputSettings()).result(json=list, plain=lambda: [LONG])
    Output(OutputSettings(json_lines=True)).result(json=lambda: [LONG])
    assert shown.getvalue() == f"{in_width(LONG, 40 if kind is Terminal else 0)}\n{LONG}\n"


def test_a_command_stays_on_one_line() -> None:
    command = "clfctl resume 'runs/a folder with a long name' --epochs 30 --allow-data-change --extend rewarm:0.3"
    text = f"Stopped by SIGINT in epoch 2, after batch 3 of 45; saved.\n  go on with: {command}"
    assert (
        in_width(text, 60) == f"Stopped by SIGINT in epoch 2, after batch 3 of 45; saved.\n  go on with:\n  {command}"
    )
    whole = textwrap.dedent(in_width(f"  go on with: {command}", 40)).splitlines()
    assert whole == ["go on with:", command]
