"""The metrics of a run through other schedules: when each would have acted, and the epochs that it would have saved."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from clfctl.display.what_if_text import outcome_words, what_if_csv, what_if_lines, what_if_records
from clfctl.errors import UsageError
from clfctl.planning.what_if import WhatIf, what_if
from clfctl.runs.folder import RunFolder
from clfctl.schedules import KINDS
from clfctl.settings.dump import saved_config
from clfctl.settings.groups import TrainSettings
from clfctl.settings.sources import from_fields
from clfctl.storage.json_lines import write_json_lines

Cli = Callable[..., Result]
# Falls, stands still from the fifth epoch on, and falls again where the run's own step came, after ten.
LOSSES = (0.9, 0.7, 0.6, 0.5, 0.45, 0.46, 0.47, 0.46, 0.48, 0.47, 0.3, 0.28, 0.27, 0.28, 0.29, 0.28)
FIELDS = {"lr": 1e-3, "epochs": 16, "scheduler": "step", "step_size": 10, "gamma": 0.1}


@pytest.fixture
def run() -> RunFolder:
    """A run by its files alone, as one that can be read and nothing else."""
    folder = RunFolder(Path("runs/x"))
    folder.last.parent.mkdir(parents=True)
    folder.config.write_text(saved_config(TrainSettings.model_validate(FIELDS)))
    records = [
        {"epoch": n, "lr_start": lr, "lr": lr, "val_loss": loss, "val_top1": 1 - loss}
        for n, loss in enumerate(LOSSES, 1)
        for lr in [1e-3 if n <= 10 else 1e-4]
    ]
    write_json_lines(folder.history, records)
    return folder


def found(run: RunFolder, *texts: str, **fields: object) -> WhatIf:
    return what_if(from_fields(TrainSettings, fields), run.path, texts)


def test_each_says_when_it_acts_and_what_that_saves(run: RunFolder) -> None:
    own, plateau, step, flat, cosine = found(run, "plateau(patience=2)", "step(3)", "constant", "cosine").outcomes
    assert (own.acts, own.halved, own.saved) == ((10,), 10, None)
    # Three epochs without improvement after the fifth.
    assert (plateau.acts, plateau.halved, plateau.saved) == ((8, 16), 8, 2)
    assert (step.acts, step.halved, step.saved) == ((3, 6, 9, 12, 15), 3, 7)
    assert (flat.acts, flat.halved, flat.saved) == ((), None, None)
    assert cosine.is_smooth
    assert cosine.saved == 10 - 8
    assert outcome_words(plateau, is_run=False) == (
        "plateau(patience=2): acts after epochs 8, 16, at half of its rate after epoch 8: 2 epochs saved"
    )
    assert outcome_words(flat, is_run=False) == "constant: never acts"


def test_one_that_raises_the_rate_says_so(run: RunFolder) -> None:
    plain, after_warmup = (found(run, "greedy(patience=1)", warmup=warmup).outcomes[1] for warmup in ("0", "2"))
    assert plain.rises[0] == 2  # both epochs until then were better than what was there before
    assert "raises it after epochs 2, " in outcome_words(plain, is_run=False)
    assert after_warmup.rises[0] > 2  # what rises until then is the warmup


def test_a_run_that_never_fell_is_compared_with_its_end(run: RunFolder) -> None:
    records = [json.loads(line) | {"lr_start": 1e-3, "lr": 1e-3} for line in run.history.read_text().splitlines()]
    write_json_lines(run.history, records)
    own, plateau = found(run, "plateau(patience=2)").outcomes
    assert (own.acts, own.halved, plateau.saved) == ((), None, 8)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_a_question(kind: str, run: RunFolder) -> None:
    outcome = found(run, kind).outcomes[1]
    assert len(outcome.rates) == len(LOSSES)
    assert outcome_words(outcome, is_run=False).startswith(f"{kind}: ")


def test_settings_of_the_run_count_and_typed_ones_before_them(run: RunFolder) -> None:
    plateau = found(run, "plateau", patience=2, lr=0.5, warmup="1").outcomes[1]
    assert plateau.rates[0] == pytest.approx((0.0, 0.5))
    assert plateau.acts[0] == 8
    assert found(run, "plateau(patience=2)", monitor="val_top1").metric == "val_top1"
    stopped = found(run, "constant", early_stopping=4).outcomes[1]
    assert stopped.ends == 9
    assert "early stopping ends it after epoch 9" in outcome_words(stopped, is_run=False)


def test_parameters_of_the_runs_own_schedule_are_not_those_of_another(run: RunFolder) -> None:
    of_run = {**FIELDS, "scheduler": "plateau", "step_size": None, "gamma": 0.9, "patience": 9, "plateau_every": "2b"}
    run.config.write_text(saved_config(TrainSettings.model_validate(of_run)))
    with_own = found(run, "plateau(patience=2)", "step(3)")
    run.config.write_text(saved_config(TrainSettings.model_validate(FIELDS)))
    assert with_own.outcomes[1:] == found(run, "plateau(patience=2)", "step(3)").outcomes[1:]


def test_it_is_shown_side_by_side(run: RunFolder) -> None:
    what = found(run, "plateau(patience=2)", "cosine")
    lines = [*what_if_lines(what, 80, log=False, color=False)]
    assert lines[0] == "A  runs/x: acted after epoch 10, at half of its rate after epoch 10"
    assert all(len(line) <= 80 for line in lines)
    rows = [line.split() for line in lines if line.split()[:1] and line.split()[0].isdecimal()]
    assert ["8", "0.4600", "0.001", "0.001▾", "5.98e-04"] in rows
    header, first, *_ = what_if_csv(what)
    assert header == "epoch,val_loss,runs/x,plateau(patience=2),cosine"
    assert first == "1,0.9,0.001,0.001,0.001"
    records = [*what_if_records(what)]
    assert [each["epochs_saved"] for each in records] == [None, 2, 2]


def test_what_is_missing_is_said(run: RunFolder) -> None:
    with pytest.raises(UsageError, match="no schedule to compare"):
        found(run)
    run.history.write_text("")
    with pytest.raises(UsageError, match="no finished epoch"):
        found(run, "step")
