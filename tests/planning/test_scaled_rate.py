"""The base rate that is scaled with the batch size: one rate in the plan, the optimizer, the preview and the record."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import nn
from typer.testing import Result

import clfctl
from clfctl.engine.optimizers import build_optimizer
from clfctl.errors import UsageError
from clfctl.planning.changes import change_settings
from clfctl.planning.extending import Standing, extend
from clfctl.planning.plan import make_plan
from clfctl.runs.folder import RunFolder
from clfctl.runs.rates import read_rates
from clfctl.settings.groups import PlanSettings, TrainSettings
from clfctl.settings.scaled_rate import about_scaled, base_lr_of
from clfctl.settings.sources import from_fields
from clfctl.storage.json_lines import read_json_lines

Cli = Callable[..., Result]
LINEAR: dict[str, Any] = {"lr": 0.1, "scale_lr": "linear", "reference_batch": 256}


def settings(**fields: object) -> TrainSettings:
    return from_fields(TrainSettings, fields).settings


@pytest.mark.parametrize(
    ("how", "size", "expected"),
    [
        ("linear", 256, 0.1),
        ("linear", 1024, 0.4),  # Goyal et al. 2017: 0.1 for each 256
        ("linear", 64, 0.025),
        ("sqrt", 1024, 0.2),
        ("sqrt", 128, 0.1 / math.sqrt(2)),
        ("none", 1024, 0.1),
    ],
)
def test_the_rate_of_a_batch_size(how: str, size: int, expected: float) -> None:
    scaled = settings(lr=0.1, scale_lr=how, reference_batch=256, batch_size=size)
    assert base_lr_of(scaled) == pytest.approx(expected, rel=1e-15)
    assert make_plan(scaled, 10).base_lr == base_lr_of(scaled)
    model = nn.Sequential(nn.Linear(2, 2))
    assert [group["initial_lr"] for group in build_optimizer(scaled, model).param_groups] == [base_lr_of(scaled)]
    assert bool(about_scaled(scaled)) == (how != "none")


def test_without_it_the_rate_is_the_stated_one_to_the_bit() -> None:
    assert base_lr_of(settings(lr=0.1, batch_size=7)) == 0.1
    assert base_lr_of(settings(lr=0.1, batch_size=7, reference_batch=3)) == 0.1
    assert base_lr_of(PlanSettings.model_validate(LINEAR)) == 0.1  # of no batches


def test_parts_of_a_batch_do_not_count() -> None:
    assert base_lr_of(settings(**LINEAR, batch_size=512, accumulate=8)) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"scale_lr": "linear"}, "the batch size that `lr=0.001` is meant for"),
        ({"scale_lr": "sqrt", "reference_batch": 32, "lr": "auto"}, "looks for the rate of the batches as they are"),
        ({"scale_lr": "cubic", "reference_batch": 32}, "cubic"),
        ({"scale_lr": "linear", "reference_batch": 0}, "0"),
    ],
)
def test_what_cannot_be_scaled_is_refused(fields: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError) as refused:
        settings(**fields)
    assert words in refused.value.message
    assert refused.value.field in ("scale_lr", "reference_batch")


def test_a_preview_shows_the_scaled_rate_and_says_so(cli: Cli) -> None:
    words = ("lr-preview", "linear", "--epochs", "2", "--lr", "0.1", "--scale-lr", "linear", "--reference-batch", "256")
    result = cli(*words, "--batch-size", "512", "--steps-per-epoch", "5", "--json")
    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    assert rows[0] == {"schedule": "linear", "epoch": 1, "batch": 1, "lr": 0.2}
    told = "Note: --lr 0.1 is meant for batches of 256 images, and these have 512: 0.2 (--scale-lr linear)."
    assert told in cli(*words, "--batch-size", "512", "--steps-per-epoch", "5").stderr
    # Of few images a default batch is smaller, and so is its rate.
    few = cli(*words, "--data", "digits", "--max-per-class", "2", "--json")
    assert json.loads(few.stdout.splitlines()[0])["lr_start"] == 0.1 * (20 / 256)
    refused = cli("lr-preview", "timm:--sched cosine --lr 0.1", "--scale-lr", "linear", "--reference-batch", "256")
    assert refused.exit_code == 2
    assert "Traceback" not in refused.output


def test_another_batch_size_at_resume_scales_anew() -> None:
    saved = TrainSettings(**LINEAR, batch_size=256, scheduler="cosine", epochs=4)
    changed, _ = change_settings(saved, {"batch_size": 512})
    assert (base_lr_of(saved), base_lr_of(changed)) == (0.1, 0.2)
    with pytest.raises(UsageError, match="the batch size that"):
        change_settings(TrainSettings(lr=0.1), {"scale_lr": "linear"})
    at = Standing(4.0, make_plan(saved, 5).lr(3.8), (), 5)
    longer = changed.model_copy(update={"epochs": 8})
    # Whoever changes the rate has chosen it.
    assert extend(saved, longer, {"batch_size": 512, "epochs": 8}, at).line == ""
    held = extend(saved, saved.model_copy(update={"epochs": 8}), {"epochs": 8}, at, "rewarm").settings
    assert make_plan(held, 5).lr(4.0) == pytest.approx(at.last_lr, rel=1e-9)


@pytest.mark.slow
def test_a_run_records_the_rates_that_the_preview_showed(cli: Cli) -> None:
    fields: dict[str, Any] = {
        "data": "digits",
        "max_per_class": 4,
        "image_size": 8,
        "model": "resnet9_small",
        "epochs": 2,
    }
    fields |= {"batch_size": 16, "lr": 0.004, "scale_lr": "sqrt", "reference_batch": 64, "scheduler": "cosine"}
    done = clfctl.train(run_name="r", export=False, **fields)
    run = RunFolder(Path(done.run))
    shown = clfctl.preview(**fields).tracks[0]
    first = next(iter(shown.rates()))
    record = read_json_lines(run.history)[0]
    assert (record["lr_start"], record["lr"]) == first[1:]
    assert first[1] == 0.002
    assert next(iter(read_rates(run, ()))).applied()[0] == 0.002  # read back from the optimizer
    again = clfctl.preview(run.path)
    assert [each for each in again.notes if "is meant for batches of 64 images" in each]
    assert again.tracks[0].applied
    assert not list(again.tracks[0].applied.differences())
    words = ("--dry-run", "--data", "digits", "--scale-lr", "sqrt", "--reference-batch", "128", "--batch-size", "32")
    dry = cli("train", *words, "--lr", "0.2", "--model", "resnet9_small", "--image-size", "8")
    assert "Rate   --lr 0.2 is meant for batches of 128 images, and these have 32: 0.1 (--scale-lr sqrt)" in dry.output
    changed = clfctl.resume(run.path, epochs=3, batch_size=4, scheduler="constant", export=False)
    assert changed.history[2].lr_start == 0.001
    assert clfctl.preview(run.path).tracks[0].used[2] == (0.001, 0.001)
