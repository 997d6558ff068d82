"""clfctl bench-data: every part of it on real files, with windows that are as short as can be; never a speed."""

import json
import os
import re
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import Result

from clfctl.bench.windows import worker_counts
from clfctl.data.workers import n_cores
from clfctl.settings.sources import read_config
from tests.conftest import SMALL_IMAGES
from tests.faults.processes import start

Cli = Callable[..., Result]
SHORT = (*SMALL_IMAGES, "--seconds", "0.01")
# Other packages of NVIDIA's make the folder that DALI's would lie in.
HAS_DALI = find_spec("nvidia") is not None and find_spec("nvidia.dali") is not None
NEEDS_DALI = pytest.mark.skipif(not HAS_DALI, reason="NVIDIA DALI is not installed")


def bench(cli: Cli, photos: Path, *words: str) -> list[dict[str, Any]]:
    result = cli("bench-data", "--data", str(photos), *SHORT, *words, "--json")
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def of_kind(records: list[dict[str, Any]], section: str) -> list[dict[str, Any]]:
    return [each for each in records if each["section"] == section]


def assert_rates(record: dict[str, Any], n_windows: int | None = None) -> None:
    assert 0 < record["low"] <= record["images_per_s"] <= record["high"]
    assert n_windows in (None, record["n_windows"])


def test_json_says_everything_that_was_measured(photos: Path, cli: Cli) -> None:
    records = bench(cli, photos)
    files, *rest = records
    assert files["section"] == "files"
    # Two of each eight are for validation; how many of the others are measured with is a question of time.
    assert (files["n_all"], files["page_cache"]) == (18, "warm")
    assert 2 * 6 <= files["n_images"] <= 18
    stages = of_kind(rest, "stage")
    assert [each["stage"] for each in stages][:3] == ["read", "decode and crop", "resize"]
    assert sum(each["share"] for each in stages) == pytest.approx(1)
    for each in stages:
        assert_rates(each)
    rows = of_kind(rest, "loader")
    for cache in ("none", "disk"):
        assert [row["workers"] for row in rows if row["cache"] == cache] == worker_counts(n_cores())
    for row in rows:
        assert_rates(row, n_windows=5)
        assert row["peak_memory_bytes"] > 0
    (advice,) = of_kind(rest, "recommendation")
    assert (advice["workers"], advice["cache"]) in [(row["workers"], row["cache"]) for row in rows]
    assert advice["reasons"]
    assert [each["workers"] for each in of_kind(rest, "auto")] >= [1]
    assert len(records) == 1 + len(stages) + len(rows) + 1 + 1
    # A cache of the sample leaves nothing behind.
    assert not list((Path(os.environ["XDG_CACHE_HOME"]) / "clfctl/images").iterdir())


def test_the_cache_that_is_asked_for_is_measured(photos: Path, cli: Cli) -> None:
    rows = of_kind(bench(cli, photos, "--cache", "ram"), "loader")
    assert {row["cache"] for row in rows} == {"none", "ram"}


def test_where_no_cache_can_be_made_the_rest_is_measured(photos: Path, cli: Cli) -> None:
    Path("taken").touch()
    result = cli("bench-data", "--data", str(photos), *SHORT, "--cache-dir", "taken", "--json")
    assert result.exit_code == 0, result.output
    assert "--cache disk is not measured: taken cannot be made" in result.stderr
    rows = of_kind([json.loads(line) for line in result.stdout.splitlines()], "loader")
    assert {row["cache"] for row in rows} == {"none"}


@pytest.mark.slow
def test_a_model_is_measured_alone_and_fed(photos: Path, cli: Cli) -> None:
    records = bench(cli, photos, "--model", "custom")
    (model,) = of_kind(records, "model")
    assert model["model"] == "custom"
    assert model["bottleneck"] in ("model", "data", "both")
    assert_rates(model, n_windows=3)
    trained = of_kind(records, "training")
    assert trained
    for each in trained:
        assert_rates(each, n_windows=3)
    (advice,) = of_kind(records, "recommendation")
    assert (advice["workers"], advice["cache"]) in [(each["workers"], each["cache"]) for each in trained]


def test_a_batch_of_one_image_is_a_batch(photos: Path, cli: Cli) -> None:
    assert of_kind(bench(cli, photos, "--model", "custom", "--image-size", "64", "--batch-size", "1"), "training")


