"""What the library's calls take and refuse, what a preview tells, and what needs no torch."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import Result

import clfctl
from clfctl import api

Cli = Callable[..., Result]


def python(text: str) -> str:
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True, timeout=300)
    assert done.stderr == ""
    return done.stdout


@pytest.mark.slow
def test_the_package_is_light_and_its_names_are_there() -> None:
    heavy = python(
        "import sys, clfctl\n"
        "print({'torch', 'numpy', 'pydantic', 'PIL', 'typer', 'rich'} & {*sys.modules})\n"
        "print([name for name in clfctl.__all__ if not hasattr(clfctl, name)])\n"
        "print({*clfctl.__all__} - {*dir(clfctl)})"
    )
    assert heavy.split("\n")[:3] == ["set()", "[]", "set()"]
    with pytest.raises(AttributeError, match="'nothing'"):
        _ = clfctl.nothing


def test_a_preview_needs_no_torch() -> None:
    text = "import sys, clfctl; print(clfctl.preview('cosine', epochs=4).rates, 'torch' in sys.modules)"
    assert python(text).startswith("[(1, 0.001, ")
    assert python(text).endswith(" False\n")


def test_only_what_is_passed_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLFCTL_EPOCHS", "7")
    Path(".env").write_text("CLFCTL_LR=3\n")
    Path("clfctl.toml").write_text("batch_size = 3\nnonsense = 1\n")
    plan = clfctl.preview(data="digits", recipe="long-cosine").tracks[0].plan
    assert (plan.epochs, plan.base_lr) == (50, 1e-4)
    settings = api._training_settings(None, {"data": "digits"})
    assert (settings.epochs, settings.lr, settings.image_size) == (8, 1e-3, 32)
    assert api._training_settings(settings, {"epochs": 3}).epochs == 3


def test_mistakes_are_told_without_torch() -> None:
    calls = "train(data='no'), resume('no'), evaluate('no'), export('no'), predict('no', 'a.png')"
    text = f"""
import sys, clfctl
for call in {[f"clfctl.{each}" for each in calls.replace("), ", ")|").split("|")]}:
    try:
        eval(call)
    except clfctl.ClfctlError as error:
        print("torch" in sys.modules)
"""
    assert python(text).split() == ["False"] * 5


def test_a_model_onnx_answers_without_torch() -> None:
    model = next(Path(__file__).parents[1].glob("compatibility/*/model.onnx"))
    text = f"""
import sys, numpy, clfctl
[found] = clfctl.predict({str(model)!r}, numpy.zeros((8, 8, 3), numpy.uint8))
print(bool(found.classes), "torch" in sys.modules)
"""
    assert python(text).split() == ["True", "False"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that could be touched")
def test_a_gpu_is_left_alone_where_the_device_is_another() -> None:
    text = """
import torch
from clfctl.engine.as_it_was import as_it_was
for device in ("cpu", "cuda"):
    with as_it_was(device):
        print(torch.cuda.is_initialized())
"""
    assert python(text).split() == ["False", "True"]


def test_preview_is_what_the_command_shows(cli: Cli) -> None:
    found = clfctl.preview("linear:2 > cosine", epochs=9, warmup="1")
    shown = cli("lr-preview", "linear:2 > cosine", "--epochs", "9", "--warmup", "1", "--format", "csv").stdout
    assert [f"{epoch},{start!r},{end!r}" for epoch, start, end in found.rates] == [
        line.split(",", 1)[1] for line in shown.splitlines()[1:]
    ]
    both = clfctl.preview("plateau", epochs=20)
    assert [each.case for each in both.tracks] == ["never improving", "improving every epoch"]
    assert len(clfctl.preview("plateau", epochs=5, metrics=[3.0, 2.0, 1.0, 1.0, 1.0]).tracks) == 1
    assert clfctl.preview("cosine", epochs=3, warmup="3").cautions
    for metrics in (np.array([3.0, 2.0, 1.0], np.float32), [np.float64(3), np.float64(2), 1]):
        of_numpy = clfctl.preview("plateau", epochs=3, metrics=metrics)
        assert of_numpy.tracks[0].metrics == (3, 2, 1)
    with pytest.raises(clfctl.UsageError, match=r"^metrics: .*not a sequence of numbers"):
        clfctl.preview("plateau", epochs=3, metrics=["low"])  # type: ignore[list-item]  # the mistake


def test_settings_state_what_they_were_given() -> None:
    """As keyword arguments do: what is not stated is left to the data set, the recipe and the size of the data."""
    settings = clfctl.TrainSettings(scheduler="cosine", epochs=5)
    assert clfctl.preview(settings).rates == clfctl.preview(scheduler="cosine", epochs=5).rates
    plan = clfctl.PlanSettings(scheduler="cosine", epochs=5)
    assert clfctl.preview(plan).rates == clfctl.preview("cosine", epochs=5).rates
    recipe = {"recipe": "long-cosine"}
    cases: list[tuple[dict[str, Any], dict[str, Any]]] = [({"epochs": 3}, {}), ({}, recipe), ({"epochs": 3}, recipe)]
    for stated, more in cases:
        found = api._training_settings(clfctl.TrainSettings(**stated), more)
        expected = api._training_settings(None, {**stated, **more})
        assert found == expected
        assert found.model_fields_set == expected.model_fields_set


FOREIGN: list[tuple[Callable[..., object], dict[str, Any], str]] = [
    (lambda **fields: clfctl.preview("cosine", **fields), {"quiet": True}, "quiet"),
    (clfctl.train, {"quiet": True}, "quiet"),
    (lambda **fields: clfctl.resume("run", **fields), {"recipe": "aggressive"}, "recipe"),
    (lambda **fields: clfctl.resume("run", **fields), {"config": "mine.toml"}, "config"),
]


@pytest.mark.parametrize(("call", "fields", "name"), FOREIGN)
def test_settings_of_another_command_are_refused(
    call: Callable[..., object], fields: dict[str, Any], name: str
) -> None:
    with pytest.raises(clfctl.UsageError, match=f"^{name}: this call does not have that setting"):
        call(**fields)


def test_preview_of_a_schedule_object() -> None:
    schedule = clfctl.Warmup(clfctl.Cosine(4), 1)
    found = clfctl.preview(schedule, epochs=5, lr=0.1)
    assert [start for _, start, _ in found.rates] == [schedule.lr(0.1, epoch) for epoch in range(5)]
    assert found.points()[-1][0] == pytest.approx(5)
    with pytest.raises(clfctl.UsageError, match="goes by a metric"):
        clfctl.preview(clfctl.Plateau(), epochs=5)
    assert len(clfctl.preview(clfctl.Plateau(patience=1), epochs=3, metrics=[1.0, 1.0, 1.0]).rates) == 3


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"epoch": 3}, "'epoch', which is not a setting"),
        ({"epochs": 0}, "^epochs: "),
        ({"data": "nowhere"}, "^data: nowhere"),
        ({"model": "custm"}, "^model: "),
        ({"learning_rate": -1}, "^lr: "),
        ({"scheduler": "step", "t_max": 3}, "^t_max: "),
    ],
)
def test_mistakes_name_the_field(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(clfctl.ClfctlError, match=message) as found:
        clfctl.train(**fields)
    assert "--" not in str(found.value) + found.value.hint
    assert not Path("runs").exists()
