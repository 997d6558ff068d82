"""The record of learning rates: what the optimizer had at each step, the same for a run that was stopped anywhere."""

import json
import signal
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import Result

import clfctl
from clfctl.data.sources.base import Part
from clfctl.data.sources.open import open_data
from clfctl.engine.assemble import build_parts, make_trainer
from clfctl.engine.optimizers import build_optimizer
from clfctl.engine.trainer import Trainer
from clfctl.errors import Interrupted
from clfctl.runs.checkpoint import load_checkpoint
from clfctl.runs.folder import RunFolder, create_run
from clfctl.runs.rates import Other, read_rates
from clfctl.settings.groups import TrainSettings

N_BATCHES, EPOCHS = 3, 3
SETTINGS = TrainSettings.model_validate(
    {"model": "resnet9_small", "image_size": 8, "augment": "none", "batch_size": 32, "epochs": EPOCHS, "lr": 1e-3,
     "weight_decay": 0.1, "scheduler": "cosine(every=batch):1 > plateau(patience=0)", "warmup": "2b"}
)  # fmt: skip


def trainer_of(run: RunFolder | None = None, settings: TrainSettings = SETTINGS) -> Trainer:
    """A trainer of three batches an epoch and a model that costs nothing; on a run it goes on from its checkpoint."""
    whole = open_data(settings, settings.seed)
    cut = (Part(part.source, part.indices[:n]) for part, n in ((whole.train, 80), (whole.val, 32)))
    train, val = cut
    parts = build_parts(settings, replace(whole, train=train, val=val))
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten(), torch.nn.Linear(12, 10))
    parts = replace(parts, built=replace(parts.built, model=model), optimizer=build_optimizer(settings, model))
    if run:
        return make_trainer(parts, run, load_checkpoint(run.last))
    trainer = make_trainer(parts, create_run(Path("runs"), "{n}", ""))
    trainer.save_last()
    return trainer


def text_of(trainer: Trainer) -> str:
    return trainer.saver.run.rates.read_text()


def stop_after(trainer: Trainer, n: int) -> None:
    def count(*_: object) -> None:
        nonlocal n
        n -= 1
        if n == 0:
            trainer.signals.received = signal.SIGTERM

    trainer.state.optimizer.register_step_post_hook(count)


@pytest.fixture
def whole() -> Trainer:
    trainer = trainer_of()
    list(trainer.epochs())
    return trainer


def test_it_is_what_the_groups_had_at_each_step() -> None:
    trainer, seen = trainer_of(), list[list[float]]()
    trainer.state.optimizer.param_groups[1]["initial_lr"] = 2.5e-4
    hook = lambda made, *_: seen.append([group["lr"] for group in made.param_groups])  # noqa: E731
    trainer.state.optimizer.register_step_pre_hook(hook)
    list(trainer.epochs())
    found = [
        [rate * share for share in each.shares.values()]
        for each in read_rates(trainer.saver.run)
        for rate in each.rates()
    ]
    assert found == seen
    assert len(seen) == EPOCHS * N_BATCHES


def test_a_rate_that_a_hook_changed_is_another(whole: Trainer) -> None:
    trainer, n_steps = trainer_of(), 0

    def change(made: torch.optim.Optimizer, *_: object) -> None:
        nonlocal n_steps
        n_steps += 1
        if n_steps in (5, 6):
            made.param_groups[1]["lr"] = 0.5

    trainer.state.optimizer.register_step_pre_hook(change)
    list(trainer.epochs())
    of_epochs = [*read_rates(trainer.saver.run)]
    assert [[*each.others] for each in of_epochs] == [[], [Other(1, "not decayed", 0.5, n=2)], []]
    assert [replace(each, others=[]) for each in of_epochs] == [*read_rates(whole.saver.run)]


# In the first epoch, at its end, in the next; and all other places.
@pytest.mark.parametrize(
    "n_steps", [n if n in (1, 3, 5) else pytest.param(n, marks=pytest.mark.slow) for n in range(1, EPOCHS * N_BATCHES)]
)
def test_wherever_a_run_is_stopped_its_record_ends_the_same(n_steps: int, whole: Trainer) -> None:
    stopped = trainer_of()
    stop_after(stopped, n_steps)
    with pytest.raises(Interrupted):
        list(stopped.epochs())
    resumption = load_checkpoint(stopped.saver.run.last).resumption
    assert sum(each.n for each in read_rates(stopped.saver.run, resumption.rates)) == n_steps
    resumed = trainer_of(stopped.saver.run)
    list(resumed.epochs())
    assert text_of(resumed) == text_of(whole)


