"""--cache as users meet it: made once, used again, made anew when files change, refused where there is no room."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import Result

from clfctl.runs.checkpoint import load_checkpoint
from clfctl.runs.folder import RunFolder
from clfctl.storage.json_lines import read_json_lines
from tests.conftest import SMALL

Cli = Callable[..., Result]


MODEL = ("--model", "test_efficientnet", "--no-pretrained", "--epochs", "1", "--workers", "0")


@pytest.fixture
def words(photos: Path) -> tuple[str, ...]:
    """A training of half a second on photographs that are larger than what is kept of them."""
    draw = np.random.default_rng(0)
    for path in photos.rglob("*.jpg"):
        Image.fromarray(draw.integers(0, 255, (60, 80, 3), np.uint8)).save(path)
    return ("train", "--data", str(photos), *SMALL, *MODEL)


def cache_lines(result: Result) -> list[str]:
    assert result.exit_code == 0, result.output
    return [line for line in result.stderr.splitlines() if line.startswith("Cache")]


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def history_of(run: str) -> list[tuple[float, float]]:
    return [(each["train_loss"], each["val_loss"]) for each in read_json_lines(RunFolder(Path("runs") / run).history)]


@pytest.mark.slow
def test_it_is_made_once_and_trains_as_the_one_in_memory(words: tuple[str, ...], cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "clfctl" / "images"
    (line,) = cache_lines(cli(*words, "--cache", "disk", "--run-name", "first"))
    (name,) = files_in(folder)
    assert line.startswith(f"Cache  making {folder / name}: 24 images, about 104.5 kB")
    written = (folder / name).stat().st_mtime_ns
    assert cache_lines(cli(*words, "--cache", "disk", "--run-name", "second")) == [f"Cache  {folder / name}, 104.8 kB"]
    assert (folder / name).stat().st_mtime_ns == written
    (line,) = cache_lines(cli(*words, "--cache", "ram", "--run-name", "third"))
    assert line == "Cache  decoding 24 images into memory, about 104.5 kB"
    assert history_of("first") == history_of("second") == history_of("third")
    assert cache_lines(cli(*words, "--run-name", "without")) == []
    assert history_of("without") != history_of("first")


@pytest.mark.slow
def test_another_split_of_the_same_images_needs_no_other_cache(words: tuple[str, ...], cli: Cli) -> None:
    for options in ((), ("--seed", "7", "--val-split", "0.5", "--augment", "none")):
        cache_lines(cli(*words, "--cache", "disk", "--cache-dir", "here", *options))
    assert len(files_in(Path("here"))) == 1
    cache_lines(cli(*words, "--cache", "disk", "--cache-dir", "here", "--image-size", "40"))
    assert len(files_in(Path("here"))) == 2


def test_changed_files_are_decoded_again_and_the_old_cache_is_removed(
    words: tuple[str, ...], photos: Path, cli: Cli
) -> None:
    words += ("--cache", "disk", "--cache-dir", "here")
    cache_lines(cli(*words))
    before = files_in(Path("here"))
    Image.new("RGB", (80, 60), "white").save(photos / "red" / "new.jpg")
    removed, made = cache_lines(cli(*words))
    assert removed == "Cache  removed 104.8 kB of the images as they were before they changed"
    assert made.startswith("Cache  making here/photos-33-")
    assert len(files_in(Path("here"))) == 1
    assert files_in(Path("here")) != before


def test_parts_of_their_own_have_caches_of_their_own(photos: Path, words: tuple[str, ...], cli: Cli) -> None:
    (photos / "train").mkdir()
    for color in ("red", "green", "blue"):
        (photos / color).rename(photos / "train" / color)
        (photos / "val" / color).mkdir(parents=True)
        (photos / "train" / color / "0.jpg").rename(photos / "val" / color / "0.jpg")
    made = cache_lines(cli(*words, "--cache", "disk", "--cache-dir", "here"))
    assert [re.sub("-33-.*: ", "-33: ", line) for line in made] == [
        "Cache  making here/photos-train-33: 21 images, about 91.5 kB",
        "Cache  making here/photos-val-33: 3 images, about 13.1 kB",
    ]
    assert len(cache_lines(cli(*words, "--cache", "disk", "--cache-dir", "here"))) == 2


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ram", "disk"])
def test_bad_images_are_skipped_listed_and_counted_whenever_it_was_made(
    kind: str, photos: Path, words: tuple[str, ...], cli: Cli
) -> None:
    (photos / "red" / "3.jpg").write_text("no image")
    for run in ("making", "using"):
        result = cli(*words, "--cache", kind, "--run-name", run)
        assert "Bad images skipped: 1" in result.stderr
        (bad,) = read_json_lines(RunFolder(Path("runs") / run).bad_images)
        assert bad["image"].endswith("red/3.jpg")
        assert bad["reason"] == "is not in an image format that can be read"
    assert history_of("making") == history_of("using")
    result = cli(*words, "--cache", kind, "--cache-dir", "here", "--on-bad-image", "error", "--run-name", "strict")
    assert result.exit_code == 1
    assert re.search(r"red/3\.jpg cannot be read: is not in an image format", result.stderr)
    for n in range(3):
        (photos / "blue" / f"{n}.jpg").write_text("no image")
    result = cli(*words, "--cache", kind, "--cache-dir", "here", "--run-name", "many")
    assert result.exit_code == 1
    assert "of 24 images cannot be read" in result.stderr
    assert not Path("runs/many").exists()
    assert not Path("runs/strict").exists()
    assert not Path("here").exists() or files_in(Path("here")) == []


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "command"), [("ram", "train"), ("disk", "dry run")])
def test_without_room_it_is_refused_before_anything_is_decoded(
    kind: str, command: str, cli: Cli, tmp_path: Path
) -> None:
    """300,000 times one image of 731 x 2924 pixels: 1.9 TB."""
    if kind == "disk" and shutil.disk_usage(tmp_path).free > 1.9e12:
        pytest.skip("there is room for all of it")
    Image.new("L", (731, 2924)).save(tmp_path / "large.jpg")
    rows = "".join(f"large.jpg,{n % 2}\n" for n in range(300_000))
    (tmp_path / "many.csv").write_text(f"path,label\n{rows}")
    words = ("train", "--data", str(tmp_path / "many.csv"), "--image-size", "640", "--cache", kind)
    result = cli(*words, *MODEL, "--cache-dir", "here", *(("--dry-run",) if command != "train" else ()))
    assert result.exit_code == 1
    where = "" if kind == "ram" else " in here"
    said = rf"Error: --cache: {kind} needs about \d{{4}}\.\d GB{where}, but only .* GB (of memory )?is free\n  "
    assert re.match(said, result.stderr), result.stderr
    assert len(result.stderr.splitlines()) == 2
    assert not Path("runs").exists()


def test_dry_run_says_what_would_be_made_and_makes_nothing(words: tuple[str, ...], cli: Cli) -> None:
    words += ("--cache-dir", "here")
    result = cli(*words, "--cache", "disk", "--dry-run")
    assert re.search(r"Cache  here/photos-33-\w+-\w+\.pixels, to be made, about 104\.5 kB", result.stdout)
    assert files_in(Path("here")) == []
    cache_lines(cli(*words, "--cache", "disk"))
    assert re.search(r"\.pixels, 104\.8 kB", cli(*words, "--cache", "disk", "--dry-run").stdout)
    assert "Cache  in memory, about 104.5 kB" in cli(*words, "--cache", "ram", "--dry-run").stdout


def test_quiet_says_nothing_and_json_keeps_standard_output_to_itself(words: tuple[str, ...], cli: Cli) -> None:
    result = cli(*words, "--cache", "disk", "--quiet")
    assert (result.exit_code, result.output) == (0, "")
    result = cli(*words, "--cache", "ram", "--json")
    assert [json.loads(line)["epoch"] for line in result.stdout.splitlines()] == [1]


def test_a_run_may_be_resumed_with_another_cache_which_is_shown_and_recorded(words: tuple[str, ...], cli: Cli) -> None:
    assert cli(*words, "--run-name", "one").exit_code == 0
    result = cli("resume", "runs/one", "--epochs", "2", "--cache", "disk", "--cache-dir", "here")
    assert result.exit_code == 0, result.output
    assert "Change --cache none → disk" in result.stderr
    assert len(files_in(Path("here"))) == 1
    (change,) = load_checkpoint(RunFolder(Path("runs/one")).last).meta["changes"]
    assert change["settings"]["cache"] == {"old": "none", "new": "disk"}
    assert 'cache = "disk"' in RunFolder(Path("runs/one")).config.read_text()
    # What is left to do decides: a finished run needs no cache.
    again = cli("resume", "runs/one", "--cache", "ram")
    assert "nothing left to train" in again.stderr
    assert "into memory" not in again.stderr


def test_a_cache_for_which_there_is_no_room_does_not_stay_with_the_run(words: tuple[str, ...], cli: Cli) -> None:
    assert cli(*words, "--run-name", "one").exit_code == 0
    result = cli("resume", "runs/one", "--epochs", "2", "--cache", "disk", "--cache-dir", "/proc/nowhere")
    assert result.exit_code == 1
    assert "--cache-dir: /proc/nowhere cannot be made" in result.stderr
    assert load_checkpoint(RunFolder(Path("runs/one")).last).meta["changes"] == []
    assert cli("resume", "runs/one", "--epochs", "2").exit_code == 0


def test_show_batch_shows_what_the_cache_would_hold(words: tuple[str, ...], cli: Cli) -> None:
    for name, options in (("with", ("--cache", "disk", "--cache-dir", "here")), ("without", ())):
        assert cli(*words, "--show-batch", f"{name}.png", *options).exit_code == 0
    assert Path("with.png").read_bytes() != Path("without.png").read_bytes()
    assert not Path("here").exists()
