"""clfctl compare: what runs' files tell, what they say of the same images, and what is refused."""

import csv
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from scipy.stats import binomtest
from typer.testing import CliRunner, Result

import clfctl
from clfctl.cli.app import make_app
from clfctl.cli.reporting import spelled
from clfctl.commands.compare import usual_folder
from clfctl.comparing.entries import read_entries
from clfctl.comparing.files import compare_files
from clfctl.display.compare_text import parts_of
from clfctl.storage.files import write_text
from clfctl.storage.json_lines import read_json_lines

Cli = Callable[..., Result]
OLDER = Path(__file__).parents[1] / "compatibility/2026-11-before-the-move"
TINY = ("--data", "digits", "--image-size", "16", "--model", "resnet9_small", "--max-per-class", "20", "--no-export")
FILES = ["compare.html", "compare.json", "confusion-A.png", "confusion-B.png", "curves.png", "disagreements.csv"]


@pytest.fixture
def copies() -> tuple[str, str]:
    """Two copies of an older run, in the second of which the history is a better one."""
    for name in ("one", "two"):
        shutil.copytree(OLDER / "run", Path("runs", name))
    records = read_json_lines(Path("runs/two/history.jsonl"))
    records.append({**records[-1], "epoch": 3, "val_top1": 1.0, "val_loss": 0.01, "is_best": True})
    Path("runs/two/history.jsonl").write_text("".join(json.dumps(each) + "\n" for each in records))
    return "runs/one", "runs/two"


@pytest.mark.slow
def test_files_alone_need_no_measurement(copies: tuple[str, str], cli: Cli) -> None:
    result = cli("compare", *copies, "--no-measure", "--sort", "val_top1", "--json")
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert [(each["name"], each["epochs"]) for each in record["runs"]] == [("two", 3), ("one", 2)]
    assert record["runs"][0]["val_top1"] == 1.0
    assert (record["images"], record["pairs"], record["deploy"]) == (None, [], None)
    assert Path(record["folder"], "compare.html").is_file()
    assert sorted(each.name for each in Path("runs/compare/one-two").iterdir()) == [
        "compare.html",
        "compare.json",
        "curves.png",
    ]
    assert cli("runs").stdout.count("\n") == 2  # a comparison is no run


@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("n", [2, 7])
def test_it_fits_its_terminal(width: int, n: int, tmp_path: Path) -> None:
    paths = [shutil.copytree(OLDER / "run", tmp_path / f"a run with a long name, number {i}") for i in range(n)]
    console = Console(width=width, record=True, file=(tmp_path / "out").open("w"))
    for part in parts_of(compare_files(read_entries(paths), ""), 10, width, spelled):
        console.print(part)
    console.file.close()
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= width
    assert "validation loss" in text
    assert chr(ord("A") + n - 1) in text


REFUSED = [
    (("runs/one",), "1 run to compare; it must be 2 to 26"),
    (("runs/one", "runs/one/"), "runs/one is named twice"),
    (("runs/one", "gone"), "gone is not a run folder"),
    (("runs/one", "runs/two", "--sort", "speed"), "--sort: 'speed' is nothing that runs can be sorted by"),
    (("runs/one", "runs/two", "--no-measure", "--sort", "top1"), "--sort: top1 is not known of any run"),
    (("runs/one", "runs/two", "--checkpoint", "x.safetensors"), "--checkpoint: 'x.safetensors' is not best or last"),
    (("runs/one", "runs/two", "--no-measure", "-o", "runs"), "--output: runs exists already, and is no comparison"),
]


def test_no_comparison_replaces_another(tmp_path: Path) -> None:
    for name in ("a-b", "c", "a", "b-c"):
        shutil.copytree(OLDER / "run", tmp_path / name)
    pairs = [("a-b", "c"), ("a", "b-c"), ("c", "a-b")]
    first, other, turned = (compare_files(read_entries([tmp_path / each for each in pair]), "") for pair in pairs)
    folder = usual_folder(first)
    assert usual_folder(other) == folder
    folder.mkdir(parents=True)
    write_text(folder / "compare.json", json.dumps({"id": first.id}))
    assert usual_folder(first) == usual_folder(turned) == folder
    assert usual_folder(other) != folder


