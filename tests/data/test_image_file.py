"""What is not an image file is refused at once and in words, by every command, and nothing else is printed about it."""

import io
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile, UnidentifiedImageError
from typer.testing import Result

from clfctl.data.pixels.decode import ORIENTATION
from clfctl.data.pixels.image_file import load, open_image, read_image
from clfctl.data.pixels.quiet import silence_tiff
from clfctl.data.pixels.unreadable import BadImageError, reason_of
from tests.data.odd_files import saved

Cli = Callable[..., Result]

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8))


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as each:
        each.bind(str(path))


def make_link(path: Path) -> None:
    path.symlink_to("nowhere")


SPECIAL: dict[str, tuple[Callable[[Path], object], str]] = {
    "pipe": (lambda path: os.mkfifo(path), "is not a regular file"),
    "socket": (make_socket, "is not a regular file"),
    "device": (lambda path: path.symlink_to("/dev/null"), "is not a regular file"),
    "endless device": (lambda path: path.symlink_to("/dev/zero"), "is not a regular file"),
    "folder": (lambda path: path.mkdir(), "is a folder"),
    "empty": (lambda path: path.touch(), "has no bytes"),
    "gone": (lambda path: None, "No such file or directory"),
    "dangling link": (make_link, "No such file or directory (a link to nowhere)"),
    "text": (lambda path: path.write_text("<html>404</html>"), "is not in an image format that can be read"),
    "bomb": (lambda path: Image.new("1", (20000, 20000)).save(path, "PNG"), "exceeds limit"),
}


@pytest.mark.skipif(sys.platform == "win32", reason="it has no pipes among files")
@pytest.mark.parametrize("kind", SPECIAL)
def test_what_is_not_an_image_file_is_refused_in_words(kind: str, tmp_path: Path) -> None:
    make, reason = SPECIAL[kind]
    path = tmp_path / "x.jpg"
    make(path)
    with pytest.raises(OSError) as caught:  # noqa: PT011 (its reason is looked at below)
        read_image(path)
    assert reason in reason_of(caught.value, str(path))
    assert str(tmp_path) not in reason_of(caught.value, str(path))


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (BadImageError("has no bytes"), "has no bytes"),
        (UnidentifiedImageError("cannot identify image file"), "is not in an image format that can be read"),
        (OSError("image file is truncated"), "image file is truncated"),
        (OSError(5, "Input/output error", "x.jpg"), "Input/output error"),
        (OSError("error"), "is damaged and cannot be decoded (error)"),
        (OSError(""), "is damaged and cannot be decoded (OSError)"),
        (OSError("decoder error -2"), "is damaged and cannot be decoded (decoder error -2)"),
        (OSError("-2"), "is damaged and cannot be decoded (-2)"),
        (KeyError("transparency"), "is damaged and cannot be decoded (transparency)"),
        (ValueError("not enough\nimage data in x.jpg"), "is damaged and cannot be decoded (not enough image data in)"),
        (EOFError(), "is damaged and cannot be decoded (EOFError)"),
        (MemoryError(), "needs more memory than there is"),
    ],
    ids=repr,
)
def test_a_reason_is_in_words(error: Exception, reason: str) -> None:
    assert reason_of(error, "x.jpg") == reason


