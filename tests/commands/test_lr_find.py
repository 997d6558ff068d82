"""clfctl lr-find as a user meets it: curves, table, picture, csv and JSON, what is written, and what is refused."""

import csv
import io
import json
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import Result

Cli = Callable[..., Result]
TINY = ("--data", "digits", "--image-size", "8", "--model", "resnet9_small", "--batch-size", "64", "--workers", "0")
SHORT = (*TINY, "--steps", "40", "--repeats", "2", "--start-lr", "1e-6")


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """What the command prints, with everything that it can write."""
    from typer.testing import CliRunner

    from clfctl.cli.app import make_app

    folder = tmp_path_factory.mktemp("lr-find")
    (folder / "c.toml").write_text('# mine\nlr = "auto"  # to be found\nepochs = 3\n', encoding="utf-8")
    words = ["lr-find", *SHORT, "--output", str(folder / "a.png"), "--write", str(folder / "c.toml")]
    result = CliRunner(env={"COLUMNS": "80"}).invoke(make_app("lr-find"), words)
    assert result.exit_code == 0, result.output
    return result


@pytest.mark.slow
def test_it_shows_curves_and_what_they_suggest(shown: Result) -> None:
    lines = shown.stdout.splitlines()
    assert lines[0].startswith("Smoothed loss in 2 sweeps of at most 40 steps, from 1e-06: ")
    assert max(map(len, lines)) <= 80
    assert "▲" in shown.stdout
    assert [line.split()[-2 if line.startswith("▲") else 0] for line in lines if line.startswith("  rate")]
    for name in ("valley", "steepest", "slide", "minimum"):
        assert any(line[2:].startswith(name) for line in lines), name
    assert "Next: clfctl train --lr 0.0" in shown.stderr
    assert not Path("runs").exists()


def test_a_picture_and_a_file_of_settings(shown: Result) -> None:
    wrote = [line.partition("Wrote ")[2] for line in shown.stderr.splitlines() if line.startswith("Wrote ")]
    with Image.open(wrote[0]) as picture:
        assert picture.size[0] > 1000
    path = Path(wrote[1].partition(": ")[0])
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# mine\nlr = 0.0")
    assert "# to be found" in text
    assert f"--lr {tomllib.loads(text)['lr']:g}," in shown.stderr


@pytest.mark.slow
def test_json_and_csv_have_the_same_numbers(cli: Cli) -> None:
    words = (*SHORT[:-4], "--repeats", "1")
    found = json.loads(cli("lr-find", *words, "--json").stdout)
    assert found["trusted"]
    assert set(found["suggestions"]) == {"valley", "steepest", "slide", "minimum"}
    rows = list(csv.DictReader(io.StringIO(cli("lr-find", *words, "--format", "csv").stdout)))
    (sweep,) = found["sweeps"]
    for name in ("lr", "loss", "smoothed"):
        assert [float(row[name]) for row in rows] == sweep[name]
    assert [int(row["step"]) for row in rows] == [*range(len(sweep["lr"]))]


REFUSED: list[tuple[tuple[str, ...], str]] = [
    (("--steps", "5"), "--steps: 5 is not allowed; it must be 25 to 2,000"),
    (("--repeats", "0"), "--repeats: 0 is not allowed; it must be 1 to 100"),
    (("--start-lr", "0"), "--start-lr: 0 is not allowed; it must be a number greater than 0"),
    (("--end-lr", "1e-7"), "--end-lr: 1e-07 is less than ten times 1e-07, at which the sweep starts"),
    (("--take", "vally"), "--take: 'vally' is not allowed; it must be one of valley, steepest, slide, minimum"),
    (("--format", "xml"), "--format: 'xml' is not allowed; it must be one of plot, table, csv, json"),
    (("--output", "a.pdf"), "--output: cannot tell the format from a.pdf"),
    (("--plot", "none/a.png"), "--output: none is not a folder"),  # what it was called first
    (("--write", "a.yaml"), "--write: a.yaml is not a TOML file"),
    (("--lr", "fast"), "--lr: 'fast' (from the command line) is not allowed; it must be a number greater than 0, or"),
    (("nowhere",), "nowhere is not a run folder"),
]


@pytest.mark.parametrize(("words", "message"), REFUSED, ids=lambda each: str(each)[:20])
def test_what_is_refused(words: tuple[str, ...], message: str, cli: Cli) -> None:
    result = cli("lr-find", *words)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


def test_a_rate_that_is_not_trusted_is_not_written(cli: Cli) -> None:
    Path("c.toml").write_text("lr = 0.5\n", encoding="utf-8")
    flat = ("--start-lr", "1e-9", "--end-lr", "1e-7", "--steps", "25", "--repeats", "1")
    result = cli("lr-find", *TINY, *flat, "--write", "c.toml")
    assert result.exit_code == 1
    assert "--write: c.toml is as it was: the loss falls by" in " ".join(result.stderr.split())
    assert "too noisy to trust" in result.stderr
    assert "Next:" not in result.stderr
    assert Path("c.toml").read_text(encoding="utf-8") == "lr = 0.5\n"


def test_a_dry_run_says_that_a_rate_is_to_be_found(cli: Cli) -> None:
    result = cli("train", *TINY, "--lr", "auto", "--dry-run", "--json")
    assert result.exit_code == 0, result.output
    shown = json.loads(result.stdout)
    assert shown["lr"] == {"value": 0.001, "from": "to be found when training begins"}
    assert shown["find_lr"] == {"value": True, "from": "command line"}


def test_a_preview_says_so_too(cli: Cli) -> None:
    result = cli("lr-preview", "cosine", "--lr", "auto", "--data", "digits")
    assert result.exit_code == 0, result.output
    assert "--lr is found by a range test when training begins" in " ".join(result.stderr.split())


@pytest.mark.slow
def test_a_run_keeps_the_rate_that_was_found(cli: Cli) -> None:
    result = cli("train", *TINY, "--lr", "auto", "--epochs", "1", "--no-export", "--run-name", "x")
    assert result.exit_code == 0, result.output
    config = tomllib.loads(Path("runs/x/config.toml").read_text(encoding="utf-8"))
    assert not config["find_lr"]
    assert f"Found  --lr {config['lr']:g}: " in result.stderr
    resumed = cli("resume", "runs/x", "--epochs", "2")
    assert resumed.exit_code == 0, resumed.output
    assert "range test" not in resumed.stderr
    assert tomllib.loads(Path("runs/x/config.toml").read_text(encoding="utf-8"))["lr"] == config["lr"]
    refused = cli("resume", "runs/x", "--lr", "auto")
    assert refused.exit_code == 2
    assert "clfctl lr-find RUN" in refused.stderr
