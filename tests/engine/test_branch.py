"""A branch is a run from a kept checkpoint of another, whose folder is only read; to the bit what one gets by hand."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from typer.testing import Result

import clfctl
from clfctl.errors import UsageError
from clfctl.runs.best import Criterion
from clfctl.runs.checkpoint import MODEL, load_checkpoint
from clfctl.runs.family import Trunk, in_families, trunk_of, write_trunk
from clfctl.runs.folder import RunFolder
from clfctl.runs.history import EpochResult
from clfctl.runs.kept import checkpoint_at, kept_epochs, put_later_kept_aside
from clfctl.runs.state import RunState, held, state_of
from clfctl.settings.groups import TrainSettings
from clfctl.settings.keeping import Keep, parse_keep
from clfctl.storage.json_lines import read_json_lines

Cli = Callable[..., Result]
FIELDS = {
    "data": "digits", "max_per_class": 5, "image_size": 8, "model": "resnet9_small", "batch_size": 20, "workers": 0,
    "lr": 1e-3, "scheduler": "cosine", "export": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def trunk(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run of six epochs that keeps every second one."""
    root = tmp_path_factory.mktemp("branches")
    trained = clfctl.train(**FIELDS, epochs=6, keep="every 2", runs_dir=root, run_name="x")  # type: ignore[arg-type]
    return RunFolder(trained.run)


def everything_in(run: RunFolder) -> dict[str, tuple[int, int, bytes]]:
    """Every file of a run with when it was written, and what is in it."""
    return {
        str(path): (path.stat().st_mtime_ns, path.stat().st_ino, path.read_bytes())
        for path in sorted(run.path.rglob("*"))
        if path.is_file()
    }


def rates_of(run: RunFolder) -> list[tuple[float, float]]:
    return [(each["lr_start"], each["lr"]) for each in read_json_lines(run.history)]


@pytest.mark.slow
def test_a_branch_is_what_one_gets_by_hand_and_its_trunk_is_only_read(trunk: RunFolder, tmp_path: Path) -> None:
    before = everything_in(trunk)
    with held(trunk):  # as while it trains
        locked = everything_in(trunk)
        found = clfctl.branch(trunk.path, at=4, cooldown=2, run_name="cool", runs_dir=tmp_path)
        assert everything_in(trunk) == locked
    assert {*before} == {*everything_in(trunk)}
    run = RunFolder(found.run)
    # By hand: a copy of the folder, the kept checkpoint in the place of the last, and options.
    hand = RunFolder(Path(shutil.copytree(trunk.path, tmp_path / "hand")))
    shutil.copy(hand.kept(4), hand.last)
    hand.best.unlink()
    share = rates_of(trunk)[3][1] / 1e-3
    clfctl.resume(hand.path, epochs=6, scheduler=f"cosine(t_max=6):4 >> {share!r}*cooldown", keep="")
    assert rates_of(run) == rates_of(hand)
    ours, theirs = load_checkpoint(run.last), load_checkpoint(hand.last)
    assert ours.tensors.keys() == theirs.tensors.keys()
    assert [name for name, each in ours.tensors.items() if not torch.equal(each, theirs.tensors[name])] == []
    assert rates_of(run)[:4] == rates_of(trunk)[:4]
    assert rates_of(run)[4][0] == rates_of(trunk)[3][1]
    assert rates_of(run)[-1][1] < 0.5 * rates_of(run)[4][0]
    assert found.best is not None
    assert found.best.epoch > 4


@pytest.mark.slow
def test_a_branch_is_a_run_like_any_other(trunk: RunFolder, tmp_path: Path, cli: Cli) -> None:
    words = ("branch", str(trunk.path), "--at", "2", "--cooldown", "1", "--runs-dir", str(tmp_path))
    result = cli(*words)
    assert result.exit_code == 0, result.output
    run = RunFolder(tmp_path / "x-branch-1")
    assert "Branch of x after epoch 2: the learning rate falls from 9.33e-04 over 1 epochs" in result.stderr
    state = state_of(run)
    assert (state.state, state.epoch, state.epochs) == ("finished", 3, 3)
    assert state.trunk is not None
    assert (state.trunk.path, state.trunk.epoch) == (trunk.path.resolve(), 2)
    assert cli("eval", str(run.path), "--json").exit_code == 0
    longer = cli("resume", str(run.path), "--epochs", "5", "--extend", "hold", "--quiet")
    assert longer.exit_code == 0, longer.output
    assert [each["epoch"] for each in read_json_lines(run.history)] == [1, 2, 3, 4, 5]
    of_branch = cli("branch", str(run.path), "--cooldown", "2b", "--run-name", "second", "--quiet")
    assert of_branch.exit_code == 0, of_branch.output
    second = RunFolder(tmp_path / "second")
    assert len(read_json_lines(second.history)) == 6
    tree = cli("runs", str(tmp_path), "--tree").stdout.splitlines()
    assert tree[0].startswith("x-branch-1  of x after epoch 2")
    assert tree[1].startswith("└─ second  of x-branch-1 after epoch 5")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--at", "3"), "--at: {x} has no checkpoint of the end of epoch 3"),
        (("--at", "0"), "--at"),
        (("--cooldown", "0"), "--cooldown: '0' (from the command line) is not allowed"),
        (("--cooldown", "10%"), "--cooldown: '10%' (from the command line) is not allowed"),
        (("--run-name", "x"), "--run-name: {x} exists already"),
    ],
)
def test_what_cannot_be_branched_is_refused(words: tuple[str, ...], reason: str, trunk: RunFolder, cli: Cli) -> None:
    before = sorted(trunk.path.parent.iterdir())
    result = cli("branch", str(trunk.path), *words)
    assert result.exit_code == 2, result.output
    assert reason.format(x=trunk.path) in " ".join(result.stderr.split())
    if words == ("--at", "3"):
        assert "there are those of epochs 2, 4, 5, 6" in result.stderr
    assert sorted(trunk.path.parent.iterdir()) == before