@pytest.mark.slow
def test_a_model_of_a_file_or_a_recipe_counts_as_named(photos: Path, cli: Cli) -> None:
    Path("clfctl.toml").write_text('model = "custom"\nlr = 1e-3\nscheduler = "cosine"\n')
    assert of_kind(bench(cli, photos), "model")


@pytest.mark.slow
def test_text_for_a_pipe_has_the_same_numbers_of_rows(photos: Path, cli: Cli) -> None:
    result = cli("bench-data", "--data", str(photos), *SHORT)
    assert result.exit_code == 0, result.output
    assert re.match(r"Measured with (all|1\d of) 18 training images of", result.stdout)
    assert "now they come from memory, not disk." in result.stdout
    sections = result.stdout.split("\n\n")
    assert [part.splitlines()[0].split()[0] for part in sections[:4]] == ["Measured", "One", "The", "Set"]
    assert len(sections[1].splitlines()) == 2 + 7 + 1
    assert "\x1b" not in result.output
    assert cli("bench-data", "--data", str(photos), *SHORT, "--quiet").output == ""


@pytest.mark.slow
def test_digits_need_no_file(cli: Cli) -> None:
    result = cli("bench-data", "--data", "digits", "--seconds", "0.01", "--batch-size", "64")
    assert result.exit_code == 0, result.output
    assert "They are in memory, and not encoded." in result.stdout


@pytest.mark.slow
def test_what_is_recommended_is_kept_and_the_file_keeps_its_lines(photos: Path, cli: Cli) -> None:
    file = Path("clfctl.toml")
    file.write_text("# mine\nepochs = 5  # few\nnum-workers = 7  # too many\n")
    result = cli("bench-data", "--data", str(photos), *SHORT, "--write", "clfctl.toml", "--json")
    assert result.exit_code == 0, result.output
    records = [json.loads(line) for line in result.stdout.splitlines()]
    (advice,) = of_kind(records, "recommendation")
    # What is set is measured as well.
    assert {row["workers"] for row in of_kind(records, "loader")} == {*worker_counts(n_cores()), 7}
    lines = file.read_text().splitlines()
    assert lines[:3] == ["# mine", "epochs = 5  # few", f"num-workers = {advice['workers']}  # too many"]
    is_changed = advice["workers"] != 7 or advice["cache"] != "none"
    assert ("Wrote clfctl.toml: " if is_changed else "clfctl.toml says so already.") in result.stderr
    assert (f"workers 7 → {advice['workers']}" in result.stderr) == (advice["workers"] != 7)
    kept = read_config(file).values
    assert kept["workers"] == advice["workers"]
    assert kept.get("cache", "none") == advice["cache"]


@pytest.mark.parametrize("name", ["chart.png", "chart.svg"])
def test_a_new_file_and_the_chart_are_written(name: str, photos: Path, cli: Cli) -> None:
    result = cli("bench-data", "--data", str(photos), *SHORT, "--plot", name, "--write", "new.toml")
    assert result.exit_code == 0, result.output
    assert read_config(Path("new.toml")).values["workers"] in worker_counts(n_cores())
    assert f"Wrote {name}" in result.stderr
    if name.endswith("png"):
        with Image.open(name) as image:
            assert image.width == 1200
    else:
        text = Path(name).read_text()
        assert text.count("<svg") == 1


def test_show_batch_is_that_of_train(photos: Path, cli: Cli) -> None:
    result = cli("bench-data", "--data", str(photos), *SMALL_IMAGES, "--show-batch", "mine.png")
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    assert cli("train", "--data", str(photos), *SMALL_IMAGES, "--show-batch", "of-train.png").exit_code == 0
    assert Path("mine.png").read_bytes() == Path("of-train.png").read_bytes()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_against_torchvision_gives_a_ratio(photos: Path, cli: Cli) -> None:
    records = of_kind(bench(cli, photos, "--against", "torchvision"), "against")
    assert [each["name"] for each in records] == ["clfctl", "clfctl --cache disk", "torchvision"]
    assert records[0]["times"]["torchvision"] > 0
    assert records[1]["times"]["torchvision"] > 0
    assert records[2]["times"] == {}
    assert len({each["workers"] for each in records}) == 1 <= records[0]["workers"]
    for each in records:
        assert_rates(each, n_windows=5)


