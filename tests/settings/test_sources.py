"""Precedence of the six sources, names in every spelling, and messages that say where a value came from."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import Result

from clfctl.errors import UsageError
from clfctl.settings.dump import env_example, to_toml
from clfctl.settings.groups import AppSettings, OutputSettings, ServeSettings, TrainSettings
from clfctl.settings.optimization import MAX_EPOCHS
from clfctl.settings.sources import read_config, recipe_names, resolve

REPOSITORY = Path(__file__).parents[2]


def epochs(**typed: str) -> tuple[int, str]:
    resolved = resolve(TrainSettings, typed)
    return resolved.settings.epochs, resolved.origins["epochs"]


def test_each_source_gives_way_to_the_one_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert epochs(data="nowhere") == (25, "default")
    assert epochs(data="digits") == (8, "default for digits")
    assert epochs(recipe="long-cosine") == (50, "recipe long-cosine")
    Path("clfctl.toml").write_text("epochs = 4")
    assert epochs(recipe="long-cosine") == (4, "config file clfctl.toml")
    Path("mine.toml").write_text("epochs = 5")
    assert epochs(config="mine.toml", recipe="long-cosine") == (5, "config file mine.toml")
    Path(".env").write_text("CLFCTL_EPOCHS=6\nOTHER=1\n")
    assert epochs(config="mine.toml") == (6, ".env file")
    monkeypatch.setenv("CLFCTL_EPOCHS", "7")
    assert epochs(config="mine.toml") == (7, "environment")
    assert epochs(config="mine.toml", epochs="9") == (9, "command line")


def test_config_and_recipe_may_come_from_any_source_above_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLFCTL_RECIPE", "aggressive")
    assert resolve(TrainSettings, {}).settings.model_dump()["gamma"] == 0.7
    Path("mine.toml").write_text('recipe = "conservative"')
    monkeypatch.delenv("CLFCTL_RECIPE")
    assert resolve(TrainSettings, {"config": "mine.toml"}).settings.model_dump()["factor"] == 0.3


@pytest.mark.parametrize("name", ["warmup", "warmup_epochs", "warmup-epochs"])
def test_older_names_and_dashes_work_in_files_and_environment(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("clfctl.toml").write_text(f"{name} = 2")
    assert resolve(TrainSettings, {}).settings.warmup == "2"
    monkeypatch.setenv("CLFCTL_" + name.upper().replace("-", "_"), "3")
    assert resolve(TrainSettings, {}).settings.warmup == "3"


def test_empty_variable_is_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLFCTL_EPOCHS", "")
    assert epochs(data="nowhere") == (25, "default")


BAD = [
    ({"lr": "fast"}, "", "lr: 'fast' (from the command line) is not allowed; it must be a number greater than 0, or"),
    ({"epochs": "0"}, "", "epochs: '0' (from the command line)"),
    ({"scheduler": "cosin"}, "", "scheduler: 'cosin' is not a schedule; expected one of step, plateau"),
    (
        {"warmup": "-1"},
        "",
        "warmup: '-1' (from the command line) is not allowed; it must be epochs (2, 0.5), batches",
    ),
    ({}, "t_max = -1", "t_max: -1 (from the config file clfctl.toml) is not allowed; it must be a number at least 0"),
    ({"recipe": "agressive"}, "", "no recipe is called 'agressive'"),
    ({}, "batch_size = -3", "batch_size: -3 (from the config file clfctl.toml)"),
    ({}, "lerning_rate = 1", "clfctl.toml sets 'lerning_rate', which is not a setting"),
    ({}, "warmup = 1\nwarmup_epochs = 2", "sets 'warmup' twice"),
    ({}, "epochs =", "clfctl.toml is not valid TOML"),
    ({"config": "gone.toml"}, "", "cannot read gone.toml: No such file or directory"),
]


@pytest.mark.parametrize(("typed", "toml", "message"), BAD)
def test_bad_value_names_option_source_and_what_is_allowed(typed: dict[str, str], toml: str, message: str) -> None:
    if toml:
        Path("clfctl.toml").write_text(toml)
    with pytest.raises(UsageError) as caught:
        resolve(TrainSettings, typed)
    assert message in str(caught.value)


def test_nearest_known_key_is_named() -> None:
    Path("clfctl.toml").write_text("lerning_rate = 1")
    with pytest.raises(UsageError) as caught:
        resolve(TrainSettings, {})
    assert "learning_rate" in caught.value.hint


def test_misspelt_variable_is_an_error_with_the_nearest_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLFCTL_EPOCH", "3")
    with pytest.raises(UsageError, match="CLFCTL_EPOCH, which sets nothing") as caught:
        resolve(TrainSettings, {})
    assert "CLFCTL_EPOCHS" in caught.value.hint


def test_bad_value_in_env_file_names_the_file() -> None:
    Path(".env").write_text("CLFCTL_LR=-1\n")
    with pytest.raises(UsageError, match=r"lr: '-1' \(from the \.env file\)"):
        resolve(TrainSettings, {})


@pytest.mark.parametrize("name", recipe_names())
def test_recipes_are_valid(name: str) -> None:
    assert resolve(TrainSettings, {"recipe": name}).settings


def test_recipe_of_the_issue_are_there() -> None:
    wanted = {"custom-laptop", "efficientnet-laptop", "aggressive", "conservative", "long-cosine"}
    wanted |= {"probe-then-finetune", "finetune-small", "finetune-large", "from-scratch-modern"}
    assert wanted <= set(recipe_names())


def test_env_example_is_fresh() -> None:
    text = (REPOSITORY / ".env.example").read_text(encoding="utf-8")
    assert text == env_example((TrainSettings, ServeSettings, AppSettings, OutputSettings)), "run: make env-example"


def test_env_example_states_the_defaults() -> None:
    text = (REPOSITORY / ".env.example").read_text(encoding="utf-8")
    uncommented = [line[1:] for line in text.splitlines() if line.startswith("#CLFCTL_")]
    Path(".env").write_text("\n".join(uncommented))
    assert resolve(TrainSettings, {"data": "nowhere"}).settings == TrainSettings(data="nowhere")


@given(
    run_name=st.text(),
    lr=st.floats(min_value=0, exclude_min=True, allow_infinity=False),
    epochs=st.integers(1, MAX_EPOCHS),
    pretrained=st.none() | st.booleans(),
)
def test_saved_config_reads_back_the_same(tmp_path_factory: pytest.TempPathFactory, **values: object) -> None:
    settings = TrainSettings.model_validate(values)
    path = tmp_path_factory.mktemp("config") / "config.toml"
    path.write_text(to_toml(settings), encoding="utf-8", newline="")
    assert TrainSettings.model_validate(read_config(path).values) == settings


def test_saved_run_does_not_read_the_environment_of_today(monkeypatch: pytest.MonkeyPatch) -> None:
    saved = TrainSettings(epochs=3).model_dump(mode="json")
    for name in TrainSettings.model_fields:
        monkeypatch.setenv(f"CLFCTL_{name.upper()}", "1")
    assert TrainSettings.model_validate(saved) == TrainSettings(epochs=3)


OLD = [
    ("--warmup_epochs", "1", "warmup"), ("--warmup-epochs", "1", "warmup"), ("--scheduler_step_size", "1", "step_size"),
    ("--scheduler_gamma", "1", "gamma"), ("--scheduler_patience", "1", "patience"), ("--scheduler_t_max", "1", "t_max"),
    ("--batch_size", "1", "batch_size"), ("--run_name", "1", "run_name"), ("--save_every", "1", "save_every"),
    ("--early_stopping", "1", "early_stopping"), ("--scheduler_eta_min", "1", "eta_min"),
    ("--val_split", "0.1", "val_split"),
    ("--label_smoothing", "0.1", "label_smoothing"), ("--weight_decay", "1", "weight_decay"), ("--lr", "1", "lr"),
    ("--learning_rate", "1", "lr"), ("--num_epochs", "1", "epochs"), ("--num_workers", "1", "workers"),
]  # fmt: skip


@pytest.mark.parametrize(("option", "value", "field"), OLD)
def test_older_spellings_set_the_same_field(option: str, value: str, field: str, cli: Callable[..., Result]) -> None:
    result = cli("train", option, value, "--scheduler", "wrong")
    # Reached the judgement of all settings, with this one taken.
    assert "--scheduler: 'wrong'" in result.stderr
    assert result.exit_code == 2
    if field != "run_name":
        result = cli("train", option, "wrong")
        assert f"--{field.replace('_', '-')}: 'wrong' (from the command line)" in result.stderr


def test_no_variable_is_left_behind() -> None:
    assert not [name for name in os.environ if name.startswith("CLFCTL_")]
