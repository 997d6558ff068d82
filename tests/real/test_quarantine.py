"""check-data on folders as people keep them: what is found, what is moved, and that all of it comes back."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from clfctl.data.quarantine import LIST_NAME
from tests.real import folders as real

Cli = Callable[..., Result]
Make = Callable[[Path], Path]

ORIGINALS = {
    f"originals/{part}-{name}-{i}.jpg": "double" for part, n in (("train", 4), ("val", 2)) for name in real.PETS
    for i in range(n)
}  # fmt: skip


def tree(folder: Path) -> dict[str, Any]:
    """Every file and link under a folder with its content; folders that are links are not entered."""
    found: dict[str, Any] = {}
    for place, names, others in os.walk(folder):
        for path in (Path(place, name) for name in (*names, *others)):
            if path.is_symlink() or path.is_file():
                found[str(path.relative_to(folder))] = path.readlink() if path.is_symlink() else path.read_bytes()
    return found


def broken_links(folder: Path) -> set[str]:
    paths = (folder / name for name in tree(folder))
    return {path.name for path in paths if path.is_symlink() and not path.exists()}


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (real.image_folder, {}),
        (real.raw_with_originals, ORIGINALS),
        (real.with_cover, {"cover.jpg": "double"}),
        (real.run_in_the_data, {}),
        (real.synology_share, {}),
        (real.link_to_itself, {}),
        (real.linked_classes, {}),
        (real.training_of_links, {}),
        (real.link_beside_its_folder, {"cat/b": "duplicate"}),
        (real.linked_twice, {"kitty": "two-classes", "wolf/9.jpg": "two-classes"}),
        (real.validation_of_links, {"val/cat/0.jpg": "leak", "val/dog": "leak"}),
        (real.hard_links, {"cat/0.jpg": "two-classes", "dog/8.jpg": "two-classes", "cat/9.jpg": "duplicate"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_found_moved_and_brought_back(make: Make, found: dict[str, str], tmp_path: Path, cli: Cli) -> None:
    root, away = make(tmp_path / "data"), tmp_path / "away"
    before = tree(tmp_path)
    result = cli("check-data", str(root), "--quarantine", str(away), "--json")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert {line["file"]: line["kind"] for line in lines} == found
    wrong = {file for file, kind in found.items() if kind != "double"}
    assert result.exit_code == bool(wrong)
    assert {line["file"] for line in lines if "moved_to" in line} == wrong
    assert set(before) - set(tree(tmp_path)) == {f"data/{file}" for file in wrong}
    assert not broken_links(root)
    if wrong:
        assert cli("check-data", str(root), "--quarantine", str(away), "--undo").exit_code == 0
        (away / LIST_NAME).unlink()
    assert tree(tmp_path) == before


def spoiled(root: Path, n: int = 4) -> Path:
    real.classes(root, n=n)
    for name in real.PETS:
        for i in range(n):
            (root / name / f"{i}.jpg").write_bytes(b"" if i else b"no image")
    return root


@pytest.mark.parametrize("fails_at", range(4))
@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), KeyboardInterrupt()])
@pytest.mark.parametrize("is_first", [True, False])
def test_all_of_a_plan_is_moved_or_none(
    fails_at: int, error: BaseException, is_first: bool, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, away = spoiled(tmp_path / "data", 2), tmp_path / "away"
    if not is_first:  # the list of an earlier quarantine stays
        (root / "dog" / "old.jpg").write_bytes(b"")
        for name in ("cat/0.jpg", "cat/1.jpg", "dog/0.jpg", "dog/1.jpg"):
            (root / name).rename(tmp_path / name.replace("/", "-"))
        real.picture(root / "cat" / "8.jpg")
        cli("check-data", str(root), "--quarantine", str(away))
        for name in ("cat/0.jpg", "cat/1.jpg", "dog/0.jpg", "dog/1.jpg"):
            (tmp_path / name.replace("/", "-")).rename(root / name)
    before, link, n = tree(tmp_path), os.link, 0

    def failing(*words: Any, **options: Any) -> None:
        nonlocal n
        n += 1
        if n == fails_at + 1:
            raise error
        link(*words, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", failing)
        result = cli("check-data", str(root), "--quarantine", str(away))
    assert result.exit_code == (1 if isinstance(error, OSError) else 130)
    assert tree(tmp_path) == before
    assert cli("check-data", str(root), "--quarantine", str(away)).exit_code == 1
    assert cli("check-data", str(root), "--quarantine", str(away), "--undo").exit_code == 0
    assert {name: content for name, content in before.items() if name.startswith("data/")}.items() <= tree(
        tmp_path
    ).items()


@pytest.mark.parametrize("interrupted_at", range(4))
def test_a_ctrl_c_that_is_raised_after_its_system_call_loses_nothing(
    interrupted_at: int, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python raises KeyboardInterrupt when the call returns: the file is gone from its old place already."""
    root, away = spoiled(tmp_path / "data", 2), tmp_path / "away"
    before, unlink, n = tree(tmp_path), os.unlink, 0

    def interrupted(path: Any, **options: Any) -> None:
        nonlocal n
        unlink(path, **options)
        n += 1
        if n == interrupted_at + 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", interrupted)
        assert cli("check-data", str(root), "--quarantine", str(away)).exit_code == 130
    assert tree(tmp_path) == before