def spoilt_tiffs() -> list[bytes]:
    """Files of which libtiff prints, and one of which Pillow logs."""
    whole = saved(PICTURE, "TIFF", compression="tiff_lzw")
    cut = [whole[: len(whole) * n // 10] for n in range(3, 10)]
    draw = np.random.default_rng(1)
    flipped = []
    for place in draw.integers(0, len(whole), 40).tolist():
        content = bytearray(whole)
        content[place] ^= 255
        flipped.append(bytes(content))
    return [
        *cut,
        *flipped,
        whole.replace(b"\x15\x01\x03\x00\x01\x00\x00\x00\x03\x00", b"\x15\x01\x03\x00\x01\x00\x00\x00\x00\x08"),
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="libtiff cannot be reached there")
def test_nothing_is_printed_about_a_damaged_tiff(tmp_path: Path) -> None:
    """In a process of its own, since what is silenced stays so: first that there is something to silence."""
    for number, content in enumerate(spoilt_tiffs()):
        (tmp_path / f"{number}.tif").write_bytes(content)
    program = """
import sys, warnings
from pathlib import Path
warnings.simplefilter("ignore")
from PIL import Image
from clfctl.data.pixels.decode import decode
from clfctl.data.pixels.image_file import read_image
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        if sys.argv[2] == "Pillow":
            Image.open(path).load()
        else:
            with read_image(path) as image:
                decode(image, 1, (0, 0, *image.size), (1, 1))
    except Exception as error:
        print(path.name)
"""
    by_pillow, ours = (
        subprocess.run([sys.executable, "-c", program, str(tmp_path), how], capture_output=True, text=True, timeout=60)
        for how in ("Pillow", "ours")
    )
    assert len(by_pillow.stderr.splitlines()) > 10, "libtiff and Pillow have something to say"
    assert ours.stderr == ""
    assert ours.stdout == by_pillow.stdout
    assert len(ours.stdout.splitlines()) > 10


@pytest.mark.skipif(sys.platform == "win32", reason="libtiff cannot be reached there")
def test_libtiff_is_reached() -> None:
    assert silence_tiff()


def corrupt_exif() -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    exif[0x010E] = "a description that is longer than four bytes"
    content = saved(PICTURE, "JPEG", exif=exif)
    return content.replace(b"\x01\x0e\x00\x02\x00\x00\x00", b"\x01\x0e\x00\x02\x00\xff\xff", 1)


def test_opening_changes_no_filter_of_warnings_and_no_limit() -> None:
    import warnings

    before = list(warnings.filters), Image.MAX_IMAGE_PIXELS
    with open_image(saved(PICTURE, "TIFF", compression="tiff_lzw")) as image:
        load(image)
    assert (list(warnings.filters), Image.MAX_IMAGE_PIXELS) == before


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names there are UTF-8, or no pipe lies among files")
@pytest.mark.filterwarnings("ignore::UserWarning:PIL", "ignore::RuntimeWarning:PIL")
@pytest.mark.slow
def test_odd_files_among_the_images_stop_no_command_and_print_nothing_raw(photos: Path, cli: Cli) -> None:
    """A pipe, a bad image whose name is not UTF-8, and two that Pillow warns of but that are used all the same."""
    red, name = photos / "red", os.fsdecode(b"caf\xe9.jpg")
    os.mkfifo(red / "pipe.jpg")
    (red / name).write_bytes(b"not an image")
    (red / "exif.jpg").write_bytes(corrupt_exif())
    Image.new("1", (9500, 9500)).save(red / "large.png")
    with pytest.warns(UserWarning, match=r"Corrupt EXIF|Tag data larger"):
        read_image(red / "exif.jpg").getexif()
    data = ("--data", str(photos), "--image-size", "32", "--batch-size", "4", "--workers", "1", "--cache", "ram")
    training = ("train", *data, "--model", "resnet9_small", "--epochs", "1", "--no-export", "--run-name", "one")
    command = [sys.executable, "-m", "clfctl", *training]
    done = subprocess.run(command, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    for word in (b"Traceback", b"UserWarning", b"BombWarning"):
        assert word not in done.stderr
    bad = list(map(json.loads, Path("runs/one/bad_images.jsonl").read_text(encoding="utf-8").splitlines()))
    assert {each["image"]: each["reason"] for each in bad} == {
        str(red / "pipe.jpg"): "is not a regular file",
        str(red / name): "is not in an image format that can be read",
    }
    for words in (
        ("eval", "runs/one"),
        ("bench-data", *data, "--seconds", "0.01"),
        ("predict", "runs/one", str(photos)),
    ):
        result = cli(*words)
        assert result.exit_code == (words[0] == "predict"), result.output


def test_a_file_is_read_in_one_piece() -> None:
    """As Pillow would read it in a dozen, each of which costs the thread its turn."""
    content = saved(PICTURE, "PNG")
    with open_image(content) as image:
        assert isinstance(image, ImageFile.ImageFile)
        assert isinstance(image.fp, io.BytesIO)
