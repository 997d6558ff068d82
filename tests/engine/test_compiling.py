"""A compiled step is used where it pays, gives the same run at each resume, and is left out with a sentence else."""

import copy
from typing import Any

import pytest
import torch

from clfctl.engine.compiling import CompiledForward, compile_if_it_pays
from clfctl.engine.trainer import Trainer
from clfctl.runs.checkpoint import load_checkpoint
from clfctl.settings.groups import TrainSettings
from tests.engine.test_exact_resume import QUICK, Watch, assert_same, state_of, trainer_of

SETTINGS: dict[str, Any] = QUICK | {"compile": True, "epochs": 2, "dropout": 0.2}


def compiled(trainer: Trainer, backend: Any, **decided: bool) -> list[str]:
    for name, value in decided.items():
        setattr(trainer.state, name, value)
    told: list[str] = []
    compile_if_it_pays(trainer, told.append, backend)
    return told


@pytest.mark.slow
def test_what_cannot_be_compiled_trains_without_and_loses_nothing() -> None:
    def backend(*_: object) -> None:
        raise RuntimeError("no compiler here")

    trainer = trainer_of(TrainSettings.model_validate(SETTINGS))
    before = state_of(trainer)
    told = compiled(trainer, backend)
    assert len(told) == 2
    assert told[1].startswith("Compile not possible: ")
    assert "no compiler here" in told[1]
    assert trainer.state.is_compiled is False
    assert all(torch.equal(each, before[name]) for name, each in state_of(trainer).items())
    assert not isinstance(trainer.state.model.forward, CompiledForward)
    assert all(parameter.grad is None for parameter in trainer.state.model.parameters())
    # It is not tried again.
    assert compiled(trainer, backend) == []


def test_whether_it_pays_is_decided_by_the_time_and_kept_in_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = TrainSettings.model_validate(SETTINGS)
    trainer = trainer_of(settings)
    seconds = iter([0.01, 0.004, 0.01, 0.004])  # plain, compiled; twice
    monkeypatch.setattr("clfctl.engine.compiling._step_s", lambda *_: next(seconds))
    monkeypatch.setattr("clfctl.engine.compiling._seconds", lambda _: 0.02)
    assert "Compile pays: a forward and backward pass takes 4 ms instead of 10" in compiled(trainer, "eager")[1]
    forward = trainer.state.model.forward
    assert isinstance(forward, CompiledForward)
    assert not isinstance(copy.deepcopy(trainer.state.model).forward, CompiledForward)
    trainer.save_last()
    assert trainer_of(settings, trainer.saver.run).state.is_compiled
    monkeypatch.setattr("clfctl.engine.compiling._seconds", lambda _: 60.0)
    other = trainer_of(settings)
    told = compiled(other, "eager")[1]
    assert told.startswith("Compile does not pay: a forward and backward pass takes 4 ms instead of 10, and it takes 1")
    assert other.state.is_compiled is False
    assert other.state.model.forward == type(other.state.model).forward.__get__(other.state.model)


def test_what_computes_on_features_alone_is_not_compiled() -> None:
    trainer = trainer_of(TrainSettings.model_validate(SETTINGS | {"freeze": "backbone", "dropout": 0.0}))
    (told,) = compiled(trainer, "eager")
    assert told == "Compile nothing: a classifier on the features of a frozen network is too small to gain by it"
    assert trainer.state.is_compiled is None


@pytest.mark.slow
def test_only_whole_batches_of_training_are_compiled() -> None:
    seen: list[torch.Size] = []

    def backend(graph: torch.fx.GraphModule, inputs: list[Any]) -> Any:
        seen.extend(each.shape for each in inputs if isinstance(each, torch.Tensor) and each.ndim == 4)
        return graph.forward

    trainer = trainer_of(TrainSettings.model_validate(SETTINGS))
    compiled(trainer, backend, is_compiled=True)
    list(trainer.epochs())
    assert torch.Size((16, 3, 32, 32)) in seen
    assert not [shape for shape in seen if shape[1:] == (3, 32, 32) and shape[0] != 16]


@pytest.mark.slow
@pytest.mark.parametrize(
    "values", [{}, {"checkpoint_activations": True, "ema": 0.9}, {"model": "custom", "accumulate": 2}]
)
def test_a_compiled_run_that_was_stopped_ends_with_the_same_bits(values: dict[str, Any]) -> None:
    settings = TrainSettings.model_validate(SETTINGS | values)
    whole = trainer_of(settings)
    compiled(whole, "inductor", is_compiled=True)
    assert whole.state.is_compiled
    rates = Watch(whole).rates
    list(whole.epochs())
    first = trainer_of(settings.model_copy(update={"epochs": 1}))
    compiled(first, "inductor", is_compiled=True)
    list(first.epochs())
    assert load_checkpoint(first.saver.run.last).resumption.is_compiled
    torch.compiler.reset()  # as in a new process
    resumed = trainer_of(settings, first.saver.run)
    compiled(resumed, "inductor")
    assert isinstance(resumed.state.model.forward, CompiledForward)
    list(resumed.epochs())
    assert_same(resumed, whole, state_of(whole))
    assert len(rates) == 6
    # Batch normalization counts each batch once, as in the plain run.
    plain = trainer_of(settings.model_copy(update={"compile": False}))
    list(plain.epochs())
    counters = {name: each for name, each in state_of(plain).items() if name.endswith("num_batches_tracked")}
    assert counters
    assert all(torch.equal(each, state_of(whole)[name]) for name, each in counters.items())


@pytest.mark.slow
def test_a_network_that_no_epoch_computes_is_not_compiled() -> None:
    def told_by(**values: Any) -> list[str]:
        return compiled(trainer_of(TrainSettings.model_validate(SETTINGS | values | {"freeze": "backbone"})), "eager")

    (line,) = told_by()
    assert line.startswith("Compile nothing: ")
    # It is computed later, or in every epoch.
    assert told_by(unfreeze_at=1)[0] == told_by(augment="light")[0] == "Compile the model, which may take a minute"
