"""What becomes of the answers of clfctl predict: formats, copies by class, a line at once, and little memory."""

import csv
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from clfctl.runs.folder import RunFolder
from clfctl.storage.names import read_back
from tests.docs.documents import INFERENCE, blocks
from tests.inference.asking import answers, records
from tests.inference.conftest import N_IMAGES, digit

Cli = Callable[..., Result]


# Names of files may hold anything but / and NUL.
NAMES = ('a, "b".png', "new\nline.png", "naïve 名前.png", "tab\t\x1b[31m.png")


def test_every_format_parses_back_to_the_same(run: RunFolder, cli: Cli) -> None:
    names = [*NAMES, "like \\xe9.png", os.fsdecode(b"latin-\xe9.png")]
    for n, name in enumerate(names):
        digit(n).save(name)
    Path("bad.png").touch()
    expected = answers(cli, str(run.path), *names, "bad.png")
    assert [each["image"] for each in expected] == [*names, "bad.png"]

    def written(style: str, *words: str) -> str:
        file = f"out.{style}"
        result = cli("predict", str(run.path), *names, "bad.png", "--top-k", "10", "--output", file, *words)
        assert (result.exit_code, result.stdout) == (1, "")
        assert f"Wrote {file}" in result.stderr
        shown = cli("predict", str(run.path), *names, "bad.png", "--top-k", "10", "--format", style)
        assert shown.stdout == Path(file).read_text(encoding="utf-8")
        return shown.stdout

    assert json.loads(written("json")) == expected
    assert [json.loads(line) for line in written("jsonl").splitlines()] == expected
    with Path("out.csv").open("w+", newline="", encoding="utf-8") as file:
        file.write(written("csv"))
        file.seek(0)
        rows = list(csv.DictReader(file))
    for row, each in zip(rows, expected, strict=True):
        assert read_back(row["image"]) == each["image"]
        assert row["error"] == each.get("error", "")
        shares = {row[f"class{n}"]: row[f"probability{n}"] for n in ("", *(f"_{n}" for n in range(2, 11)))}
        assert each.get("classes", {"": ""}) == {name: float(share) if share else "" for name, share in shares.items()}


def test_table_to_a_file_cuts_nothing(run: RunFolder, digits: Path, cli: Cli) -> None:
    Path("bad.png").touch()
    long = Path("a-very-long-name" * 8 + ".png")
    shutil.copy(digits / "0/00-0.png", long)
    lines = cli("predict", str(run.path), str(long), "bad.png", str(digits), "--top-k", "2").stdout.splitlines()
    assert re.split("  +", lines[0]) == ["image", "class", "share", "then"]
    assert re.fullmatch(rf"{long}  \d +\d+\.\d %  \d \d+\.\d %", lines[1])
    assert re.fullmatch(r"bad\.png +has no bytes", lines[2])
    assert len(lines) == 3 + N_IMAGES
    assert cli("predict", str(run.path), str(digits), "--quiet").output == ""


def test_below_the_threshold_no_class_is_named(run: RunFolder, digits: Path, cli: Cli) -> None:
    everything = answers(cli, str(run.path), digits)
    limit = statistics.median(each["probability"] for each in everything)
    words = (str(run.path), str(digits), "--threshold", str(limit))
    some = records(cli("predict", *words, "--json", "--top-k", "10"))
    for whole, named in zip(everything, some, strict=True):
        likely = {name: share for name, share in whole["classes"].items() if share >= limit}
        assert named["classes"] == likely
        assert named["class"] == next(iter(likely), None)
    assert sum(each["class"] is None for each in some) == N_IMAGES // 2
    table = cli("predict", *words).stdout
    assert table.count(" unsure") == sum(each["class"] is None for each in some)