@NEEDS_DALI
def test_against_dali_gives_a_ratio(photos: Path) -> None:
    process = start("bench-data", "--data", str(photos), *SHORT, "--against", "dali", "--json")
    assert process.wait() == 0, process.err.read_text()
    records = [json.loads(line) for line in process.out.read_text().splitlines()]
    assert [each["name"] for each in of_kind(records, "against")] == ["clfctl", "clfctl --cache disk", "dali"]


@pytest.mark.parametrize(("words", "message", "hint"), [
    (("--against", "tensorflow"), "--against: 'tensorflow' is not known", "there are: torchvision, dali"),
    (("--against", "torchvison"), "--against: 'torchvison' is not known", "did you mean torchvision?"),
    (("--against", "torchvision", "--augment", "rand"), "--against: compares a random crop and a flip only", "--augm"),
    (("--plot", "a.pdf"), "--plot: cannot tell the format from a.pdf", "must end in .png, .svg"),
    (("--plot", "gone/a.png"), "--plot: gone is not a folder", "make it first"),
    (("--write", "gone/a.toml"), "--write: gone is not a folder", "make it first"),
    (("--write", "a.yaml"), "--write: a.yaml is not a TOML file", ".toml"),
    (("--write", "broken.toml"), "broken.toml is not valid TOML", ""),
    (("--write", "foreign.toml"), "foreign.toml sets 'colour', which is not a setting", ""),
    (("--model", "custm"), "--model: 'custm' is not a model", "did you mean"),
    (("--seconds", "0"), "Invalid value for '--seconds'", ""),
    (("--data", "nowhere/"), "--data: nowhere does not exist", "give a folder of class folders"),
    (("--batch-size", "4000"), "--batch-size: 4000 is more than the 18 training images", "give at most 18"),
])  # fmt: skip
def test_wrong_usage_is_said_before_anything_is_measured(
    words: tuple[str, ...], message: str, hint: str, photos: Path, cli: Cli
) -> None:
    Path("broken.toml").write_text("a = = 1")
    Path("foreign.toml").write_text("colour = 1")
    result = cli("bench-data", "--data", str(photos), *SHORT, *words)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    said = " ".join(result.stderr.split())
    assert message in said
    assert hint in said


def test_what_is_not_installed_is_said(photos: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nvidia", None)  # as Python marks what cannot be imported
    monkeypatch.delitem(sys.modules, "nvidia.dali", raising=False)
    result = cli("bench-data", "--data", str(photos), *SHORT, "--against", "dali")
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        "Error: --against: dali is not installed",
        "  pip install nvidia-dali-cuda120",
    ]


def test_against_needs_a_folder(cli: Cli) -> None:
    result = cli(
        "bench-data", "--data", "digits", "--augment", "light", "--seconds", "0.01", "--against", "torchvision"
    )
    assert result.exit_code == 2
    assert "--against: digits is not a folder of class folders" in result.stderr


def test_bad_images_are_skipped_and_counted_and_too_many_end_it(photos: Path, cli: Cli) -> None:
    for n in range(20):
        (photos / f"red/x{n}.jpg").write_bytes((photos / "red/0.jpg").read_bytes())
    (photos / "red/0.jpg").write_bytes(b"no image")
    result = cli("bench-data", "--data", str(photos), *SHORT, "--val-split", "0")
    assert result.exit_code == 0, result.output
    assert "1 image cannot be read and was skipped" in result.stderr
    for path in photos.rglob("*.jpg"):
        path.write_bytes(b"no image")
    result = cli("bench-data", "--data", str(photos), *SHORT)
    assert result.exit_code == 1
    assert "images cannot be read" in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(2, 130), (15, 143)])
def test_a_signal_ends_it_with_what_was_measured_so_far(number: int, code: int, photos: Path) -> None:
    process = start(
        "bench-data", "--data", str(photos), *SMALL_IMAGES, "--seconds", "20", "--json", prepare=STAGES_AT_ONCE
    )
    process.wait_for('"section": "stage"')
    os.kill(process.pid, number)
    assert process.wait() == code, process.err.read_text()
    error = process.err.read_text()
    assert "What was measured until then is shown above." in error
    assert "Traceback" not in error
    records = [json.loads(line) for line in process.out.read_text().splitlines()]
    assert of_kind(records, "stage")
    assert not of_kind(records, "recommendation")


# The stages are not what the test is about, and would take three windows of 20 seconds.
STAGES_AT_ONCE = "import clfctl.bench.run; clfctl.bench.run.STAGES_WINDOWS = 0"
