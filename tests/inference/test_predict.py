"""clfctl predict: every way to name images, every format, every bad file; by ONNX Runtime and by torch."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from clfctl.cli.app import make_app
from clfctl.data.pixels.decode import ORIENTATION
from clfctl.runs.folder import RunFolder
from tests.commands.test_process import HEAVY, modules_of
from tests.inference.asking import answers, records
from tests.inference.conftest import N_IMAGES

Cli = Callable[..., Result]


@pytest.fixture(params=["onnx", "torch"])
def model(request: pytest.FixtureRequest, run: RunFolder) -> str:
    """The run, whose model.onnx answers, or its checkpoint, that torch answers for."""
    return str(run.path if request.param == "onnx" else run.best)


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


def test_an_image_on_standard_input(model: str, digits: Path, cli: Cli) -> None:
    path = digits / "0/00-0.png"
    words = ["predict", model, "-", "--json", "--top-k", "10"]
    result = CliRunner().invoke(make_app("predict"), words, input=path.read_bytes())
    (found,) = records(result)
    assert found["image"] == "-"
    assert found["classes"] == answers(cli, model, path)[0]["classes"]
    empty = CliRunner().invoke(make_app("predict"), words, input=b"")
    assert records(empty) == [{"image": "-", "error": "nothing came on standard input"}]
    assert empty.exit_code == 1


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


@pytest.mark.slow
def test_onnx_runtime_answers_without_torch(run: RunFolder, digits: Path) -> None:
    for words in ((str(digits / "0/00-0.png"),), (str(digits), "--format", "csv", "--copy-to", "sorted")):
        loaded = modules_of("predict", str(run.path), *words)
        assert "onnxruntime" in loaded
        assert not loaded & (HEAVY - {"PIL", "numpy"})
