"""clfctl lr-preview: every form of it, from the terminal's curve to files and warnings."""

import csv
import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import Result

from clfctl.schedules import KINDS
from clfctl.schedules.following import Following
from tests.commands.previews import rates, records
from tests.conftest import SMALL

Cli = Callable[..., Result]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["step", "cosine"])
@pytest.mark.parametrize("warmup", ["0", "1"])
def test_preview_is_what_training_records(kind: str, warmup: str, cli: Cli, photos: Path) -> None:
    words = ["--epochs", "3", "--warmup", warmup, "--lr", "0.001", *(["--step-size", "1"] if kind == "step" else [])]
    preview = cli("lr-preview", kind, *words, "--json")
    trained = cli("train", "--data", str(photos), *SMALL, *words, "--scheduler", kind, "--json")
    assert rates(preview) == rates(trained)


def test_cosine_is_shown_to_the_end_of_its_t_max(cli: Cli) -> None:
    result = cli("lr-preview", "cosine", "--t-max", "50")
    assert result.exit_code == 0
    assert "cosine: base learning rate 0.001, 50 epochs" in result.stdout
    assert re.search(r"[\u2801-\u28ff]", result.stdout)
    assert all(len(line) <= 80 for line in result.stdout.splitlines())
    assert "\x1b" not in result.stdout
    # Warmup is inside of t_max, or besides it.
    assert len(records(cli("lr-preview", "cosine", "--t-max", "50", "--warmup", "2", "--json"))) == 50
    outside = cli("lr-preview", "cosine", "--t-max", "50", "--warmup", "2", "--no-warmup-inside", "--json")
    assert len(records(outside)) == 52


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_shown(kind: str, cli: Cli) -> None:
    result = cli("lr-preview", kind, "--warmup", "2", "--epochs", "30")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"{'A  ' if issubclass(KINDS[kind], Following) else ''}{kind}")
    assert "├w" in result.stdout


def test_warmup_ends_at_the_base(cli: Cli) -> None:
    first, second, *_ = records(cli("lr-preview", "step", "--warmup", "2", "--lr", "1", "--json"))
    assert (first["lr_start"], second["lr_start"]) == (0, 0.5)
    # Of their last batches: an epoch of digits, the default data, has 45.
    assert [each["lr"] for each in (first, second)] == pytest.approx([44 / 90, 89 / 90])


def test_several_are_overlaid_with_a_legend(cli: Cli) -> None:
    result = cli("lr-preview", "cosine", "step", "wsd(decay=0.2)", "--epochs", "30", "--warmup", "2")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert [line[:5] for line in lines[:3]] == ["A  co", "B  st", "C  ws"]
    for letter in "ABC":
        assert sum(letter in line for line in lines[3:17]) == 1
    assert any(line.split() == ["epoch", "A", "at", "end", "B", "at", "end", "C", "at", "end"] for line in lines)


def test_table_has_a_row_an_epoch_and_plot_joins_equal_ones(cli: Cli) -> None:
    words = ("lr-preview", "step", "--step-size", "5", "--epochs", "25", "--lr", "1e-4")
    table = cli(*words, "--format", "table").stdout.splitlines()
    assert table[0].split() == ["epoch", "LR", "at", "start", "LR", "at", "end", "change"]
    assert [line.split()[0] for line in table[1:]] == [str(epoch) for epoch in range(1, 26)]
    assert table[6].split() == ["6", "5e-05", "5e-05", "-50", "%"]
    rows = cli(*words).stdout.splitlines()[-5:]
    assert [row.split()[0] for row in rows] == ["1–5", "6–10", "11–15", "16–20", "21–25"]


def test_csv_and_json_of_every_batch(cli: Cli) -> None:
    words = (
        "lr-preview",
        "linear:1 > cosine",
        "step",
        "--epochs",
        "3",
        "--steps-per-epoch",
        "4",
        "--warmup",
        "2b",
        "--lr=1e-4",
    )
    rows = list(csv.DictReader(io.StringIO(cli(*words, "--format", "csv").stdout)))
    assert [row["schedule"] for row in rows] == ["linear:1 > cosine"] * 12 + ["step"] * 12
    objects = records(cli(*words, "--format", "json"))
    assert [(int(row["epoch"]), int(row["batch"]), float(row["lr"])) for row in rows] == [
        (each["epoch"], each["batch"], each["lr"]) for each in objects
    ]
    assert [each["lr"] for each in objects[12:15]] == [0, 5e-5, 1e-4]


@pytest.mark.parametrize("name", ["a.png", "a.svg", "a.csv", "a.json"])
def test_output_files(name: str, cli: Cli) -> None:
    result = cli("lr-preview", "cosine", "plateau", "--log", "--output", name)
    assert (result.exit_code, result.stdout) == (0, "")
    assert f"Wrote {name}" in result.stderr
    if name == "a.png":
        with Image.open(name) as image:
            assert image.width >= 720
    else:
        start = {"a.svg": "<?xml", "a.csv": "schedule,epoch,lr_start,lr_end", "a.json": '{"schedule": "cosine"'}
        assert Path(name).read_text().startswith(start[name])


