"""clfctl resume with changes: what changes is said, drawn and recorded; what cannot is refused with the reason."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import Result

from clfctl.runs.checkpoint import load_checkpoint, save_checkpoint
from clfctl.runs.folder import RunFolder
from clfctl.runs.header import read_last
from clfctl.storage.json_lines import read_json_lines
from tests.commands.begun import Begun, copied, train_both

Cli = Callable[..., Result]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of three batches an epoch: `done` has its four epochs, `stopped` was stopped in its third."""
    root = tmp_path_factory.mktemp("resume")
    train_both(root)
    return root


@pytest.fixture
def done(made: Path, tmp_path: Path) -> Begun:
    """A copy of the finished run, and of its photos."""
    return copied(made, "done", tmp_path)


@pytest.fixture
def stopped(made: Path, tmp_path: Path) -> Begun:
    """A copy of the stopped run, and of its photos."""
    return copied(made, "stopped", tmp_path)


@pytest.mark.slow
def test_a_finished_run_says_that_it_is(done: Begun, cli: Cli) -> None:
    run, _ = done
    before = run.last.read_bytes()
    result = cli("resume", str(run.path))
    assert result.exit_code == 0
    assert "has nothing left to train: 4 of 4 epochs, all were trained" in result.stderr
    assert f"To train on: clfctl resume {run.path} --epochs N" in result.stderr
    assert run.last.read_bytes() == before


@pytest.mark.slow
@pytest.mark.parametrize("way", ["stretch", "hold", "rewarm:0.3", "anneal"])
def test_more_epochs_are_shown_recorded_and_trained(way: str, done: Begun, cli: Cli) -> None:
    run, photos = done
    longer = (str(run.path), "--epochs", "6", "--extend", way)
    preview = [json.loads(line) for line in cli("lr-preview", *longer, "--json").stdout.splitlines()]
    result = cli("resume", *longer, "--data", str(photos))
    assert result.exit_code == 0, result.output
    jumps = "Warning: the learning rate jumps from 1.46e-04 to "
    assert (jumps in result.stderr) == (way == "stretch")
    for text in ("Change --epochs 4 → 6", "A as it was planned, B as it is now", "▲ at epoch 4: ", f"Extend {way[:6]}"):
        assert text in result.stderr
    history = read_json_lines(run.history)
    assert [record["epoch"] for record in history] == [1, 2, 3, 4, 5, 6]
    # What lr-preview had shown before.
    assert [(each["lr_start"], each["lr"]) for each in preview] == [(r["lr_start"], r["lr"]) for r in history]
    change = {"epochs": {"old": 4, "new": 6}}
    (record,) = read_json_lines(run.changes)
    assert (record["epoch"], record["batch"], record["settings"]["epochs"]) == (4, 0, change["epochs"])
    assert "epochs = 6\n" in run.config.read_text()
    assert "nothing left to train: 6 of 6" in cli("resume", str(run.path)).stderr


@pytest.mark.slow
def test_an_unchanged_value_is_no_change(stopped: Begun, cli: Cli) -> None:
    run, _ = stopped
    result = cli("resume", str(run.path), "--epochs", "4", "--model", "custom")
    assert result.exit_code == 0, result.output
    assert "Change" not in result.stderr
    assert not run.changes.exists()
    assert "from epoch 3, batch 2 of 3" in result.stderr


def test_another_learning_rate_is_that_of_every_group(stopped: Begun, cli: Cli) -> None:
    run, _ = stopped
    result = cli("resume", str(run.path), "--lr", "0.0001", "--scheduler", "constant", "--json")
    assert result.exit_code == 0, result.output
    assert "Change --lr 0.001 → 0.0001" in result.stderr
    assert "Warning: the learning rate jumps from 5e-04 to 1e-04 (0.2 times)" in result.stderr
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert [record["lr"] for record in records] == [0.0001, 0.0001]


def test_another_batch_size_begins_the_epoch_again(stopped: Begun, cli: Cli) -> None:
    run, _ = stopped
    result = cli("resume", str(run.path), "--batch-size", "9")
    assert result.exit_code == 0, result.output
    assert "from the start of epoch 3, because its batches have changed" in result.stderr
    assert read_last(run.last).going_on().position.n_batches == 2
    assert [record["epoch"] for record in read_json_lines(run.history)] == [1, 2, 3, 4]


