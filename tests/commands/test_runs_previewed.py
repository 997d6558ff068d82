"""lr-preview of a run: what it used, every way for it to go on, and what other schedules would have done."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from clfctl.runs.folder import RunFolder
from clfctl.storage.json_lines import read_json_lines, write_json_lines
from tests.commands.previews import rates, records
from tests.conftest import SMALL, make_photos

Cli = Callable[..., Result]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run of four epochs of a cosine, stopped by nothing."""
    from typer.testing import CliRunner

    from clfctl.cli.app import make_app

    folder = tmp_path_factory.mktemp("preview")
    words = [
        "--data",
        str(make_photos(folder)),
        *SMALL,
        "--epochs",
        "4",
        "--scheduler",
        "cosine",
        "--warmup",
        "1",
        "--lr",
        "0.001",
        "--runs-dir",
        str(folder),
    ]
    result = CliRunner().invoke(make_app("train"), ["train", *words, "--run-name", "x", "--quiet"])
    assert result.exit_code == 0, result.output
    return RunFolder(folder / "x")


@pytest.mark.slow
def test_metrics_of_a_list_a_file_and_a_run(cli: Cli, run: RunFolder) -> None:
    words = ("lr-preview", "plateau", "--patience", "0", "--lr", "1", "--json")
    assert rates(cli(*words, "--metrics", "0.9,0.7,0.7,0.8")) == [1, 1, 1, 0.5]
    Path("losses.csv").write_text("epoch,val_loss,top1\n1,0.9,0.1\n2,0.7,0.1\n3,0.7,0.2\n4,nan,0.3\n")
    assert rates(cli(*words, "--metrics", "losses.csv:val_loss")) == [1, 1, 1, 0.5]
    assert rates(cli(*words, "--metrics", "losses.csv")) == [1, 1, 1, 0.5]
    assert len(records(cli(*words, "--metrics", str(run.path)))) == 4
    assert len(records(cli(*words, "--metrics", f"{run.history}:train_loss"))) == 4
    wrong = cli(*words, "--metrics", "losses.csv:val_los")
    assert (wrong.exit_code, "has no column 'val_los'" in wrong.stderr) == (1, True)
    assert "did you mean val_loss?" in wrong.stderr
    assert cli(*words, "--metrics", "gone.csv").exit_code == 2


@pytest.mark.slow
def test_a_run_shows_what_it_used_and_what_is_to_come(cli: Cli, run: RunFolder) -> None:
    history = read_json_lines(run.history)
    used = [(record["lr_start"], record["lr"]) for record in history]
    assert [(each["lr_start"], each["lr"]) for each in records(cli("lr-preview", str(run.path), "--json"))] == used
    longer = records(cli("lr-preview", str(run.path), "--epochs", "10", "--extend", "stretch", "--json"))
    assert [(each["lr_start"], each["lr"]) for each in longer[:4]] == used
    # What resuming with ten epochs would do: a cosine over nine, at the place of the fourth.
    fresh = records(cli("lr-preview", "cosine", "--epochs", "10", "--warmup", "1", "--lr", "0.001", "--json"))
    assert [each["lr_start"] for each in longer[4:]] == [each["lr_start"] for each in fresh[4:]]
    text = cli("lr-preview", str(run.path), "--epochs", "10", "--extend", "stretch").stdout
    assert "▲ after epoch 4 the learning rate goes on from " in text
    assert " times)" in text
    assert "10 epochs, 4 of them trained" in " ".join(text.split())


