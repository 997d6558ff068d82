"""clfctl check-data: every kind of damage is found and named, and what is moved away can be moved back."""

import errno
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import Result

from clfctl.data.check import read_or_note
from clfctl.data.findings import KINDS, Finding
from clfctl.storage import files

Cli = Callable[..., Result]


def spoil(photos: Path) -> dict[str, str]:
    """Give each kind of finding a file; return {file: kind}."""
    red, size = photos / "red", (photos / "red/0.jpg").stat().st_size
    (red / "0.jpg").write_bytes((red / "0.jpg").read_bytes()[: size * 2 // 3])
    (red / "1.jpg").write_bytes(b"")
    (red / "2.jpg").write_text("<html>404</html>")
    (red / "3.jpg").unlink()
    (red / "3.jpg").symlink_to("nowhere")
    Image.new("1", (20000, 20000)).save(red / "bomb.png")
    Image.new("RGB", (1, 1)).save(red / "pixel.png")
    (red / "copy.jpg").write_bytes((red / "4.jpg").read_bytes())
    (red / "blue.jpg").write_bytes((photos / "blue/4.jpg").read_bytes())
    return {
        "blue/4.jpg": "two-classes",
        "red/0.jpg": "truncated",
        "red/1.jpg": "empty",
        "red/2.jpg": "not-an-image",
        "red/3.jpg": "unreadable",
        "red/blue.jpg": "two-classes",
        "red/bomb.png": "bomb",
        "red/copy.jpg": "duplicate",
        "red/pixel.png": "tiny",
    }


def found(result: Result) -> dict[str, str]:
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    return {line["file"]: line["kind"] for line in lines}


def tree(folder: Path) -> dict[str, Any]:
    """Every file and link under a folder with its content."""
    return {
        str(path.relative_to(folder)): path.readlink() if path.is_symlink() else path.read_bytes()
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def test_a_clean_folder_is_clean(photos: Path, cli: Cli) -> None:
    result = cli("check-data", str(photos))
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.startswith("24 images checked in ")
    assert result.stderr.endswith("nothing is wrong.\n")


@pytest.mark.parametrize("workers", ["1", "3"])
def test_every_kind_is_found_once(photos: Path, cli: Cli, workers: str) -> None:
    expected = spoil(photos)
    result = cli("check-data", str(photos), "--json", "--workers", workers)
    assert result.exit_code == 1
    assert found(result) == expected


def test_of_copies_the_more_precious_is_kept(photos: Path, cli: Cli) -> None:
    root = photos / "parts"
    copies = {"train/red/0.jpg": 0, "train/red/1.jpg": 1, "val/red/a.jpg": 0, "test/red/b.jpg": 0, "val/red/c.jpg": 2}
    copies |= {"val/red/d.jpg": 2, "train/red/e.jpg": 3, "val/blue/e.jpg": 3}
    for name, number in copies.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes((photos / f"red/{number}.jpg").read_bytes())
    result = cli("check-data", str(root), "--json")
    assert found(result) == {
        "train/red/0.jpg": "leak",
        "val/red/a.jpg": "leak",
        "val/red/d.jpg": "duplicate",
        "train/red/e.jpg": "two-classes",
        "val/blue/e.jpg": "two-classes",
    }
    first = json.loads(result.stdout.splitlines()[0])
    assert first["same_as"] == "test/red/b.jpg"


@pytest.mark.parametrize("kind", ["jpg", "png", "gif", "webp", "tiff", "bmp"])
def test_cut_anywhere_a_file_is_found_and_never_a_crash(tmp_path: Path, kind: str) -> None:
    noise = np.random.Generator(np.random.Philox(0)).integers(0, 256, (40, 40, 3), np.uint8)
    path = tmp_path / f"whole.{kind}"
    Image.fromarray(noise).save(path)
    whole = path.read_bytes()
    assert isinstance(read_or_note(str(tmp_path), path.name, 8), bytes)
    for n in range(1, len(whole) * 9 // 10, max(1, len(whole) // 40)):
        path.write_bytes(whole[:n])
        look = read_or_note(str(tmp_path), path.name, 8)
        assert isinstance(look, Finding), f"{n} of {len(whole)} bytes"
        assert look.kind in KINDS
        if n > 200:
            assert look.kind == "truncated", look


def test_a_pipe_is_not_waited_for(photos: Path, cli: Cli) -> None:
    os.mkfifo(photos / "red/pipe.jpg")
    assert found(cli("check-data", str(photos), "--json")) == {"red/pipe.jpg": "unreadable"}


def across(source: str, target: str, **_: object) -> None:
    raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))


@pytest.mark.parametrize("link", [os.link, across], ids=["same disk", "other disk"])
def test_what_is_moved_comes_back_the_same(
    photos: Path, cli: Cli, tmp_path: Path, link: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, away = spoil(photos), tmp_path / "away"
    before = tree(photos)
    monkeypatch.setattr(os, "link", link)
    words = ("check-data", str(photos), "--quarantine", str(away))
    result = cli(*words, "--json")
    assert result.exit_code == 1
    assert {json.loads(line)["moved_to"] for line in result.stdout.splitlines()} == {str(away / n) for n in expected}
    moved = tree(away)
    assert sorted(name for name in moved if name != "moved.jsonl") == sorted(expected)
    assert tree(photos) == {name: content for name, content in before.items() if name not in expected}
    assert cli("check-data", str(photos)).exit_code == 0
    (photos / "red/0.jpg").write_text("new")
    back = cli(*words, "--undo")
    assert back.exit_code == 1
    assert "red/0.jpg was not moved back: there is a file of this name again" in back.stderr
    (photos / "red/0.jpg").unlink()
    assert cli(*words, "--undo").exit_code == 0
    assert tree(photos) == before


def test_nothing_in_the_quarantine_is_overwritten(photos: Path, cli: Cli, tmp_path: Path) -> None:
    away = tmp_path / "away"
    (away / "red").mkdir(parents=True)
    (away / "red/0.jpg").write_text("of another day")
    (photos / "red/0.jpg").write_bytes(b"")
    cli("check-data", str(photos), "--quarantine", str(away))
    assert (away / "red/0.jpg").read_text() == "of another day"
    assert (away / "red/0~1.jpg").read_bytes() == b""
    assert cli("check-data", str(photos), "--quarantine", str(away), "--undo").exit_code == 0
    assert (photos / "red/0.jpg").read_bytes() == b""


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_copy_that_fails_leaves_the_file_where_it_was(
    photos: Path, cli: Cli, tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos / "red/0.jpg").write_text("no image")
    before, move = tree(photos), files._copy_file

    def failing(source: Path, target: Path) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(number, os.strerror(number))))
            move(source, target)

    monkeypatch.setattr(os, "link", across)
    monkeypatch.setattr(files, "_copy_file", failing)
    result = cli("check-data", str(photos), "--quarantine", str(tmp_path / "away"))
    assert result.exit_code == 1
    assert f"cannot be moved to {tmp_path}/away/red/0.jpg: {os.strerror(number)}" in result.stderr
    assert tree(photos) == before
    assert "nothing was moved" in result.stderr
    assert tree(tmp_path / "away") == {}


def test_wrong_usage_is_2(photos: Path, cli: Cli) -> None:
    for words, error in (
        ((str(photos / "gone"),), "does not exist"),
        ((str(photos / "red/0.jpg"),), "is not a folder"),
        ((str(photos), "--quarantine", str(photos / "bad")), "lies in the data folder"),
        ((str(photos), "--undo"), "--undo: needs --quarantine"),
    ):
        result = cli("check-data", *words)
        assert result.exit_code == 2, words
        assert error in result.stderr
        assert not result.stdout


def test_table_says_kind_count_and_first_files(photos: Path) -> None:
    from rich.console import Console

    from clfctl.display.check_table import findings_table

    findings = [Finding("duplicate", f"red/{n}.jpg", "") for n in range(5)] + [Finding("empty", "blue/0.jpg", "")]
    console = Console(width=80, color_system=None)
    with console.capture() as capture:
        console.print(findings_table(findings))
    lines = [re.split(r"  +", line.strip()) for line in capture.get().splitlines()[2:]]
    assert lines == [
        ["empty", "1", "blue/0.jpg"],
        ["has no bytes"],
        ["duplicate", "5", "red/0.jpg"],
        ["the same file twice", "red/1.jpg"],
        ["red/2.jpg"],
        ["…"],
    ]


def test_to_a_file_it_prints_a_line_a_finding(photos: Path, cli: Cli) -> None:
    (photos / "red/0.jpg").write_bytes(b"")
    assert cli("check-data", str(photos)).stdout == "empty  red/0.jpg  has no bytes\n"
    assert cli("check-data", str(photos), "--quiet").output == ""


def test_a_table_is_checked_as_a_folder_is(photos: Path, cli: Cli) -> None:
    (photos / "red/0.jpg").write_bytes(b"")
    (photos / "copy.jpg").write_bytes((photos / "red/1.jpg").read_bytes())
    rows = [f"{c}/{i}.jpg,{c},train" for c in ("red", "blue") for i in range(4)]
    rows += ["red/1.jpg,red,val", "copy.jpg,red,val", "blue/1.jpg,red,test", "blue/9.jpg,blue,test"]
    table = photos / "images.csv"
    table.write_text("\n".join(["path,label,split", *rows]))
    result = cli("check-data", str(table), "--json")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(line["file"], line["kind"], line["same_as"]) for line in lines] == [
        ("red/0.jpg", "empty", ""),
        ("red/1.jpg", "leak", "red/1.jpg"),
        ("blue/1.jpg", "two-classes", "blue/1.jpg"),
        ("copy.jpg", "duplicate", "red/1.jpg"),
        ("blue/1.jpg", "two-classes", "blue/1.jpg"),
        ("blue/9.jpg", "unreadable", ""),
    ]
    assert cli("check-data", str(table), "--quarantine", "away").exit_code == 2
    assert cli("check-data", "gone.csv").exit_code == 2


def test_flipped_bits_are_a_finding_or_an_image_and_never_a_crash(tmp_path: Path) -> None:
    draw = np.random.Generator(np.random.Philox(1))
    noise = draw.integers(0, 256, (24, 24, 3), np.uint8)
    for kind in ("jpg", "png", "gif", "webp", "tiff", "bmp", "ppm"):
        path = tmp_path / f"whole.{kind}"
        Image.fromarray(noise).save(path)
        whole = path.read_bytes()
        for _ in range(60):
            spoiled = bytearray(whole)
            for place in draw.integers(0, len(whole), 3):
                spoiled[place] ^= 1 << int(draw.integers(8))
            path.write_bytes(spoiled)
            look = read_or_note(str(tmp_path), path.name, 8)
            assert isinstance(look, bytes) or look.kind in KINDS
