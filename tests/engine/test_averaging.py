"""A moving average of the weights is timm's to the bit, is what is evaluated and saved as best, and is kept in last."""

import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn
from typer.testing import Result

from clfctl.data.loader import Batch, Loader
from clfctl.engine.averaging import EpochAverage, MovingAverage, decay_at, first_step_of, norms_to_refresh, refresh
from clfctl.engine.device import pick_precision
from clfctl.errors import Interrupted
from clfctl.inference.trained import load_trained
from clfctl.models.factory import rebuild_model
from clfctl.models.weights import load_weights
from clfctl.runs.checkpoint import EMA, MEAN, MODEL, load_checkpoint
from clfctl.settings.groups import TrainSettings
from tests.conftest import SMALL
from tests.engine.test_exact_resume import QUICK, trainer_of


def tiny() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2))


def changed(model: nn.Module, seed: int) -> None:
    """As a step would: parameters, running statistics and their counter."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for each in model.parameters():
            each.add_(torch.randn_like(each))
    model.train()(torch.randn(5, 3, 4, 4))


@pytest.mark.parametrize("decay", [0.3, 0.9, 0.9999])
def test_it_is_timms_to_the_bit(decay: float) -> None:
    from timm.utils import ModelEmaV3

    model = tiny()
    ours, theirs = MovingAverage(decay, model), ModelEmaV3(model, decay, use_warmup=True)
    for step in range(1, 9):
        changed(model, step)
        ours.update(step)
        theirs.update(model, step=step)
        expected = theirs.module.state_dict()
        assert all(torch.equal(each, expected[name]) for name, each in ours.model.state_dict().items())
    assert int(ours.model.state_dict()["1.num_batches_tracked"]) == 8
    assert not torch.equal(ours.model.state_dict()["0.weight"], model.state_dict()["0.weight"])


@pytest.mark.parametrize("decay", [0.1, 0.9, 0.999, 0.99999])
def test_the_decay_is_timms(decay: float) -> None:
    from timm.utils import ModelEmaV3

    theirs = ModelEmaV3(nn.Linear(1, 1), decay, use_warmup=True)
    assert [decay_at(n, decay) for n in range(100_000)] == [theirs.get_decay(n) for n in range(100_000)]
    first = first_step_of(decay)
    assert decay_at(first, decay) == decay
    assert first == 2 or decay_at(first - 1, decay) < decay


def test_a_tied_weight_is_averaged_once() -> None:
    first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    second.weight = first.weight
    average = MovingAverage(0.5, nn.Sequential(first, second))
    before = first.weight.detach().clone()
    with torch.no_grad():
        first.weight.add_(1)
    average.update(1_000)
    assert torch.allclose(average.model.state_dict()["1.weight"], before + 0.5)


def test_it_is_evaluated_saved_as_best_and_kept_beside_the_weights_in_last() -> None:
    trainer = trainer_of(TrainSettings.model_validate(QUICK | {"ema": 0.9, "epochs": 1}))
    result = next(iter(trainer.epochs()))
    ema, run = trainer.state.ema, trainer.saver.run
    assert ema is not None
    assert trainer.state.weights_to_use() is ema.model
    trained, average = trainer.state.model.state_dict(), ema.model.state_dict()
    best, last = load_checkpoint(run.best), load_checkpoint(run.last)
    assert not torch.equal(trained["conv_stem.weight"], average["conv_stem.weight"])
    for found, expected in ((best.part(MODEL), average), (last.part(EMA), average), (last.part(MODEL), trained)):
        assert found.keys() == expected.keys()
        assert all(torch.equal(each, expected[name]) for name, each in found.items())
    used = load_trained(run, run.last)
    assert all(torch.equal(each, average[name]) for name, each in used.model.state_dict().items())
    assert used.notes == ("last.safetensors is used with the moving average of the weights, as in validation",)
    assert load_trained(run).notes == ()
    assert result.is_best


def test_it_may_begin_and_end_when_a_run_is_resumed() -> None:
    settings = TrainSettings.model_validate(QUICK | {"epochs": 1})
    run = trainer_of(settings).saver.run
    begun = trainer_of(settings.model_copy(update={"ema": 0.5}), run)
    assert begun.state.ema is not None
    model, average = begun.state.model.state_dict(), begun.state.ema.model.state_dict()
    assert all(torch.equal(each, average[name]) for name, each in model.items())
    begun.save_last()
    assert load_checkpoint(run.last).part(EMA)
    ended = trainer_of(settings, run)
    assert ended.state.weights_to_use() is ended.state.model


@pytest.mark.parametrize("decay", ["1", "1.5", "-0.1"])
def test_a_decay_out_of_its_limits_is_a_sentence(cli: Callable[..., Result], photos: Path, decay: str) -> None:
    result = cli("train", "--data", str(photos), *SMALL, "--ema", decay, "--dry-run")
    assert result.exit_code == 2
    assert f"--ema: '{decay}' (from the command line) is not allowed; it must be a number at least 0" in result.output


def test_a_dry_run_says_how_fast_it_grows(cli: Callable[..., Result], photos: Path) -> None:
    result = cli("train", "--data", str(photos), *SMALL, "--ema", "0.99", "--dry-run")
    assert result.exit_code == 0, result.output
    assert "with a decay that grows to 0.99 in 1,000 steps" in " ".join(result.output.split())


CPU = pick_precision("off", torch.device("cpu"))


def test_the_mean_of_epochs_is_that_of_torch_and_its_statistics_those_of_update_bn() -> None:
    from torch.optim.swa_utils import AveragedModel, update_bn

    model = tiny()
    ours, theirs = EpochAverage(1, model), AveragedModel(model)
    for epoch in range(1, 6):
        changed(model, epoch)
        ours.add(epoch)
        if epoch > 1:  # the first is before its part
            ours.add(epoch)  # again, as after a stop in validation
            theirs.update_parameters(model)
    assert (ours.n_epochs, ours.until) == (4, 5)
    torch.manual_seed(1)
    batches = [torch.randn(6, 3, 4, 4) for _ in range(3)]
    refresh(ours.model, norms_to_refresh(model), [*batches, torch.randn(1, 3, 4, 4)], CPU)
    update_bn(batches, theirs)
    for (name, mine), other in zip(ours.model.state_dict().items(), theirs.module.state_dict().values(), strict=True):
        torch.testing.assert_close(mine, other, msg=name)
    norm = ours.model.get_submodule("1")
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.momentum == 0.1
    assert not norm.training


def test_refreshing_draws_nothing_and_leaves_frozen_statistics_alone() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4))
    for each in model[1].parameters():
        each.requires_grad_(False)
    before = model[1].running_mean.clone()  # type: ignore[operator]
    batch = torch.randn(8, 3, 2, 2)
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        average = EpochAverage(0, model)
        refresh(average.model, norms_to_refresh(model), [batch], CPU)
        found.append(average.model.state_dict())
    assert torch.equal(found[0]["1.running_mean"], before)
    assert not torch.equal(found[0]["4.running_mean"], torch.zeros(4))
    assert torch.equal(found[0]["4.running_mean"], found[1]["4.running_mean"])


def test_a_stop_does_not_wait_for_the_images_that_a_mean_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = TrainSettings.model_validate(QUICK | {"scheduler": "average", "batch_size": 4, "workers": 0})
    trainer = trainer_of(settings)
    read, load = [], Loader._load

    def stopping(loader: Loader, draws: NDArray[np.int64], epoch: int) -> Batch:
        read.append(draws)
        if len(read) == loader.n_batches + 2:  # the second that it sees
            trainer.signals.received = signal.SIGTERM
        return load(loader, draws, epoch)

    monkeypatch.setattr(Loader, "_load", stopping)
    with pytest.raises(Interrupted):
        list(trainer.epochs())
    assert len(read) == trainer.train_loader.n_batches + 2


def test_the_mean_is_evaluated_and_saved_from_the_epoch_on_that_the_schedule_says() -> None:
    settings = TrainSettings.model_validate(QUICK | {"scheduler": "constant:1 > average(rate=1e-4)"})
    trainer = trainer_of(settings)
    run, mean = trainer.saver.run, trainer.state.mean
    assert mean is not None
    used = []
    for _ in trainer.epochs():
        used.append(trainer.state.weights_to_use() is mean.model)
        assert bool(load_checkpoint(run.last).part(MEAN)) == used[-1]
    assert used == [False, True, True]
    assert mean.n_epochs == 2
    loaded = load_trained(run, run.last)
    assert loaded.notes == (
        "last.safetensors is used with the mean of the weights at the ends of epochs, as in validation",
    )
    expected = mean.model.state_dict()
    assert all(torch.equal(each, expected[name]) for name, each in loaded.model.state_dict().items())
    # So do the first weights of another run.
    filled = rebuild_model(settings.model, 10, settings, 32)
    said = str(load_weights(filled, run.last, {"classifier.weight", "classifier.bias"}))
    assert said.startswith(" (the mean of the weights at the ends of epochs), ")
    assert all(torch.equal(each, expected[name]) for name, each in filled.state_dict().items())
    # Gone on with under a schedule in which it begins later, it begins anew.
    later = trainer_of(settings.model_copy(update={"epochs": 9, "scheduler": "constant:5 > average"}), run)
    assert later.state.weights_to_use() is later.state.model
    longer = trainer_of(settings.model_copy(update={"epochs": 4}), run)
    list(longer.epochs())
    assert longer.state.mean is not None
    assert longer.state.mean.n_epochs == 3
