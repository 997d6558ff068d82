"""Runs of other versions, made from an older one: read where they can be, else refused in one sentence."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from clfctl.runs.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from clfctl.runs.folder import RunFolder
from clfctl.runs.header import previous_of
from clfctl.settings.older import RETIRED
from clfctl.storage.json_lines import read_json_lines, write_json_lines
from tests.compatibility.test_older_runs import WRITTEN

Cli = Callable[..., Result]
Meta = dict[str, Any]
RUN = RunFolder(Path("run"))
COMMANDS = {
    "runs": ("runs", "run", "--json"),
    "lr-preview": ("lr-preview", "run", "--format", "csv"),
    "resume": ("resume", "run", "--no-export"),
    "eval": ("eval", "run"),
    "predict": ("predict", "run", "photos/red", "--json"),
    "export": ("export", "run"),
}


def doctored(change: Callable[[Meta], object]) -> None:
    """Put a run here whose checkpoints say something else, with a checksum that holds."""
    shutil.copytree(WRITTEN[0], ".", dirs_exist_ok=True)
    for path in (RUN.last, RUN.last.with_name("last.previous.safetensors"), RUN.best):
        if path.is_file():
            checkpoint = load_checkpoint(path)
            change(checkpoint.meta)
            save_checkpoint(path, Checkpoint(checkpoint.tensors, checkpoint.meta))


def as_another_version(meta: Meta) -> None:
    """All at once: records with more and with less, settings renamed, missing, retired and unknown."""
    for record in meta["history"]:
        record |= {"val_calibration": 0.5, "worst": "red", "parts": [1, 2]}
        del record["images_per_s"], record["lr_start"]
    settings = meta["settings"]
    settings["checkpoint_every"] = settings.pop("save_every")
    settings["opt"] = settings.pop("optimizer")
    settings |= {"gpu_affinity": "near", "of_the_future": [1]}
    del settings["label_smoothing"], settings["cutmix"]
    meta["weather"] = "fine"


@pytest.fixture
def other(monkeypatch: pytest.MonkeyPatch) -> None:
    """The run of another version; one of its settings is retired since."""
    monkeypatch.setitem(RETIRED, "gpu_affinity", "the system decides")
    doctored(as_another_version)
    write_json_lines(RUN.history, load_checkpoint(RUN.last).meta["history"])


@pytest.mark.slow
@pytest.mark.usefixtures("other")
@pytest.mark.parametrize("command", ["runs", "lr-preview", "eval", "predict", "export"])
def test_a_run_of_another_version_is_used(command: str, cli: Cli) -> None:
    result = cli(*COMMANDS[command])
    assert result.exit_code == 0, result.output
    if command == "runs":
        assert json.loads(result.stdout)["best_epoch"] == 2
    if command == "lr-preview":
        told = "gpu_affinity = near of run/checkpoints/last.safetensors; the system decides."
        assert told in result.stderr


@pytest.mark.usefixtures("other")
def test_a_run_of_another_version_is_resumed_and_told_what_is_left_out(cli: Cli) -> None:
    result = cli(*COMMANDS["resume"])
    assert result.exit_code == 0, result.output
    assert "Left out: gpu_affinity = near" in result.stderr
    assert "Left out: of_the_future = " in result.stderr
    history = read_json_lines(RUN.history)
    assert [each["epoch"] for each in history] == [1, 2, 3, 4]
    assert [each["lr"] for each in history] == [0.0022500000000000003, 0.003, 0.003, 0.0015]
    assert history[0]["val_calibration"] == 0.5  # a number of an unknown name is a metric
    assert "worst" not in history[0]
    settings = load_checkpoint(RUN.last).meta["settings"]
    assert (settings["save_every"], settings["optimizer"], settings["keep_best"]) == (1, "adamw", "monitor")
    assert not {"gpu_affinity", "of_the_future", "opt", "checkpoint_every"} & settings.keys()


@pytest.mark.parametrize(
    ("command", "option"), [("resume", "--monitor"), ("resume", "--keep-best"), ("lr-preview", "--monitor")]
)
def test_what_training_goes_by_from_now_on_must_have_been_measured(command: str, option: str, cli: Cli) -> None:
    shutil.copytree(WRITTEN[0], ".", dirs_exist_ok=True)
    result = cli(command, "run", option, "val_f1")
    assert result.exit_code == 2, result.output
    assert f"{option}: epoch 1 was trained by a version of clfctl that did not measure val_f1" in result.stderr
    assert "train_loss, val_loss, val_top1" in result.stderr


def test_a_preview_reads_the_predecessor_of_a_record_that_is_nonsense(cli: Cli) -> None:
    shutil.copytree(WRITTEN[0], ".", dirs_exist_ok=True)
    expected = cli(*COMMANDS["lr-preview"]).stdout
    shutil.copy(RUN.last, previous_of(RUN.last))
    checkpoint = load_checkpoint(RUN.last)
    save_checkpoint(RUN.last, Checkpoint(checkpoint.tensors, checkpoint.meta | {"history": ["x"]}))
    result = cli(*COMMANDS["lr-preview"])
    assert result.exit_code == 0, result.output
    assert result.stdout == expected


def nonsense(*keys: str, value: object = ...) -> Callable[[Meta], None]:
    """Return what sets, or without a value takes away, what lies under some keys; `*` is each of a list."""

    def change(meta: Any, keys: tuple[str, ...] = keys) -> None:
        first, *rest = keys
        if rest:
            for each in meta[first] if rest[0] == "*" else [meta[first]]:
                change(each, tuple(rest[rest[0] == "*" :]))
        elif value is ...:
            del meta[first]
        else:
            meta[first] = value

    return change


NONSENSE: dict[str, tuple[Callable[[Meta], None], str]] = {
    "a number that is a word": (nonsense("settings", "lr", value="fast"), "lr"),
    "a number out of range": (nonsense("settings", "dropout", value=7), "dropout"),
    "a metric that is none": (nonsense("settings", "monitor", value="val_luck"), "monitor"),
    "settings that are a list": (nonsense("settings", value=[1]), "what it says cannot be read"),
    "no settings": (nonsense("settings"), "it does not say its settings"),
    "a record that is a word": (nonsense("history", value=["x"]), "the record of epoch 1"),
    "a rate that is a word": (nonsense("history", "*", "lr", value="x"), "lr is not a number: 'x'"),
    "no classes": (nonsense("classes"), "it does not say its classes"),
    "no preprocessing": (nonsense("preprocess"), "it does not say its preprocess"),
    "preprocessing of no size": (nonsense("preprocess", "image_size"), "image_size"),
    "no model": (nonsense("model"), "it does not say its model"),
    "a format that is a word": (nonsense("format", value="x"), "newer clfctl"),
}


@pytest.mark.parametrize("what", NONSENSE)
def test_nonsense_is_refused_in_a_sentence(what: str, cli: Cli) -> None:
    change, message = NONSENSE[what]
    doctored(change)
    # All that ask a model load it in the same way.
    for command in ("resume", "predict", "eval", "export")[: 4 if what == "no classes" else 2]:
        result = cli(*COMMANDS[command])
        assert result.exit_code in (1, 2), result.output
        assert isinstance(result.exception, SystemExit)
        assert message in result.stderr, command


ONLY_RESUMING = {
    "no place": (nonsense("cursor"), "cannot be used"),
    "a place that is a word": (nonsense("cursor", "epoch", value="x"), "cannot be used"),
    "no optimizer": (nonsense("optimizer"), "it does not say its optimizer"),
    "an optimizer of something else": (nonsense("optimizer", value={"a.b": 1}), "optimizer state"),
}


@pytest.mark.parametrize("what", [*NONSENSE, *ONLY_RESUMING])
def test_runs_and_previews_never_raise(what: str, cli: Cli) -> None:
    change, message = (NONSENSE | ONLY_RESUMING)[what]
    doctored(lambda meta: "cursor" in meta and change(meta))
    listed = cli(*COMMANDS["runs"])
    assert listed.exit_code == 0, listed.output
    assert isinstance(json.loads(listed.stdout)["state"], str)
    preview = cli(*COMMANDS["lr-preview"])
    assert preview.exception is None or isinstance(preview.exception, SystemExit), preview.output
    if what in ONLY_RESUMING:
        result = cli(*COMMANDS["resume"])
        assert result.exit_code == 1
        assert message in result.stderr