def test_what_is_trained_again_is_recorded_once(whole: Trainer) -> None:
    """A kill after epochs that no checkpoint has, with half a line: the record goes back with the training."""
    trainer = trainer_of(settings=SETTINGS.model_copy(update={"save_every": 0}))
    list(islice(trainer.epochs(), 2))
    run = trainer.saver.run
    assert len(text_of(trainer).splitlines()) == 2
    with run.rates.open("a") as file:
        file.write('{"epoch": 3, "batch": 1, "n_b')
    resumed = trainer_of(run)
    assert resumed.state.cursor.epoch == 0
    list(resumed.epochs())
    assert text_of(resumed) == text_of(whole)


def plant(patch: pytest.MonkeyPatch, change: Callable[[int, list[dict[str, Any]]], None]) -> None:
    """Let the optimizers that are built change their param groups just before a step, counted from 1."""
    build = build_optimizer

    def built(*args: Any) -> torch.optim.Optimizer:
        optimizer, n_steps = build(*args), 0

        def before(made: torch.optim.Optimizer, *_: object) -> None:
            nonlocal n_steps
            n_steps += 1
            change(n_steps, made.param_groups)

        optimizer.register_step_pre_hook(before)
        return optimizer

    patch.setattr("clfctl.engine.assemble.build_optimizer", built)


FIELDS: dict[str, Any] = {
    "model": "resnet9_small", "image_size": 8, "batch_size": 9, "max_per_class": 3, "epochs": 2, "export": False,
    "scheduler": "cosine", "warmup": "3b", "augment": "none", "run_name": "x",
}  # fmt: skip


@pytest.mark.slow
def test_a_rate_that_something_else_changed_is_found(
    cli: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    def change(n_steps: int, groups: list[dict[str, Any]]) -> None:
        if n_steps == 6:
            groups[0]["lr"] = 0.5

    plant(monkeypatch, change)
    monkeypatch.setattr("clfctl.display.plots.save_plots", lambda history, folder: None)
    run = clfctl.train(**FIELDS).run
    n = next(iter(read_rates(RunFolder(run)))).n_batches
    shown = cli("lr-preview", str(run))
    assert shown.exit_code == 0
    where = f"epoch {5 // n + 1}, batch {5 % n + 1}"
    assert f"Warning: {run}, {where}: planned 0.001, applied 0.5." in shown.stderr
    assert sum("applied" in line for line in shown.stderr.splitlines()) == 1
    rows = [
        json.loads(line) for line in cli("lr-preview", str(run), "--each-batch", "--format", "json").stdout.splitlines()
    ]
    assert [(row["epoch"], row["batch"]) for row in rows] == [(e, b) for e in (1, 2) for b in range(1, n + 1)]
    different = [number for number, row in enumerate(rows) if row["lr"] != row["applied"]]
    assert different == [5]
    lines = cli(
        "lr-preview", str(run), "cosine", "--each-batch", "--format", "csv", "--epochs", "2"
    ).stdout.splitlines()
    assert lines[0] == "schedule,epoch,batch,lr,applied"
    assert lines[6].endswith(",0.5")
    assert all(line.endswith(",") for line in lines if line.startswith("cosine"))
    # A run of an earlier version has no record, and is shown as it was.
    (run / "rates.jsonl").unlink()
    older = cli("lr-preview", str(run), "--format", "csv")
    assert "pplied" not in older.output
    assert len(older.stdout.splitlines()) == 3


@pytest.mark.slow
def test_a_run_as_planned_says_so(cli: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clfctl.display.plots.save_plots", lambda history, folder: None)
    run = clfctl.train(**FIELDS, backbone_lr_scale=0.1, freeze="1", unfreeze_at=1, weight_decay=0.1).run
    told = f"Applied: {run} had the planned learning rate in each of "
    assert told in cli("lr-preview", str(run)).stderr
    clfctl.resume(run, epochs=3, lr=0.01, scheduler="linear")
    shown = cli("lr-preview", str(run))
    assert told in shown.stderr
    assert "Warning" not in shown.stderr
