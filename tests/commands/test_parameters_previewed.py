"""lr-preview --parameter: momentum, weight decay and the rates of param groups, as training has them."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

import clfctl
from clfctl.engine.model_groups import groups_without_weights
from clfctl.engine.optimizers import build_optimizer
from clfctl.engine.rates import set_rates
from clfctl.errors import UsageError
from clfctl.models.custom import CustomModels
from clfctl.models.custom_cnn import CustomCNN
from clfctl.planning.plan import make_plan
from clfctl.settings.groups import TrainSettings
from tests.conftest import SMALL

Cli = Callable[..., Result]
DECAYED = ("--optimizer", "adamw", "--weight-decay", "0.04", "--weight-decay-schedule", "cosine(eta_min=0.4)")
CYCLED = "onecycle(cycle_momentum=true)"


def rows(result: Result) -> list[dict[str, str]]:
    assert result.exit_code == 0, result.output
    return [*csv.DictReader(result.stdout.splitlines())]


def test_momentum_and_weight_decay_are_drawn_listed_and_written(cli: Cli) -> None:
    shown = cli("lr-preview", CYCLED, "--parameter", "momentum", "--epochs", "10").stdout
    assert f"{CYCLED}: base momentum 0.9, 10 epochs" in shown
    assert " 0.95 ┤" in shown
    assert " 0.85 ┤" in shown
    assert "momentum at start" in shown
    # Several schedules of the rate, one of the weight decay.
    words = ("lr-preview", "cosine", "step", "--epochs", "4", "--parameter", "weight-decay", *DECAYED)
    found = rows(cli(*words, "--format", "csv"))
    assert [float(each["weight_decay_start"]) for each in found] == pytest.approx(
        [0.04, 0.0927, 0.22, 0.3473], rel=1e-3
    )
    assert {each["schedule"] for each in found} == {"cosine(eta_min=0.4)"}
    cli(*words, "--output", "decay.json")
    assert [json.loads(line)["weight_decay"] for line in Path("decay.json").read_text().splitlines()] == [
        float(each["weight_decay_end"]) for each in found
    ]
    cli(*words, "--output", "decay.svg")
    assert ">weight decay</text>" in Path("decay.svg").read_text()


def test_what_follows_a_metric_has_both_ends(cli: Cli) -> None:
    words = ("--parameter", "weight-decay", *DECAYED[:-1], "plateau(patience=1)", "--epochs", "6")
    found = rows(cli("lr-preview", *words, "--format", "csv"))
    assert [float(each["weight_decay_end"]) for each in found][-1:] == [0.04]
    assert {each["schedule"] for each in found} == {
        "plateau(patience=1), never improving", "plateau(patience=1), improving every epoch",
    }  # fmt: skip
    found = rows(cli("lr-preview", *words, "--metrics", "3,4,5,6", "--each-batch", "--format", "csv"))
    assert [found[n]["weight_decay"] for n in (0, -1)] == ["0.04", "0.02"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("cosine", "--parameter", "momentum"), "--parameter: the momentum follows no schedule here"),
        (("cosine", "--parameter", "lrs"), "'lrs' is not allowed; it must be one of lr, momentum, weight-decay, group"),
        (("--parameter", "group", "--freeze", "nothing"), "--freeze: no parameter of the model matches 'nothing'"),
    ],
)
def test_what_cannot_be_drawn_is_a_sentence(words: tuple[str, ...], message: str, cli: Cli) -> None:
    result = cli("lr-preview", *words)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


GROUPS = {"freeze": "1", "unfreeze_at": 2, "layer_decay": 0.7, "backbone_lr_scale": 0.3, "optimizer": "adamw",
          "weight_decay": 0.05, "lr": 0.003, "scheduler": "cosine", "epochs": 4}  # fmt: skip


def test_groups_have_the_rates_of_the_optimizer_to_the_bit() -> None:
    settings = TrainSettings.model_validate(GROUPS)
    made = clfctl.preview(settings, parameter="group", steps_per_epoch=3)
    tracks = {track.group: [rate for some in track.batches() for rate in some.rates] for track in made.tracks}
    plan, optimizer = make_plan(settings, 3), build_optimizer(settings, CustomCNN(3), CustomModels())
    for n in range(12):
        set_rates(optimizer, plan.values(n / 3), plan.base_lr, n / 3)
        for group in optimizer.param_groups:
            assert group["lr"] == tracks[group["name"].removesuffix(", not decayed")][n]
    assert {*tracks} == {"frozen layer 1", *(f"layer {n}" for n in range(2, 6)), "classifier"}


def test_a_table_of_groups_is_as_wide_as_the_terminal(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("lr-preview", "cosine", "--epochs", "2", "--layer-decay", "0.7", "--parameter", "group")
    for columns in (80, 40):
        monkeypatch.setenv("COLUMNS", str(columns))
        lines = cli(*words).stdout.splitlines()
        table = lines[next(n for n, line in enumerate(lines) if line.startswith("epoch")) :]
        heads = " ".join(line for line in table if line.startswith("epoch"))
        assert max(map(len, table)) <= columns
        assert [letter in heads for letter in "ABCDEFG"] == [True] * 6 + [False]
        assert heads.count("epoch") == (1 if columns == 80 else 2)
        assert len(table) == 3 * heads.count("epoch")


def test_groups_with_one_rate_are_one_line(cli: Cli) -> None:
    assert [each.name for each in groups_without_weights(TrainSettings())] == ["all"]
    (both,) = groups_without_weights(TrainSettings(weight_decay=0.1))
    assert both.name == "decayed and not decayed"
    shown = cli("lr-preview", "cosine", "--parameter", "group", "--freeze", "backbone", "--epochs", "3").stdout
    assert "A  cosine, frozen backbone: never trained, 3 epochs" in shown
    assert "B  cosine, classifier: base learning rate 0.001, 3 epochs" in shown


def test_of_a_run_it_is_what_the_history_says(cli: Cli, photos: Path) -> None:
    words = ("--data", str(photos), *SMALL, "--model", "resnet9_small", "--epochs", "2", "--run-name", "x")
    own = ("--scheduler", CYCLED, *DECAYED, "--backbone-lr-scale", "0.5")
    assert cli("train", *words, *own).exit_code == 0
    history = [json.loads(line) for line in Path("runs/x/history.jsonl").read_text().splitlines()]
    for name in ("momentum", "weight_decay"):
        found = rows(cli("lr-preview", "runs/x", "--parameter", name, "--format", "csv"))
        assert [float(each[f"{name}_start"]) for each in found] == [each[f"{name}_start"] for each in history]
        assert [float(each[f"{name}_end"]) for each in found] == [each[name] for each in history]
    # What was recorded is shown although nothing moves it from now on.
    longer = ("--epochs", "3", "--weight-decay-schedule", "none", "--parameter", "weight-decay")
    found = rows(cli("lr-preview", "runs/x", *longer, "--format", "csv"))
    assert [float(each["weight_decay_end"]) for each in found] == [*(each["weight_decay"] for each in history), 0.04]
    found = rows(cli("lr-preview", "runs/x", "--parameter", "group", "--format", "csv"))
    rates = {each["schedule"]: float(each["lr_end"]) for each in found}
    assert rates == {"runs/x, backbone": history[1]["lr"] / 2, "runs/x, classifier": history[1]["lr"]}
    refused = cli("lr-preview", "runs/x", "--parameter", "group", "--layer-decay", "0.5")
    assert "the param groups of runs/x are shown as they are" in " ".join(refused.stderr.split())


def test_a_schedule_made_in_python_is_drawn_too() -> None:
    made = clfctl.OneCycle(cycle_momentum=True)
    drawn = clfctl.preview(made, parameter="momentum", epochs=10)
    assert drawn.points(1)[0][1] == 0.95
    assert min(value for _, value in drawn.points(10)) == pytest.approx(0.85)
    groups = clfctl.preview(made, parameter="group", epochs=10, backbone_lr_scale=0.5).tracks
    assert [track.name for track in groups] == ["onecycle, backbone", "onecycle, classifier"]
    assert groups[0].plan.lr(3) == groups[1].plan.lr(3) / 2


def test_an_unknown_parameter_is_an_error_of_the_library() -> None:
    with pytest.raises(UsageError, match="'lrs' is not allowed"):
        clfctl.preview("cosine", parameter="lrs")