def test_copies_are_sorted_by_class_and_overwrite_nothing(run: RunFolder, digits: Path, cli: Cli) -> None:
    Path("bad.png").touch()
    Path("other").mkdir()
    shutil.copy(digits / "0/02-2.png", "other/00-0.png")  # another image of the same name
    before = {path: path.read_bytes() for path in digits.rglob("*.png")}
    limit = statistics.median(each["probability"] for each in answers(cli, str(run.path), digits))
    words = (
        "predict",
        str(run.path),
        str(digits),
        "other",
        "bad.png",
        "--copy-to",
        "sorted",
        "--threshold",
        str(limit),
    )
    result = cli(*words, "--json")
    assert result.exit_code == 1
    for path, content in before.items():
        assert path.read_bytes() == content, "nothing is moved"
    expected: dict[str, set[bytes]] = {}
    for each in records(result):
        if "error" not in each:
            folder = "__unsure" if each["class"] is None else each["class"]
            expected.setdefault(folder, set()).add(Path(each["image"]).read_bytes())
    assert copied() == expected
    assert sum(len(each) for each in expected.values()) == N_IMAGES  # the one of other/ is there already
    names = sorted(Path("sorted").rglob("*"))
    cli(*words)
    assert sorted(Path("sorted").rglob("*")) == names, "a second time adds nothing"
    victim = next(path for path in Path("sorted").rglob("00-0.png"))
    victim.write_text("of another day")
    cli(*words)
    assert victim.read_text() == "of another day"
    assert victim.with_name("00-0~1.png").is_file()


def copied() -> dict[str, set[bytes]]:
    return {folder.name: {path.read_bytes() for path in folder.iterdir()} for folder in Path("sorted").iterdir()}


@pytest.mark.parametrize(
    ("class_name", "folder"),
    [
        ("tabby cat", "tabby cat"),
        ("名前", "名前"),
        ("a/b", "a%2Fb"),
        ("..", "%2E%2E"),
        ("", "%"),
        ("__unsure", "%5F%5Funsure"),
        ("100%", "100%25"),
        ("AC\\DC?", "AC%5CDC%3F"),
        ("end.", "end%2E"),
        (None, "__unsure"),
    ],
)
def test_a_class_of_any_name_has_a_folder_of_its_own(class_name: str | None, folder: str) -> None:
    from clfctl.inference.sorted_copies import folder_name

    assert folder_name(class_name) == folder


def test_warm_answers_each_line_at_once(run: RunFolder, digits: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "clfctl", "predict", str(run.path), "--warm", "--top-k", "2"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    good = str(digits / "0/00-0.png")
    Path("bad.png").touch()
    lines = {
        good: None,
        "bad.png": "has no bytes",
        "": "it is empty",
        "gone.png": "No such file or directory",
        str(digits): "is a folder",
        "https://example.org/cat.jpg": "it is a URL, and clfctl does not read from the network",
        "-": "standard input has the paths",
        "a\0b": "the name of a file has no null byte",
    }
    for line, error in lines.items():
        process.stdin.write(os.fsencode(line) + b"\n")
        process.stdin.flush()
        answer = json.loads(process.stdout.readline())  # before the next line is sent
        assert answer["image"] == line
        assert answer.get("error") == error
        assert error or len(answer["classes"]) == 2
    process.stdin.write(f"{good}\r\n{good}".encode())  # a line of another system, and one without an end
    out, err = process.communicate(timeout=30)
    assert [json.loads(line)["image"] for line in out.splitlines()] == [good, good]
    assert process.returncode == 0
    assert b"Ready: " in err
    assert b"Traceback" not in err


def test_memory_does_not_grow_with_the_folder(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """However slowly the answers are taken, no more images are read than threads and two batches are ahead."""
    from clfctl.inference import stream
    from clfctl.inference.onnx_predictor import load_onnx
    from clfctl.inference.prediction import Choice

    digit(0).save("one.png")
    asked = 0

    def names() -> Any:
        nonlocal asked
        while asked < 1000:
            asked += 1
            yield "one.png"

    found = stream.predictions(load_onnx(run.onnx, 1), names(), Choice(1), batch_size=4, workers=2)
    for n, _ in zip(range(1, 41), found, strict=False):
        assert asked <= n + 4 * (2 + stream.AHEAD + 1)
    assert isinstance(found, Generator)
    found.close()
    assert asked < 100


def test_python_of_the_guide_names_the_digit(
    run: RunFolder, cli: Cli, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(run.path, "runs/x")
    digit(0).resize((90, 70)).save("cat.jpg")
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    by_hand, _, warm = (text for _, text in blocks(INFERENCE, "python"))
    expected = answers(cli, "runs/x", "cat.jpg")[0]["class"]
    exec(compile(by_hand, str(INFERENCE), "exec"), {})
    assert capsys.readouterr().out == f"{expected}\n"
    exec(compile(warm, str(INFERENCE), "exec"), {})
    assert capsys.readouterr().out == f"{expected}\nNo such file or directory\n"
