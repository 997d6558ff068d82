"""clfctl predict: every way to name images, every format, every bad file; by ONNX Runtime and by torch."""

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

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from clfctl.cli.app import make_app
from clfctl.data.pixels.decode import ORIENTATION
from clfctl.runs.folder import RunFolder
from clfctl.storage.names import read_back
from tests.commands.test_process import HEAVY, modules_of
from tests.docs.documents import INFERENCE, blocks
from tests.inference.conftest import N_IMAGES, digit

Cli = Callable[..., Result]


@pytest.fixture(params=["onnx", "torch"])
def model(request: pytest.FixtureRequest, run: RunFolder) -> str:
    """The run, whose model.onnx answers, or its checkpoint, that torch answers for."""
    return str(run.path if request.param == "onnx" else run.best)


def records(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def answers(cli: Cli, model: str, *images: Path | str) -> list[dict[str, Any]]:
    return records(cli("predict", model, *map(str, images), "--json", "--top-k", "10"))


@pytest.mark.slow
def test_a_folder_is_answered_in_order_and_mostly_right(model: str, digits: Path, cli: Cli) -> None:
    result = cli("predict", model, str(digits), "--json")
    found = records(result)
    assert result.exit_code == 0, result.stderr
    assert [each["image"] for each in found] == sorted(str(path) for path in digits.rglob("*.png"))
    assert sum(each["class"] == each["image"][-5] for each in found) > N_IMAGES / 2
    for each in found:
        shares = list(each["classes"].values())
        assert len(shares) == 3
        assert shares == sorted(shares, reverse=True)
        assert each["probability"] == shares[0] == each["classes"][each["class"]]


@pytest.mark.slow
def test_both_say_the_same(run: RunFolder, digits: Path, cli: Cli) -> None:
    """To what one level of 255 in a resize of 8 pixels to 32 makes of it."""
    for onnx, torch in zip(answers(cli, str(run.path), digits), answers(cli, str(run.best), digits), strict=True):
        assert onnx["classes"].keys() == torch["classes"].keys()
        assert all(abs(onnx["classes"][name] - torch["classes"][name]) < 0.02 for name in onnx["classes"])


def test_it_does_not_depend_on_batches_threads_or_how_images_are_named(model: str, digits: Path, cli: Cli) -> None:
    expected = answers(cli, model, digits)
    for words in (("--batch-size", "1", "--workers", "3"), ("--batch-size", "5", "--workers", "1")):
        found = records(cli("predict", model, str(digits), "--json", "--top-k", "10", *words))
        assert_same(found, expected)
    assert_same(answers(cli, model, *sorted(digits.rglob("*.png"))), expected)
    assert_same(answers(cli, model, "digits/*/*.png"), expected)
    assert_same(answers(cli, model, "digits/**"), expected)
    assert_same(answers(cli, model, "digits/*"), expected)
    assert_same(answers(cli, model, "digits/0", "digits/1/*[0-9].png"), expected)
    first = expected[0]["image"]
    assert_same(answers(cli, model, first), expected[:1])


def assert_same(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    """A sum of floats depends on how many images are computed at once; nothing else does."""
    assert [each["image"] for each in found] == [each["image"] for each in expected]
    for one, other in zip(found, expected, strict=True):
        assert one["classes"] == pytest.approx(other["classes"], abs=1e-5)


def test_an_exported_file_and_a_run_are_the_same_model(run: RunFolder, digits: Path, cli: Cli) -> None:
    shutil.copy(run.onnx, "elsewhere.onnx")
    assert answers(cli, "elsewhere.onnx", digits) == answers(cli, str(run.path), digits)


def test_an_image_on_standard_input(model: str, digits: Path) -> None:
    path = digits / "0/00-0.png"
    words = ["predict", model, "-", "--json", "--top-k", "10"]
    result = CliRunner().invoke(make_app("predict"), words, input=path.read_bytes())
    (found,) = records(result)
    assert found["image"] == "-"
    assert found["classes"] == answers(CliRunnerCli(), model, path)[0]["classes"]
    empty = CliRunner().invoke(make_app("predict"), words, input=b"")
    assert records(empty) == [{"image": "-", "error": "nothing came on standard input"}]
    assert empty.exit_code == 1


class CliRunnerCli:
    def __call__(self, *words: str) -> Result:
        return CliRunner().invoke(make_app(words[0]), list(words))


# What each kind of file is the same picture as, and what is promised for each that is none.
GOOD = ("gray.jpg", "alpha.png", "cmyk.jpg", "deep.png", "animated.gif", "turned.jpg", "pixel.png")
BAD = {
    "huge.png": "exceeds limit",
    "cut.jpg": "truncated",
    "text.jpg": "is not in an image format that can be read",
    "empty.jpg": "has no bytes",
    "folder.jpg": "is a folder",
    "dangling.jpg": "No such file or directory (a link to nowhere)",
    "pipe.jpg": "is not a file; what another program writes can be piped to -",
}


def make_files(folder: Path) -> None:
    """Each good file, beside it `same.NAME`: the same picture in plain RGB; and each bad one."""
    folder.mkdir()
    rgb = Image.fromarray(np.random.Generator(np.random.Philox(0)).integers(0, 256, (40, 56, 3), np.uint8))
    rgb = rgb.resize((14, 10)).resize((56, 40), Image.Resampling.BICUBIC)
    gray = rgb.convert("L")
    gray.save(folder / "gray.jpg", quality=95)
    Image.open(folder / "gray.jpg").convert("RGB").save(folder / "same.gray.png")
    faint = rgb.copy()
    faint.putalpha(Image.fromarray(np.where(np.arange(56) < 20, 0, 255).astype(np.uint8)[None].repeat(40, 0)))
    faint.save(folder / "alpha.png")
    white = rgb.copy()
    white.paste((255, 255, 255), (0, 0, 20, 40))
    white.save(folder / "same.alpha.png")
    rgb.convert("CMYK").save(folder / "cmyk.jpg", quality=95)
    Image.open(folder / "cmyk.jpg").convert("RGB").save(folder / "same.cmyk.png")
    Image.fromarray(np.asarray(gray).astype(np.uint16) * 257).save(folder / "deep.png")
    gray.convert("RGB").save(folder / "same.deep.png")
    first = rgb.quantize(64)
    first.save(folder / "animated.gif", save_all=True, append_images=[rgb.quantize(8)], duration=100)
    with Image.open(folder / "animated.gif") as animated:
        animated.convert("RGB").save(folder / "same.animated.png")
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    rgb.save(folder / "turned.jpg", quality=95, exif=exif)
    Image.open(folder / "turned.jpg").convert("RGB").transpose(Image.Transpose.ROTATE_270).save(
        folder / "same.turned.png"
    )
    Image.new("RGB", (1, 1), (9, 200, 60)).save(folder / "pixel.png")
    Image.new("RGB", (50, 50), (9, 200, 60)).save(folder / "same.pixel.png")
    Image.new("1", (20000, 20000)).save(folder / "huge.png")
    rgb.save(folder / "whole.jpg", quality=95)
    content = (folder / "whole.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(content[: len(content) * 2 // 3])
    (folder / "text.jpg").write_text("<html>404</html>")
    (folder / "empty.jpg").touch()
    (folder / "folder.jpg").mkdir()
    (folder / "dangling.jpg").symlink_to("nowhere")
    os.mkfifo(folder / "pipe.jpg")


def test_every_kind_of_file_is_answered_or_has_its_reason(model: str, cli: Cli) -> None:
    make_files(Path("files"))
    result = cli("predict", model, "files", "--json", "--top-k", "10")
    assert result.exit_code == 1
    assert "Traceback" not in result.output
    found = {each["image"].removeprefix("files/"): each for each in records(result)}
    # A folder is no image whatever it is called: it was searched, and is empty.
    assert found.keys() == {*GOOD, *BAD, "whole.jpg", *(f"same.{Path(name).stem}.png" for name in GOOD)} - {
        "folder.jpg"
    }
    for name in GOOD:
        expected = found[f"same.{Path(name).stem}.png"]["classes"]
        assert found[name]["classes"] == pytest.approx(expected, abs=1e-5), name
    for name, reason in BAD.items():
        if name != "folder.jpg":
            assert reason in found[name]["error"], found[name]
            assert "classes" not in found[name]
    n_bad = len(BAD) - 1
    assert f"Not read: {n_bad} (" in result.stderr


def test_no_permission_is_a_reason(run: RunFolder, digits: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    from clfctl.inference.onnx_predictor import load_onnx
    from clfctl.inference.stream import read_pixels

    predictor, path = load_onnx(run.onnx, 1), digits / "0/00-0.png"
    path.chmod(0)
    if os.geteuid() == 0:
        os.seteuid(65534)
        try:
            found = read_pixels(predictor, str(path.absolute()))
        finally:
            os.seteuid(0)
    else:
        found = read_pixels(predictor, str(path))
    assert found == "Permission denied"


def test_what_names_no_image_is_wrong_usage(run: RunFolder, digits: Path, cli: Cli) -> None:
    (digits / "empty").mkdir()
    for words, error in (
        (("https://example.org/cat.jpg",), "https://example.org/cat.jpg cannot be read: it is a URL"),
        (("s3://bucket/cat.jpg",), "it is a URL"),
        (("gone.png",), "gone.png does not exist"),
        (("gone.png", "away.png"), "none of the 2 images exists"),
        (("gone/*.png",), "gone/*.png matches no file"),
        ((str(digits / "empty"),), "digits/empty has no images"),
        (("-", "-"), "- is given twice"),
        ((), "there is no image to look at"),
        ((str(digits), "--format", "xml"), "--format: 'xml' is not allowed; it must be one of table, json, jsonl, csv"),
        ((str(digits), "--json", "--format", "csv"), "--json: is --format jsonl"),
        ((str(digits), "--output", "x.xml"), "--output: x.xml does not say in which format"),
        ((str(digits), "--threshold", "2"), "--threshold"),
        ((str(digits), "--top-k", "0"), "--top-k"),
        ((str(digits), "--copy-to", f"{digits}/sorted"), "lies in digits, which is searched"),
        ((str(digits), "--copy-to", str(digits / "0/00-0.png")), "is not a folder"),
        (("-", "--copy-to", "sorted"), "--copy-to: an image from standard input has no name"),
        ((str(digits), "--warm"), "--warm: the paths come on standard input"),
        (("--warm", "--format", "csv"), "--format: --warm answers in JSON lines"),
    ):
        result = cli("predict", str(run.path), *words)
        assert result.exit_code == 2, (words, result.output)
        assert error in result.stderr, (words, result.stderr)
        assert "Traceback" not in result.output
        assert not result.stdout


def test_what_is_no_model_is_wrong_usage(digits: Path, cli: Cli) -> None:
    Path("notes.txt").touch()
    for model, error in (
        ("gone", "gone is not a run folder"),
        ("gone.onnx", "gone.onnx does not exist"),
        ("notes.txt", "notes.txt is not a model that clfctl made"),
    ):
        result = cli("predict", model, str(digits))
        assert result.exit_code == 2
        assert error in result.stderr


def test_one_that_is_missing_is_a_row_among_others(model: str, digits: Path, cli: Cli) -> None:
    result = cli("predict", model, "gone.png", str(digits / "0/00-0.png"), "--json")
    assert result.exit_code == 1
    assert [each.get("error") for each in records(result)] == ["No such file or directory", None]


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


@pytest.mark.slow
def test_onnx_runtime_answers_without_torch(run: RunFolder, digits: Path) -> None:
    for words in ((str(digits / "0/00-0.png"),), (str(digits), "--format", "csv", "--copy-to", "sorted")):
        loaded = modules_of("predict", str(run.path), *words)
        assert "onnxruntime" in loaded
        assert not loaded & (HEAVY - {"PIL", "numpy"})


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
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(run.path, "runs/x")
    digit(0).resize((90, 70)).save("cat.jpg")
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    by_hand, _, warm = (text for _, text in blocks(INFERENCE, "python"))
    expected = answers(CliRunnerCli(), "runs/x", "cat.jpg")[0]["class"]
    exec(compile(by_hand, str(INFERENCE), "exec"), {})
    assert capsys.readouterr().out == f"{expected}\n"
    exec(compile(warm, str(INFERENCE), "exec"), {})
    assert capsys.readouterr().out == f"{expected}\nNo such file or directory\n"