def test_of_a_damaged_last_checkpoint_the_one_before_is_taken_and_nothing_is_put_aside(
    trunk: RunFolder, tmp_path: Path
) -> None:
    run = RunFolder(Path(shutil.copytree(trunk.path, tmp_path / "x")))
    run.last.write_bytes(b"torn")
    assert checkpoint_at(run, None) == run.last.with_name("last.previous.safetensors")
    assert checkpoint_at(run, 4) == run.kept(4)


def test_checkpoints_are_kept_as_asked(trunk: RunFolder) -> None:
    assert [*trunk.all_kept()] == [2, 4, 6]
    whole = load_checkpoint(trunk.kept(4))
    assert len(whole.header.history) == 4
    assert whole.header.going_on().position.t == 4.0
    assert whole.part(MODEL)
    with pytest.raises(UsageError, match="no checkpoint of the end of epoch 1"):
        checkpoint_at(trunk, 1)


def epoch(number: int, top1: float) -> EpochResult:
    return EpochResult(number, 0.1, 0.1, {"val_top1": top1, "val_loss": 1.0}, False, 1.0, 1.0)


def test_which_epochs_are_kept() -> None:
    history = [epoch(n, top1) for n, top1 in enumerate((0.1, 0.5, 0.3, 0.4, 0.2), 1)]
    best = Criterion("val_top1")
    assert kept_epochs(Keep(every=2), history, best) == {2, 4}
    assert kept_epochs(Keep(best=2), history, best) == {2, 4}
    assert kept_epochs(Keep(every=5, best=3), history, best) == {2, 3, 4, 5}
    assert kept_epochs(Keep(), history, best) == set()


@pytest.mark.parametrize(
    ("text", "keep", "written"),
    [
        ("every 5", Keep(every=5), "every 5"),
        ("every:5", Keep(every=5), "every 5"),
        ("best:3", Keep(best=3), "best:3"),
        ("best 3, every=2", Keep(2, 3), "every 2, best:3"),
        ("", Keep(), ""),
    ],
)
def test_keep_is_read(text: str, keep: Keep, written: str) -> None:
    assert parse_keep(text) == keep
    assert TrainSettings(keep=text).keep == written


@pytest.mark.parametrize("text", ["5", "every", "every 0", "best:-1", "worst:3", "every 2, every 3", "every 1 2"])
def test_what_keep_cannot_be_is_refused(text: str, cli: Cli) -> None:
    result = cli("train", "--keep", text)
    assert result.exit_code == 2
    assert "--keep: " in result.stderr
    assert "'every N', 'best:N'" in result.stderr


@pytest.mark.slow
def test_only_the_best_ones_stay(tmp_path: Path) -> None:
    found = clfctl.train(**FIELDS, epochs=5, keep="best:2", runs_dir=tmp_path)  # type: ignore[arg-type]
    run = RunFolder(found.run)
    assert {*run.all_kept()} == kept_epochs(Keep(best=2), found.history, Criterion(found.best_metric))


def test_kept_checkpoints_of_epochs_that_are_trained_otherwise_are_put_aside(tmp_path: Path) -> None:
    run, told = RunFolder(tmp_path), list[str]()
    run.last.parent.mkdir()
    for number in (2, 4, 10):
        run.kept(number).touch()
    put_later_kept_aside(run, 4, told.append)
    assert [*run.all_kept()] == [2, 4]
    assert run.kept(10).with_name("kept-10.before.safetensors").is_file()
    assert len(told) == 1


@pytest.fixture
def family(tmp_path: Path) -> list[RunState]:
    """Runs by their files alone: x with two branches, one of which has one; y, a branch of what is gone; a circle."""
    trunks = {"x": None, "late": ("x", 5), "early": ("x", 2), "below": ("late", 6), "y": ("gone", 1), "a": ("b", 1),
              "b": ("a", 1)}  # fmt: skip
    for name in trunks:
        (tmp_path / name).mkdir()
    for name, trunk in trunks.items():
        if trunk:
            write_trunk(RunFolder(tmp_path / name), Trunk(tmp_path / trunk[0], trunk[1], 1, 4))
    runs = [RunFolder(tmp_path / name) for name in trunks]
    return [RunState(run.path, "finished", trunk=trunk_of(run)) for run in runs]


def test_a_family_is_drawn_as_a_tree(family: list[RunState]) -> None:
    assert [before + state.path.name for state, before in in_families(family)] == [
        "x", "├─ early", "└─ late", "   └─ below", "y", "a", "b",
    ]  # fmt: skip


def test_a_branch_knows_its_trunk_wherever_both_are_moved(family: list[RunState], tmp_path: Path) -> None:
    moved = tmp_path.rename(tmp_path.with_name(f"{tmp_path.name}-moved"))
    found = trunk_of(RunFolder(moved / "late"))
    assert found == Trunk((moved / "x").resolve(), 5, 1, 4)
    assert found.t == 5.25
    assert json.dumps(family[1].as_record()["trunk"])
    RunFolder(moved / "late").branch.write_text("{}")
    assert trunk_of(RunFolder(moved / "late")) is None