def test_every_way_for_a_run_to_go_on_is_shown_with_its_seam(cli: Cli, run: RunFolder) -> None:
    result = cli("lr-preview", str(run.path), "--epochs", "10")
    assert result.exit_code == 0, result.output
    for way in ("stretch", "hold", "rewarm", "anneal"):
        assert f"{run.path}, {way}: ▲ after epoch 4 the learning rate goes on " in result.stdout
    assert "Extend rewarm: up again, and down (the default here: the same curve over 10 epochs" in result.stderr
    found = records(cli("lr-preview", str(run.path), "--epochs", "10", "--json"))
    last = read_json_lines(run.history)[-1]["lr"]
    starts = {each["schedule"].rpartition(", ")[2]: each["lr_start"] for each in found if each["epoch"] == 5}
    assert [*starts] == ["rewarm", "stretch", "hold", "anneal"]
    assert [starts[way] for way in ("rewarm", "hold", "anneal")] == pytest.approx([last] * 3)
    assert starts["stretch"] > 1.5 * last
    # One is there alone where the schedule is chosen, or the way.
    assert len(records(cli("lr-preview", str(run.path), "--epochs", "10", "--lr", "0.1", "--json"))) == 10
    assert len(records(cli("lr-preview", str(run.path), "--epochs", "10", "--extend", "hold", "--json"))) == 10


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("RUN", "--extend", "hold"), "--extend: nothing is longer: the run has 4 epochs"),
        (("RUN", "--epochs", "9", "--extend", "hodl"), "did you mean hold?"),
        (("cosine", "--extend", "hold"), "--extend: it is of a run that is made longer, and there is none"),
        (("--what-if", "RUN"), "--what-if: there is no schedule to compare the run with"),
        (("--what-if", "nowhere", "step"), "nowhere is not a run folder"),
        (("--what-if", "RUN", "step", "--parameter", "momentum"), "--parameter: beside --what-if it would change"),
        (("--what-if", "RUN", "step", "--metrics", "1,2"), "--metrics: beside --what-if it would change nothing"),
    ],
)
def test_what_is_no_question_about_a_run_is_refused(
    words: tuple[str, ...], reason: str, cli: Cli, run: RunFolder
) -> None:
    result = cli("lr-preview", *(str(run.path) if word == "RUN" else word for word in words))
    assert result.exit_code == 2
    assert reason in " ".join(result.stderr.split())


def test_what_if_is_shown_and_written(cli: Cli, run: RunFolder) -> None:
    words = ("lr-preview", "--what-if", str(run.path), "step(2)", "constant")
    assert "B  step(2): acts after epoch" in cli(*words).stdout
    assert [each["is_run"] for each in records(cli(*words, "--json"))] == [True, False, False]
    assert cli(*words, "--format", "csv").stdout.startswith("epoch,val_loss,")
    for name in ("a.csv", "a.json", "a.svg"):
        assert cli(*words, "--output", name).exit_code == 0
        assert Path(name).is_file()


def test_a_run_with_another_schedule(cli: Cli, run: RunFolder) -> None:
    result = cli("lr-preview", str(run.path), "--scheduler", "step", "--step-size", "2", "--epochs", "6", "--json")
    assert rates(result)[4:] == [0.0005, 0.00025]
    refused = cli("lr-preview", str(run.path), "--step-size", "2")
    assert refused.exit_code == 2
    assert "--step-size: 2 (from the command line) is a parameter of step" in refused.stderr


def test_a_run_with_other_batches_has_as_many_as_its_images_make(cli: Cli, run: RunFolder) -> None:
    def batches(*words: str) -> dict[int, int]:
        found = records(
            cli("lr-preview", str(run.path), "--each-batch", "--epochs", "5", "--lr", "0.1", *words, "--json")
        )
        return {epoch: sum(each["epoch"] == epoch for each in found) for epoch in (4, 5)}

    of_run = batches()
    assert of_run[4] == of_run[5] > 1
    assert batches("--batch-size", "1") == {4: of_run[4], 5: 18}  # of the 24, 6 are for validation
    assert batches("--batch-size", "1", "--steps-per-epoch", "3") == {4: of_run[4], 5: 3}
    # Batches of the same size are those that it had: another number is not taken, and that is said.
    assert batches("--steps-per-epoch", "2") == of_run
    said = cli("lr-preview", str(run.path), "--steps-per-epoch", "2", "--format", "csv").stderr
    assert f"Note: an epoch of {run.path} has {of_run[4]} batches, and keeps them: --steps-per-epoch 2 counts" in said
    assert "Note" not in cli("lr-preview", str(run.path), "--steps-per-epoch", str(of_run[4]), "--format", "csv").stderr


def test_an_interrupted_run_without_an_epoch(cli: Cli, run: RunFolder, tmp_path: Path) -> None:
    empty = RunFolder(tmp_path / "empty")
    empty.path.mkdir()
    empty.config.write_text(run.config.read_text())
    write_json_lines(empty.history, [])
    assert len(records(cli("lr-preview", str(empty.path), "--json"))) == 4