@pytest.mark.parametrize("killed_after", range(9))
def test_undo_repairs_what_a_killed_process_left(
    killed_after: int, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every call that changes the disk: after it nothing more happens, not even a clean-up."""
    root, away = spoiled(tmp_path / "data", 2), tmp_path / "away"
    before, n = tree(root), 0

    class Killed(BaseException):
        pass

    def dying(call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*words: Any, **options: Any) -> Any:
            nonlocal n
            n += 1
            if n > killed_after:
                raise Killed
            return call(*words, **options)

        return run

    with monkeypatch.context() as patch:
        for name in ("link", "unlink", "truncate", "rmdir"):
            patch.setattr(os, name, dying(getattr(os, name)))
        patch.setattr(Path, "unlink", dying(Path.unlink))
        try:
            cli("check-data", str(root), "--quarantine", str(away))
        except Killed:
            assert killed_after < 8
        else:
            assert killed_after == 8
    assert cli("check-data", str(root), "--quarantine", str(away), "--undo").exit_code == 0
    assert tree(root) == before
    assert [*tree(away)] == [LIST_NAME]


def test_undo_after_the_data_has_moved_puts_it_there(tmp_path: Path, cli: Cli) -> None:
    old, new, away = spoiled(tmp_path / "old"), tmp_path / "new", tmp_path / "away"
    before = tree(old)
    cli("check-data", str(old), "--quarantine", str(away))
    old.rename(new)
    other = real.classes(tmp_path / "other", ("fox", "owl"))
    refused = cli("check-data", str(other), "--quarantine", str(away), "--undo")
    assert refused.exit_code == 1
    assert "its folder does not exist" in refused.stderr
    assert sorted(path.name for path in other.iterdir()) == ["fox", "owl"]
    assert cli("check-data", str(new), "--quarantine", str(away), "--undo").exit_code == 0
    assert tree(new) == before
    assert not old.exists()


def test_undo_of_a_list_of_an_earlier_version(tmp_path: Path, cli: Cli) -> None:
    """It has neither the folder of the data nor the place of a file in it."""
    old, new, away = spoiled(tmp_path / "old"), tmp_path / "new", tmp_path / "away"
    before = tree(old)
    cli("check-data", str(old), "--quarantine", str(away))
    lines = [json.loads(line) for line in (away / LIST_NAME).read_text().splitlines()]
    kept = [{key: line[key] for key in ("from", "to", "kind", "reason")} for line in lines]
    (away / LIST_NAME).write_text("".join(json.dumps(line) + "\n" for line in kept) + '{"from": "/half')
    old.rename(new)
    assert cli("check-data", str(new), "--quarantine", str(away), "--undo").exit_code == 0
    assert tree(new) == before
    assert not old.exists()
    (new / "cat" / "0.jpg").write_bytes(b"")
    assert cli("check-data", str(new), "--quarantine", str(away)).exit_code == 1
    assert cli("check-data", str(new), "--quarantine", str(away), "--undo").exit_code == 0


def test_names_that_are_not_utf8_are_found_moved_and_brought_back(tmp_path: Path, cli: Cli) -> None:
    root, away = real.classes(tmp_path / "data"), tmp_path / "away"
    strange = root / os.fsdecode("caf\xe9".encode("cp1252")) / os.fsdecode("\xfc.jpg".encode("cp1252"))
    strange.parent.mkdir()
    strange.write_bytes(b"")
    for words in (("--json",), ()):
        result = cli("check-data", str(root), "--quarantine", str(away), *words)
        assert result.exit_code == 1
        assert not strange.exists()
        if words:
            line = json.loads(result.stdout)
            assert line["file"] == str(strange.relative_to(root))
            assert Path(line["moved_to"]).read_bytes() == b""
        else:
            assert "caf\\xe9/\\xfc.jpg" in result.stdout
        assert cli("check-data", str(root), "--quarantine", str(away), "--undo").exit_code == 0
        assert strange.read_bytes() == b""


def test_a_folder_that_training_refuses_is_checked_all_the_same(tmp_path: Path, cli: Cli) -> None:
    root = real.val_and_valid(tmp_path / "data")
    (root / "train" / "cat" / "0.jpg").write_bytes(b"")
    for copy in ("val/cat/copy.jpg", "valid/dog/copy.jpg", "train/dog/copy.jpg"):  # none of them is known to be wrong
        shutil.copy(root / "train" / "cat" / "1.jpg", root / copy)
    result = cli("check-data", str(root), "--quarantine", str(tmp_path / "away"))
    assert result.stdout.split("  ")[:2] == ["empty", "train/cat/0.jpg"]
    assert len(result.stdout.splitlines()) == 1
    assert "training would refuse this folder" in result.stderr
    assert sorted(tree(tmp_path / "away")) == [LIST_NAME, "train/cat/0.jpg"]
