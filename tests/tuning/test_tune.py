"""clfctl tune as a user meets it: trials that are runs, a table, a page, the best as TOML, and what is refused."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

import clfctl
from clfctl.display.tune_table import plain_lines
from clfctl.runs.folder import RunFolder
from clfctl.runs.state import state_of
from clfctl.settings.groups import TrainSettings
from clfctl.settings.sources import from_fields
from clfctl.storage.json_lines import read_json_lines

Cli = Callable[..., Result]
SMALL: dict[str, Any] = {
    "data": "digits", "val_split": 0.9, "image_size": 8, "model": "resnet9_small", "max_per_class": 5, "epochs": 2,
    "augment": "none",
}  # fmt: skip
WORDS = tuple(word for name, value in SMALL.items() for word in (f"--{name}", str(value)))
SEARCH = {"lr": "1e-4..1e-2:log", "scheduler": ["cosine", "step"], "batch_size": [25, 50]}


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> clfctl.Tuned:
    """A study of three trials, made from Python."""
    place = tmp_path_factory.mktemp("tuned")
    fields = {**SMALL, "runs_dir": place, "run_name": "s", "sampler": "random", "write": place / "best.toml"}
    return clfctl.tune(trials=3, search=SEARCH, **fields)


def what_happened(tuned: clfctl.Tuned) -> list[tuple[object, ...]]:
    """What must be the same in two studies of one seed."""
    return [(each.number, each.state, each.value, each.settings, each.epochs) for each in tuned.trials]


@pytest.mark.slow
def test_every_trial_is_a_run_and_has_the_value_of_its_best_epoch(tuned: clfctl.Tuned) -> None:
    assert [each.state for each in tuned.trials] == ["complete"] * 3
    assert tuned.mode == "min"
    for each in tuned.trials:
        run = RunFolder(Path(each.run))
        assert run.path.parent == tuned.study
        assert state_of(run).state == "finished"
        losses = [record["val_loss"] for record in read_json_lines(run.history)]
        assert each.value == min(losses)
        low, high = each.top1_interval or (1.0, 0.0)
        assert low <= (each.top1 or 0) <= high
    assert tuned.best in tuned.trials
    assert tuned.best.value == min(each.value or 9.0 for each in tuned.trials)
    assert len({str(each.settings) for each in tuned.trials}) == 3


def test_the_best_is_written_as_a_file_that_trains_the_same(tuned: clfctl.Tuned) -> None:
    path = tuned.study.parent / "best.toml"
    settings = from_fields(TrainSettings, {"config": path}).settings
    assert tuned.best
    assert (settings.lr, settings.scheduler) == (tuned.best.settings["lr"], tuned.best.settings["scheduler"])
    again = from_fields(TrainSettings, {"config": Path(tuned.best.run) / "config.toml"}).settings
    of_place = {"runs_dir", "run_name", "export", "freeze_batch_norm"}
    assert settings.model_dump(exclude=of_place) == again.model_dump(exclude=of_place)


def test_a_study_that_is_complete_is_shown_again(tuned: clfctl.Tuned, cli: Cli) -> None:
    result = cli("tune", str(tuned.study), "--json")
    assert result.exit_code == 0, result.stderr
    *trials, summary = map(json.loads, result.stdout.splitlines())
    assert [each["trial"] for each in trials] == [0, 1, 2]
    assert tuned.best
    assert summary["best"] == tuned.best.number
    page = (tuned.study / "report.html").read_text(encoding="utf-8")
    assert page.count("<tr") == 4
    assert page.count("<svg") == 2
    assert (tuned.study / "history.png").stat().st_size > 5000
    assert (tuned.study / "slices.png").stat().st_size > 5000
    lines = [*plain_lines(tuned)]
    assert re.match(rf"trial {tuned.best.number}  val_loss \d\.\d{{4}}  accuracy \(95 %\) ", lines[0])
    assert "3 trials: 3 complete." in lines


KEPT = [
    (("--lr", "0.5"), "--lr: the study"),
    (("--search", "lr=0.1..0.2"), "--search: the study"),
    (("--storage", "journal"), "--storage: the study"),
    (("--epochs", "9"), "was begun with 2, not 9"),
]


@pytest.mark.parametrize(("words", "message"), KEPT)
def test_what_a_study_was_begun_with_stays(words: tuple[str, ...], message: str, tuned: clfctl.Tuned, cli: Cli) -> None:
    result = cli("tune", str(tuned.study), *words)
    assert (result.exit_code, message in result.stderr) == (2, True), result.stderr
    assert "Traceback" not in result.stderr


REFUSED = [
    (("--search", "lrr=1,2"), "did you mean lr"),
    (("--search", "lr=fast,slow"), "--lr: 'fast' (from the search) is not allowed"),
    (("--search", "lr=0.1..1", "--lr", "0.1"), "lr is stated, and searched too"),
    (("--search", "scheduler=cosine,nosuch"), "'nosuch' is not a schedule"),
    (("--search", "optimizer=adam,sgd", "--scheduler", "cosine", "--gamma", "0.1"), "is a parameter of"),
    (("--search", "batch-size=15,25", "--accumulate", "4"), "--accumulate: a batch of 15 images"),
    (("--search", "batch-size=15,25", "--accumulate", "5", "--search", "freeze=none,backbone",
      "--search", "unfreeze-at=1,7"), "unfreeze_at 7 is impossible"),
    (("--sampler", "grid", "--search", "lr=0.1..1"), "--sampler: a grid has every combination"),
    (("--sampler", "best"), "--sampler: 'best'"),
    (("--pruner", "some"), "--pruner: 'some'"),
    (("--trials", "0"), "--trials: '0'"),
    (("--time", "soon"), "--time: 'soon'"),
    (("--write", "best.json"), "does not end in .toml"),
    (("--write", "missing/best.toml"), "--write: missing is not a folder"),
    (("--storage", "somewhere", "-n", "s"), "--storage: 'somewhere' is not an address"),
    (("--storage", "nosuch://host/name", "-n", "s"), "--storage: nosuch://host/name is no address"),
    (("--storage", "sqlite:///x.db"), "--run-name: a study in a database needs a name"),
    (("--stage", "probe", "--monitor", "train_loss"), "--monitor: a probe has no train_loss"),
    (("--stage", "probe", "--search", "lr=0.1,0.2"), "'lr' is not a setting that can be searched"),
    (("missing",), "missing is not the folder of a study"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "message"), REFUSED, ids=[" ".join(words) for words, _ in REFUSED])
def test_a_mistake_is_a_sentence_and_nothing_is_made(words: tuple[str, ...], message: str, cli: Cli) -> None:
    result = cli("tune", *WORDS, *words)
    assert (result.exit_code, message in result.stderr) == (2, True), result.stderr
    assert "Traceback" not in result.stderr
    assert not Path("runs").exists()


def test_an_address_that_nobody_answers_at_is_a_sentence_without_the_password(cli: Cli) -> None:
    words = ("--storage", "postgresql://me:secret@127.0.0.1:1/x", "-n", "s", "--search", "batch-size=25,50")
    result = cli("tune", *WORDS, *words)
    assert result.exit_code == 2
    assert "--storage: no database answers at postgresql://me@127.0.0.1:1/x" in result.stderr
    assert "secret" not in result.stderr
    assert not Path("runs").exists()


@pytest.mark.slow
def test_a_database_has_one_study_of_a_name(cli: Cli) -> None:
    words = ("tune", *WORDS, "--trials", "1", "--storage", "sqlite:///x.db", "-n", "s")
    assert cli(*words, "--search", "batch-size=25,50").exit_code == 0
    result = cli(*words, "--search", "batch-size=25,30", "--runs-dir", "elsewhere")
    assert result.exit_code == 2
    assert "it searches batch_size=25,50, and here it would be batch_size=25,30" in result.stderr
    assert not list(Path("elsewhere").glob("*"))
    joined = cli(*words, "--search", "batch-size=25,50", "--runs-dir", "elsewhere", "--trials", "2", "--json")
    assert joined.exit_code == 0, joined.stderr
    assert [Path("runs/s/trial-0").is_dir(), Path("elsewhere/s/trial-1").is_dir()] == [True, True]


@pytest.mark.slow
@pytest.mark.parametrize("more", [
    {"sampler": "tpe", "pruner": "hyperband", "trials": 12, "epochs": 3}, {"sampler": "gp", "trials": 12},
    {"sampler": "cmaes", "trials": 6, "search": {"lr": "1e-4..1e-1:log", "weight_decay": "0..0.1"}},
    {"sampler": "grid", "search": {"batch_size": [25, 50], "scheduler": ["cosine", "step"]}},
    {"sampler": "random", "storage": "journal", "trials": 3},
], ids=lambda more: more["sampler"])  # fmt: skip
def test_the_same_seed_gives_the_same_trials_also_in_pieces(more: dict[str, Any]) -> None:
    fields = {**SMALL, "search": SEARCH, **more}
    whole = clfctl.tune(run_name="whole", **fields)
    n = fields.get("trials", 4)
    assert len(whole.trials) == n
    clfctl.tune(run_name="pieces", **{**fields, "trials": n // 2})
    pieces = clfctl.tune("runs/pieces", trials=n)
    assert what_happened(pieces) == what_happened(whole)
    assert what_happened(clfctl.tune(run_name="other", seed=1, **fields)) != what_happened(whole)
    if more["sampler"] == "grid":
        assert len({str(each.settings) for each in whole.trials}) == 4


@pytest.mark.slow
def test_a_trial_that_is_worse_than_the_others_ends_early() -> None:
    # With this seed of the grid, after five that may do as they like come the rates that are far too large.
    fields = {**SMALL, "epochs": 6, "sampler": "grid", "seed": 19}
    tuned = clfctl.tune(search={"lr": [1e-3, 2e-3, 3e-3, 4e-3, 5e-3, 2.0, 3.0, 4.0]}, **fields)
    pruned = [each for each in tuned.trials if each.state == "pruned"]
    assert pruned
    assert all(each.epochs < 6 and float(str(each.settings["lr"])) >= 2 for each in pruned)
    assert all("pruned after epoch" in each.reason for each in pruned)
    run = RunFolder(Path(pruned[0].run))
    assert state_of(run).can_resume
    assert len(clfctl.resume(run.path).history) == 6


@pytest.mark.slow
def test_an_impossible_trial_is_pruned_with_its_reason_and_a_hopeless_study_ends() -> None:
    search = {"batch_size": [24, 25], "accumulate": [2, 5]}
    tuned = clfctl.tune(search=search, sampler="grid", **SMALL)
    reasons = [each.reason for each in tuned.trials]
    assert [bool(each) for each in reasons].count(True) == 2
    assert all("cannot be divided" in each for each in reasons if each)
    with pytest.raises(clfctl.ClfctlError, match="5 trials in a row could not be trained"):
        clfctl.tune(search={"lr": "1e30..1e35:log"}, **SMALL)


@pytest.mark.slow
def test_the_best_is_trained_again_with_other_seeds_once() -> None:
    tuned = clfctl.tune(search=SEARCH, trials=2, confirm=2, monitor="val_top1", **SMALL)
    assert tuned.confirmed
    assert tuned.mode == "max"
    assert tuned.confirmed.seeds == (1, 2)
    low, high = tuned.confirmed.interval or (1.0, 0.0)
    assert low <= tuned.confirmed.mean <= high
    runs = sorted(tuned.study.glob("confirm-*/history.jsonl"))
    times = [each.stat().st_mtime_ns for each in runs]
    assert len(times) == 2
    again = clfctl.tune(tuned.study)
    assert again.confirmed == tuned.confirmed
    assert [each.stat().st_mtime_ns for each in runs] == times


@pytest.mark.slow
def test_when_the_time_is_over_the_trial_is_saved_and_goes_on() -> None:
    whole = clfctl.tune(search=SEARCH, trials=2, run_name="whole", **SMALL)
    stopped = clfctl.tune(search=SEARCH, trials=2, run_name="short", time="0.01s", **SMALL)
    assert any("The time is over after 0 of 2 trials" in note for note in stopped.notes)
    assert what_happened(clfctl.tune("runs/short")) == what_happened(whole)


@pytest.mark.slow
def test_probes_are_tuned_on_kept_features(photos: Path, cli: Cli) -> None:
    fields: dict[str, Any] = {
        "data": photos,
        "model": "resnet10t",
        "pretrained": False,
        "image_size": 32,
        "write": "best.toml",
    }
    tuned = clfctl.tune(stage="probe", trials=4, monitor="val_top1", confirm=1, **fields)
    assert tuned.n("complete") == 4
    assert {*tuned.trials[0].settings} == {"c", "views"}
    assert tuned.confirmed
    result = cli("train", "--config", "best.toml", "--batch-size", "6", "--dry-run", "--json")
    assert result.exit_code == 0, result.stderr
    assert tuned.best
    assert json.loads(result.stdout)["start_from"]["value"] == tuned.best.run


@pytest.mark.slow
def test_what_is_typed_for_one_process_is_not_kept_and_what_is_for_the_study_is() -> None:
    clfctl.tune(search={"batch_size": [25, 50]}, trials=1, run_name="s", **SMALL)
    record = Path("runs/s/study.json")
    before = record.read_text()
    clfctl.tune("runs/s", device="cpu", workers=1)
    assert record.read_text() == before
    clfctl.tune("runs/s", trials=2)
    assert len(clfctl.tune("runs/s").trials) == 2


@pytest.mark.slow
def test_a_trial_is_tracked_as_any_run() -> None:
    clfctl.tune(search={"batch_size": [25, 50]}, trials=1, track="csv", run_name="s", **SMALL)
    rows = Path("runs/s/trial-0/track/epochs.csv").read_text().splitlines()
    assert len(rows) == 3
    assert "final/top1" in rows[0]


@pytest.mark.slow
def test_settings_that_were_drawn_before_are_not_trained_again() -> None:
    tuned = clfctl.tune(search={"batch_size": [25, 50]}, sampler="random", trials=6, run_name="s", **SMALL)
    assert tuned.n("complete") == 6
    assert len(tuned.ranked()) == len([*Path("runs/s").glob("trial-*/history.jsonl")]) == 2
    assert len({(str(each.settings), each.value, each.run) for each in tuned.trials}) == 2