def test_early_stopping_can_be_added_and_taken_away(stopped: Begun, cli: Cli) -> None:
    run, _ = stopped
    # All that was trained counts: the two finished epochs bring no accuracy that was not there.
    result = cli("resume", str(run.path), "--early-stopping", "1", "--monitor", "train_loss")
    assert result.exit_code == 0, result.output
    assert "Change --early-stopping 0 → 1" in result.stderr


@pytest.mark.slow
def test_a_change_survives_a_kill_before_its_first_epoch(
    stopped: Begun, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = stopped

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("clfctl.engine.session.Session.train", killed)
        cli("resume", str(run.path), "--epochs", "5")
    assert read_last(run.last).settings["epochs"] == 5
    assert cli("resume", str(run.path)).exit_code == 0
    assert len(read_json_lines(run.history)) == 5
    assert len(read_json_lines(run.changes)) == 1


FIXED = [
    ("--model", "resnet18", "the trained weights belong to the model as it is"),
    ("--weights", "x.pth", "the trained weights belong to the model as it is"),
    ("--image-size", "64", "the trained weights belong to the model as it is"),
    ("--optimizer", "sgd", "the state of one optimizer is of no use to another"),
    ("--seed", "1", "training and validation images would be mixed"),
    ("--val-split", "0.1", "training and validation images would be mixed"),
    ("--run-name", "y", "the run has a folder already"),
    ("--weight-decay", "0.1", "decayed weights and others are kept apart"),
]


@pytest.mark.parametrize(("option", "value", "reason"), FIXED)
def test_what_cannot_change_is_refused_with_the_reason(
    option: str, value: str, reason: str, done: Begun, cli: Cli
) -> None:
    run, _ = done
    before = run.last.read_bytes()
    result = cli("resume", str(run.path), option, value)
    assert result.exit_code == 2, result.output
    assert f"{option}: cannot change in a run that has begun: {reason}" in result.stderr
    assert run.last.read_bytes() == before


@pytest.mark.slow
def test_the_environment_of_today_changes_nothing(stopped: Begun, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    run, _ = stopped
    monkeypatch.setenv("CLFCTL_EPOCHS", "9")
    Path("clfctl.toml").write_text("lr = 1.0")
    result = cli("resume", str(run.path))
    assert result.exit_code == 0, result.output
    assert "Change" not in result.stderr
    assert len(read_json_lines(run.history)) == 4


def change_photos(photos: Path) -> None:
    """Two images more, one less, one other."""
    for name in ("red/new1.jpg", "green/new2.jpg"):
        Image.new("RGB", (40, 40), "white").save(photos / name)
    (photos / "blue/3.jpg").unlink()
    Image.new("RGB", (90, 80), "blue").save(photos / "blue/4.jpg")


@pytest.mark.slow
def test_changed_data_is_told_with_counts_and_refused(stopped: Begun, cli: Cli) -> None:
    run, photos = stopped
    change_photos(photos)
    words = ("resume", str(run.path), "--data", str(photos))
    refused = cli(*words)
    assert refused.exit_code == 1
    what = "2 added (green/new2.jpg, …), 1 removed (blue/3.jpg), 1 replaced (blue/4.jpg)"
    assert f"--data: {photos} has changed since the run began: {what}" in refused.stderr
    assert "--allow-data-change" in refused.stderr
    allowed = cli(*words, "--allow-data-change")
    assert allowed.exit_code == 0, allowed.output
    assert f"Change images: {what}" in allowed.stderr
    assert "because its batches have changed" in allowed.stderr
    assert read_json_lines(run.changes)[0]["data"] == {"added": 2, "removed": 1, "replaced": 1}
    # From now on these are the run's images.
    again = cli(*words, "--epochs", "5")
    assert again.exit_code == 0, again.output


def test_other_classes_are_refused(stopped: Begun, cli: Cli) -> None:
    run, photos = stopped
    (photos / "red").rename(photos / "pink")
    result = cli("resume", str(run.path), "--data", str(photos), "--allow-data-change")
    assert result.exit_code == 1
    change = "not those that the run began with (new: pink; missing: red)"
    assert f"the class folders of {photos} are {change}" in result.stderr


@pytest.mark.slow
def test_a_moved_data_folder_is_the_same_data(stopped: Begun, cli: Cli) -> None:
    run, photos = stopped
    moved = photos.rename(photos.with_name("moved"))
    result = cli("resume", str(run.path), "--data", str(moved))
    assert result.exit_code == 0, result.output
    assert f" → {moved}\n" in result.stderr
    assert "begins again" not in result.stderr


def test_a_lost_list_of_images_is_said(stopped: Begun, cli: Cli) -> None:
    run, _ = stopped
    run.data.write_bytes(b"torn")
    result = cli("resume", str(run.path))
    assert result.exit_code == 1
    assert "the list of the run's images, cannot be read" in result.stderr
    assert cli("resume", str(run.path), "--allow-data-change").exit_code == 0


def test_fewer_epochs_than_are_trained_are_refused(done: Begun, cli: Cli) -> None:
    run, _ = done
    before = run.last.read_bytes()
    result = cli("resume", str(run.path), "--epochs", "2")
    assert result.exit_code == 2
    assert "--epochs: 4 epochs are trained already, more than 2" in result.stderr
    assert "--epochs 4 ends it here" in result.stderr
    assert run.last.read_bytes() == before


def test_after_another_criterion_it_is_said_that_weights_are_gone(stopped: Begun, cli: Cli) -> None:
    """The summary and the best checkpoint are of one epoch, whatever best goes by now."""
    run, _ = stopped
    checkpoint = load_checkpoint(run.last)
    first, second = checkpoint.meta["history"]
    first |= {"val_top1": 0.4, "val_loss": 0.1, "is_best": True}
    second |= {"val_top1": 1.0, "val_loss": 0.2, "is_best": False}
    checkpoint.meta["settings"]["keep_best"] = "val_loss"
    save_checkpoint(run.last, checkpoint)
    best = load_checkpoint(run.best)
    best.meta["history"] = [first]
    save_checkpoint(run.best, best)
    result = cli("resume", str(run.path), "--keep-best", "val_top1", "--lr", "1e-12", "--no-export")
    assert result.exit_code == 0, result.output
    told = " ".join(result.stderr.split())
    assert "by val_top1 epoch 2 is the best so far, but its weights were not kept" in told
    kept = [each["epoch"] for each in read_json_lines(run.history) if each["is_best"]][-1]
    assert f"Best: epoch {kept}, " in told
    assert len(load_checkpoint(run.best).header.history) == kept


@pytest.mark.parametrize(
    ("command", "option"), [("resume", "--monitor"), ("resume", "--keep-best"), ("lr-preview", "--monitor")]
)
def test_a_metric_that_the_data_cannot_have_is_refused(command: str, option: str, made: Path, cli: Cli) -> None:
    """There are three classes: the best five of them are all, so that early stopping would count NaN."""
    result = cli(command, str(made / "stopped"), option, "val_top5")
    assert result.exit_code == 2, result.output
    assert f"{option}: " in result.stderr
    assert "val_top5" in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("changes", [(), ("--lr", "0.0001")])
def test_best_weights_of_an_epoch_that_is_trained_otherwise_are_put_aside(
    changes: tuple[str, ...], stopped: Begun, cli: Cli
) -> None:
    """As after a loss that was not finite, where `save_every` had not saved the best epoch as last too."""
    run, _ = stopped
    best = load_checkpoint(run.best)
    best.meta["history"] = [*load_checkpoint(run.last).meta["history"]]
    best.meta["history"] += [best.meta["history"][-1] | {"epoch": 3}]
    save_checkpoint(run.best, best)
    before = run.best.read_bytes()
    result = cli("resume", str(run.path), *changes)
    assert result.exit_code == 0, result.output
    aside = run.best.with_name("best.epoch-3.safetensors")
    if not changes:  # the same epochs again, bit for bit
        assert not aside.exists()
        return
    assert aside.read_bytes() == before
    assert f"kept as {aside.name}" in " ".join(result.stderr.split())
    kept = [each["epoch"] for each in read_json_lines(run.history) if each["is_best"]][-1]
    assert len(load_checkpoint(run.best).header.history) == kept > 2


@pytest.mark.parametrize("inside", ["checkpoints/last.safetensors", "checkpoints", "history.jsonl", "plots/lr.png"])
@pytest.mark.parametrize("words", [("resume",), ("lr-preview",), ("eval", "--json"), ("resume", "--lr", "0.1")])
def test_what_lies_in_a_run_means_the_run(inside: str, words: tuple[str, ...], made: Path, cli: Cli) -> None:
    run = RunFolder(made / "done")
    result = cli(words[0], str(run.path / inside), *words[1:])
    assert result.exit_code == 0, result.output
    assert str(run.path) in result.output.replace("\n", "")  # a long title is folded
    if words[0] == "eval":
        file = run.last if inside.endswith("last.safetensors") else run.best
        assert json.loads(result.stdout)["checkpoint"] == str(file)