def test_plateau_without_metrics_is_an_envelope(cli: Cli) -> None:
    found = records(cli("lr-preview", "plateau", "--epochs", "7", "--patience", "1", "--lr", "1", "--json"))
    never = [each["lr"] for each in found if each["schedule"] == "plateau, never improving"]
    always = [each["lr"] for each in found if each["schedule"] == "plateau, improving every epoch"]
    assert never == [1, 1, 1, 0.5, 0.5, 0.25, 0.25]
    assert always == [1] * 7


IMPROVEMENTS = [
    ("--monitor", "val_top1"),
    ("--threshold", "0.5"),
    ("--threshold", "3", "--threshold-mode", "abs"),
    ("--plateau-smooth", "0.9"),
]


@pytest.mark.parametrize("options", IMPROVEMENTS)
def test_improving_every_epoch_improves_by_any_threshold(options: tuple[str, ...], cli: Cli) -> None:
    result = cli("lr-preview", "plateau", "--patience", "0", "--epochs", "30", *options, "--json")
    always = [each["lr"] for each in records(result) if "improving every" in str(each["schedule"])]
    assert always == [1e-3] * 30


def test_cooldown_is_shown_as_a_branch(cli: Cli) -> None:
    found = records(cli("lr-preview", "constant", "--early-stopping", "3", "--cooldown", "2", "--json"))
    never = [each for each in found if each["schedule"] == "constant, never improving"]
    assert [each["epoch"] for each in never] == [1, 2, 3, 4, 5, 6]
    assert never[-1]["lr"] < 1e-6  # of its last batch
    assert sum(each["schedule"] == "constant, improving every epoch" for each in found) == 8


def test_warnings_are_printed_and_strict_refuses(cli: Cli, photos: Path) -> None:
    words = ("lr-preview", "cosine", "step", "--t-max", "10", "--epochs", "30")
    warned = cli(*words)
    assert warned.exit_code == 0
    assert (
        "Warning: cosine: cosine reaches its lowest rate after 10 of 30 epochs: the learning rate climbs"
        in warned.stderr
    )
    strict = cli(*words, "--strict")
    assert (strict.exit_code, strict.stdout) == (2, "")
    assert "--strict: cosine reaches" in strict.stderr
    small = ("train", "--data", str(photos), *SMALL, "--epochs", "1", "--warmup", "2")
    trained = cli(*small)
    assert trained.exit_code == 0
    assert "Warning: warmup takes 2 epochs and training has 1" in trained.stderr
    assert cli(*small, "--strict").exit_code == 2
    assert not Path("runs/custom-2").exists()


def test_list_names_every_kind_with_limits_and_defaults(cli: Cli) -> None:
    text = cli("lr-preview", "--list").stdout
    for kind in KINDS:
        assert f"\n{kind}: " in "\n" + text
    assert "threshold = 0.0001: smallest improvement that counts; a number at least 0" in " ".join(text.split())
    assert [each["name"] for each in records(cli("lr-preview", "--list", "--json"))] == list(KINDS)


WRONG = [
    (("",), 2, "a schedule is missing"),
    (("cosine", "--scheduler", "step"), 2, "--scheduler: 'cosine' is given as a schedule already"),
    (("cosine:10", "--eta-min", "1e-6"), 2, "cosine(eta_min=…)"),
    (("cosin",), 2, "did you mean cosine"),
    (("gone/run",), 2, "gone/run is not a run folder"),
    (("cosine", "--format", "xml"), 2, "--format: 'xml' is not allowed; it must be one of plot, table, csv, json"),
    (("cosine", "--output", "a.txt"), 2, "--output: cannot tell the format from a.txt"),
    (("cosine", "--output", "gone/a.csv"), 1, "No such file or directory"),
    (("cosine", "--output", "gone/a.png"), 1, "No such file or directory"),
    (("step", "--warmup", "500b", "--data", "mnist"), 2, "add --steps-per-epoch"),
    (("torch:StepLR",), 2, "torch:StepLR cannot be made: missing 1 required positional argument"),
    (("torch:StepLr(step_size=2)",), 2, "did you mean StepLR"),
    (("timm: --epochs 99999999999",), 2, "--epochs: 99999999999 (from the text 'timm: --epochs 99999999999') is not"),
    (
        ("plateau(every=1b)", "--steps-per-epoch", "1000000"),
        2,
        "plateau looks 8,000,000 times in 8 epochs, and at most",
    ),
    (
        ("cosine", "--warmup", "auto:stable(window=1b)", "--steps-per-epoch", "1000000", "--epochs", "10"),
        2,
        "the warmup looks 2,000,000 times in 2 epochs, and at most 100,000 are allowed",
    ),
    (("cosine", "--epochs", "0"), 2, "--epochs: '0' (from the command line) is not allowed"),
]


@pytest.mark.parametrize(("words", "code", "message"), WRONG)
def test_wrong_input_is_one_sentence(words: tuple[str, ...], code: int, message: str, cli: Cli) -> None:
    result = cli("lr-preview", *words)
    assert result.exit_code == code, result.output
    assert message in result.stderr
    assert "Traceback" not in result.output


def test_quiet_prints_nothing(cli: Cli) -> None:
    assert cli("lr-preview", "cosine", "--quiet").output == ""
