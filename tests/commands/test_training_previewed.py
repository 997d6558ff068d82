"""The preview of a training is what the training does: its options, its data's defaults, its batches."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

import clfctl
from clfctl.cli.app import make_app
from clfctl.data.sources.batches import batches_per_epoch
from clfctl.data.sources.names import DIGITS_PER_CLASS
from clfctl.data.sources.open import open_data
from clfctl.settings.groups import CURVE, PlanSettings, TrainSettings
from tests.conftest import make_photos

Cli = Callable[..., Result]
TOLD = "Note: no data is stated, so these are the defaults of digits: "


def rows(result: Result) -> list[tuple[str, ...]]:
    assert result.exit_code == 0, result.output
    return [tuple(row.values())[1:] for row in csv.DictReader(io.StringIO(result.stdout))]


@pytest.mark.slow
@pytest.mark.parametrize("warmup", [(), ("--warmup", "1"), ("--warmup", "20b", "--lr-every", "batch")])
def test_digits_are_previewed_as_they_are_trained(warmup: tuple[str, ...], cli: Cli) -> None:
    # What makes it quick touches the data and the model, not the curve of its eight epochs.
    words = ("--data", "digits", "--max-per-class", "8", "--batch-size", "9", "--model", "resnet9_small", *warmup)
    shown = cli("lr-preview", "cosine", *words, "--format", "csv")
    trained = cli("train", "--scheduler", "cosine", *words, "--image-size", "8", "--no-export", "--json")
    recorded = [json.loads(line) for line in trained.stdout.splitlines()]
    assert rows(shown) == [(str(each["epoch"]), repr(each["lr_start"]), repr(each["lr"])) for each in recorded]
    assert len(recorded) == 8


def test_the_command_of_a_training_is_that_of_its_preview(cli: Cli) -> None:
    shared = (
        "--data",
        "digits",
        "-s",
        "cosine",
        "-b",
        "64",
        "--warmup",
        "30b",
        "--val_split",
        "0.1",
        "--format",
        "csv",
    )
    beside = ("--augment", "none", "--amp", "off", "-n", "x", "--model", "resnet9_small", "--image-size", "8")
    more = ("--no-export", "--workers=2", "--num_workers", "3", "--dry-run", "--show-batch", "a.png", "--from", "gone")
    assert rows(cli("lr-preview", *shared, *beside, *more)) == rows(cli("lr-preview", *shared))
    assert not Path("a.png").exists()
    assert not Path("runs").exists()
    assert cli("lr-preview", *shared, "--augmnt", "none").exit_code == 2


def test_what_is_typed_as_for_train_is_as_long_as_training(cli: Cli) -> None:
    """A schedule that was asked for alone is shown to its end, where nothing says that it is part of a training."""
    assert len(rows(cli("lr-preview", "cosine", "--t-max", "50", "--format", "csv"))) == 50
    for words in (("-s", "cosine"), ("cosine", "--data", "digits")):
        assert len(rows(cli("lr-preview", *words, "--t-max", "50", "--format", "csv"))) == 8


def test_the_defaults_that_are_shown_are_said_in_one_line(cli: Cli, photos: Path) -> None:
    cases = {
        ("cosine",): "--epochs 8, --lr 0.001, 45 batches an epoch.",
        ("step",): "--epochs 8, --lr 0.001, --step-size 3, 45 batches an epoch.",
        ("cosine", "--epochs", "3", "--lr", "1"): "45 batches an epoch.",
        ("cosine", "-b", "100", "--lr", "1"): "--epochs 8, 15 batches an epoch.",
        (
            "cosine:20",
            "--steps-per-epoch",
            "9",
        ): "--lr 0.001; a training has --epochs 8, here the length is the schedule's",
        ("cosine:20", "step"): "--epochs 8, --lr 0.001, --step-size 3, 45 batches an epoch.",
    }
    for words, told in cases.items():
        for style in ("plot", "csv"):
            lines = cli("lr-preview", *words, "--format", style).stderr.splitlines()
            assert [line.startswith(TOLD + told) for line in lines if line.startswith("Note")] == [True], words
    assert "Note" not in cli("lr-preview", "cosine", "--json").output
    assert "Note" not in cli("lr-preview", "cosine", "--data", str(photos)).output
    assert "Note" not in cli("lr-preview", "cosine", "--epochs", "3", "--lr", "1", "--steps-per-epoch", "9").output
    Path("clfctl.toml").write_text('data = "digits"')
    assert "Note" not in cli("lr-preview", "cosine").output


def test_every_source_of_settings_counts(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert rows(cli("lr-preview", "--recipe", "long-cosine", "--format", "csv"))[49][0] == "50"
    monkeypatch.setenv("CLFCTL_EPOCHS", "4")
    Path("mine.toml").write_text('lr = 0.5\nscheduler = "constant"\nbatch_size = 7')
    found = rows(cli("lr-preview", "--config", "mine.toml", "--warmup", "1", "--format", "csv"))
    n = batches_per_epoch(TrainSettings(batch_size=7), 0, print)
    assert found == [("1", "0.0", repr(0.5 * ((n - 1) / n))), *((str(each), "0.5", "0.5") for each in (2, 3, 4))]


def test_each_batch_is_that_of_the_data(cli: Cli, photos: Path) -> None:
    words = ("linear", "--data", str(photos), "--epochs", "2", "--batch-size", "5", "--lr", "1")
    found = rows(cli("lr-preview", *words, "--each-batch", "--format", "csv"))
    n = batches_per_epoch(TrainSettings(data=str(photos), batch_size=5), 0, print)
    assert [(int(epoch), int(batch)) for epoch, batch, _ in found] == [(e, b + 1) for e in (1, 2) for b in range(n)]
    assert [float(lr) for _, _, lr in found] == pytest.approx([1 - b / (2 * n) for b in range(2 * n)])
    # The user's number counts more, and needs no data.
    other = cli("lr-preview", "linear", "--data", "gone/", "--steps-per-epoch", "3", "--epochs", "2", "--format", "csv")
    assert len(rows(other)) == 6


SIZES = [
    {"data": "digits"},
    {"data": "digits", "val_split": 0.5, "max_per_class": 70},
    {"data": "digits", "val_split": 0.0, "batch_size": 64, "seed": 3},
    {"data": "digits", "max_per_class": 2},
    {"data": "photos", "batch_size": 5},
    {"data": "photos", "val_split": 0.0, "max_per_class": 3},
]


@pytest.mark.parametrize("fields", SIZES)
def test_batches_are_counted_as_training_counts_them(fields: dict[str, object], tmp_path: Path) -> None:
    make_photos(tmp_path)
    settings = TrainSettings.model_validate(
        fields | {"data": str(fields["data"]).replace("photos", f"{tmp_path}/photos")}
    )
    data = open_data(settings, settings.seed)
    size = min(settings.batch_size, len(data.train))
    full, rest = divmod(len(data.train), size)
    assert batches_per_epoch(settings, settings.seed, print) == full + (rest > 1)


def test_the_scans_of_digits_are_as_many_as_are_known() -> None:
    from sklearn.datasets import load_digits

    labels = load_digits().target.tolist()
    assert tuple(labels.count(digit) for digit in range(10)) == DIGITS_PER_CLASS


def test_data_that_is_not_there(cli: Cli) -> None:
    told = "Note: mnist is not in data, so how many batches an epoch has is not known; --steps-per-epoch N says it"
    # Nothing is downloaded for a preview, whatever the training would do.
    shown = cli("lr-preview", "cosine", "--data", "mnist", "--download", "--format", "csv")
    assert len(rows(shown)) == 25
    assert told in shown.stderr
    unknown = cli("lr-preview", "cosine", "--data", "mnist", "--each-batch", "--format", "csv")
    assert unknown.exit_code == 2
    for words, message in (
        (("--data", "gone/"), "--data: gone does not exist"),
        (("--data", "digts"), "did you mean digits"),
        (("--data", "digits", "--batch-size", "5000"), "--batch-size: 5000 is more than the 1438 training images"),
    ):
        result = cli("lr-preview", "cosine", *words)
        assert result.exit_code == 2
        assert message in result.stderr


@pytest.mark.slow
def test_what_a_training_measures_is_measured(cli: Cli) -> None:
    words = ("--data", "digits", "--max-per-class", "5", "--model", "resnet9_small", "--image-size", "8")
    result = cli("lr-preview", "cosine", *words, "--time", "20s", "--epochs", "3", "--format", "csv")
    assert len(rows(result)) == 3
    assert "what was measured is an estimate: training measures again" in result.stderr


def test_help_shows_what_touches_the_curve() -> None:
    from typer.main import get_command

    command = get_command(make_app("lr-preview")).commands["lr-preview"]  # type: ignore[attr-defined]
    settings = {each.name: each for each in command.params if each.name in TrainSettings.model_fields}
    assert settings.keys() == TrainSettings.model_fields.keys()
    assert {name for name, each in settings.items() if not each.hidden} == {*CURVE} & settings.keys()
    assert set(PlanSettings.model_fields) < set(CURVE)


def test_hidden_options_are_declared_where_they_are_typed() -> None:
    from typer.main import get_command

    def declared(*words: str) -> set[str | None]:
        command = get_command(make_app("lr-preview", ["lr-preview", *words])).commands["lr-preview"]  # type: ignore[attr-defined]
        return {each.name for each in command.params}

    cases: list[tuple[str, ...]] = [(), ("cosine", "-e3", "--min_lr=1", "--no-warmup-inside", "--list"), ("-h",)]
    for words in cases:
        assert "augment" not in declared(*words), words
        assert "warmup" in declared(*words)
    cases = [("--augment", "none"), ("--img_size=3",), ("-n", "x"), ("--no-export",)]
    for words in cases:
        assert {"augment", "warmup"} < declared(*words), words


def test_the_library_previews_the_same(cli: Cli) -> None:
    found = clfctl.preview("cosine", data="digits", batch_size=50, warmup="10b")
    shown = cli("lr-preview", "cosine", "--data", "digits", "--batch-size", "50", "--warmup", "10b", "--format", "csv")
    assert [(str(epoch), repr(start), repr(end)) for epoch, start, end in found.rates] == rows(shown)
    assert not found.notes
    assert clfctl.preview("cosine").notes[0].startswith(TOLD.replace("--", ""))