@pytest.mark.parametrize(("words", "message"), REFUSED)
def test_what_is_refused(words: tuple[str, ...], message: str, copies: tuple[str, str], cli: Cli) -> None:
    result = cli("compare", *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert not Path("runs/compare").exists()


def test_a_damaged_run_is_named(copies: tuple[str, str], cli: Cli) -> None:
    for path in Path("runs/two/checkpoints").iterdir():
        path.write_bytes(b"")
    result = cli("compare", *copies)
    assert result.exit_code == 1
    assert "runs/two/checkpoints/last.safetensors cannot be read: it is empty" in result.stderr


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three runs on digits; c holds out other images."""
    root = tmp_path_factory.mktemp("made")
    for name, more in (("a", ("--lr", "0.003")), ("b", ("--lr", "3e-4")), ("c", ("--lr", "0.003", "--seed", "1"))):
        words = [
            "train",
            *TINY,
            "--epochs",
            "2",
            *more,
            "--runs-dir",
            str(root / "runs"),
            "--run-name",
            name,
            "--quiet",
        ]
        result = CliRunner().invoke(make_app("train"), words)
        assert result.exit_code == 0, result.output
    return root


@pytest.mark.slow
def test_files_of_a_comparison_agree_with_those_of_two_evaluations(
    made: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(made)
    result = cli("compare", "runs/b", "runs/a", "--sort", "top1", "--json")
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    a, b = record["runs"]
    assert (a["name"], b["name"]) == ("a", "b")
    assert record["settings"] == {"lr": [0.003, 3e-4]}
    alone = {name: clfctl.evaluate(f"runs/{name}") for name in "ab"}
    for side in (a, b):
        metrics = alone[side["name"]].metrics
        assert (side["top1"], side["loss"], side["f1"]) == (metrics.top1, metrics.loss, metrics.macro.f1)
        for name, limits in side["intervals"].items():
            assert limits["low"] <= side[name] <= limits["high"], name
        assert record["confusion"][side["name"]] == metrics.confusion.tolist()
    (pair,) = record["pairs"]
    assert pair["p"] == pytest.approx(
        binomtest(pair["only_first"], pair["only_first"] + pair["only_second"]).pvalue, rel=1e-9
    )
    assert pair["difference"] == pytest.approx(a["top1"] - b["top1"])
    assert record["deploy"]["run"] == "a"
    folder = Path(record["folder"])
    assert [each.name for each in sorted(folder.iterdir())] == FILES
    with (folder / "disagreements.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert sum(row["a"] == row["true"] for row in rows) == pair["only_first"]
    assert sum(row["b"] == row["true"] for row in rows) == pair["only_second"]
    assert {key: record[key] for key in record if key != "folder"} == json.loads((folder / "compare.json").read_text())
    page = (folder / "compare.html").read_text()
    assert page.count("<figure>") == min(8, pair["only_first"]) + min(8, pair["only_second"])
    assert "Deploy a" in page
    assert not re.search(r"(src|href)=\"(?!data:|#)", page)


@pytest.mark.slow
def test_only_images_that_none_was_trained_on_are_compared(
    made: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(made)
    found = clfctl.compare(["runs/a", "runs/c"])
    assert found.common is not None
    of_a, of_c = found.common.n_of
    assert 0 < found.common.n < min(of_a, of_c)
    assert any(f"{found.common.n:,} images are held out by every run" in note for note in found.notes)
    assert np.array_equal(found.common.metrics[0].confusion.sum(axis=1), found.common.metrics[1].confusion.sum(axis=1))
    lines = cli("compare", "runs/a", "runs/c", "-o", "out").stdout.splitlines()
    assert any(line.startswith("pair  a / c  only the first right ") for line in lines)
    assert lines[-1].startswith("deploy  ")
    assert sorted(each.name for each in Path("out").iterdir()) == FILES


@pytest.mark.slow
def test_a_run_from_one_with_another_seed_may_know_the_images(
    made: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(made)
    for name, origin in (("from-c", "c"), ("from-b", "b")):
        words = ("--epochs", "1", "--from", f"runs/{origin}", "--run-name", name, "--quiet")
        assert cli("train", *TINY[:4], *TINY[6:], *words).exit_code == 0
    said = cli("compare", "runs/a", "runs/from-c", "runs/from-b").stderr
    assert "Warning: from-c began with the weights of runs/c, which holds out other images of digits" in said
    assert "Warning: from-b" not in said


@pytest.mark.slow
def test_runs_of_different_data_are_compared_on_what_is_named(
    made: Path, photos: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(made)
    words = ("--data", str(photos), "--image-size", "16", "--model", "resnet9_small", "--epochs", "1", "--no-export")
    assert cli("train", *words, "--run-name", "p", "-b", "6", "--quiet").exit_code == 0
    result = cli("compare", "runs/a", "runs/p", "--json")
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert (record["images"], record["deploy"]) == (None, None)
    assert "--data names images for all of them" in result.stderr
    # a knows none of these classes: one sentence, and nothing is written.
    refused = cli("compare", "runs/a", "runs/p", "--data", str(photos), "-o", "nothing")
    assert refused.exit_code in (1, 2)
    assert "Traceback" not in refused.output
    assert not Path("nothing").exists()
