"""A resumed run ends with the same bits as one that was not stopped: weights, optimizer, metrics, learning rates."""

import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import pytest
import torch

from clfctl.data.cache.make import cached_sources
from clfctl.data.sources.base import Data, Part
from clfctl.data.sources.open import open_data
from clfctl.engine.as_it_was import as_it_was
from clfctl.engine.assemble import build_parts, make_trainer, rebuild_parts
from clfctl.engine.read_features import read_features
from clfctl.engine.saving import saved_settings
from clfctl.engine.trainer import Trainer
from clfctl.errors import Interrupted
from clfctl.planning.extending import extend, standing_of
from clfctl.runs.checkpoint import load_checkpoint
from clfctl.runs.folder import RunFolder, create_run
from clfctl.settings.groups import TrainSettings
from tests.engine.matrix import FEATURES
from tests.nobody import NOBODY

# timm's smallest network with batch normalization, dropout and drop path.
MODEL = "test_efficientnet"
N_TRAIN, N_VAL, N_BATCHES = 40, 16, 3
QUICK = {"model": MODEL, "pretrained": False, "image_size": 32, "augment": "none", "batch_size": 16, "epochs": 3,
         "lr": 1e-3, "save_every_batches": 2}  # fmt: skip


def trainer_of(settings: TrainSettings, run: RunFolder | None = None) -> Trainer:
    """A trainer on a few digits; on a run that has a checkpoint it goes on from there, as `resume` does."""
    data = few_digits()
    if settings.distill and not settings.distill.exists():
        parts = build_parts(TrainSettings.model_validate(QUICK | {"seed": 9}), data)
        teacher = make_trainer(parts, create_run(Path("runs"), "teacher", ""))
        teacher.saver.save_best(teacher.state)
    if run:
        checkpoint = load_checkpoint(run.last)
        trainer = make_trainer(rebuild_parts(settings, data, checkpoint), run, checkpoint)
    else:
        trainer = make_trainer(build_parts(settings, data), create_run(Path("runs"), "{n}", ""))
        trainer.save_last()
    sources = cached_sources(settings, data, trainer.train_loader.preprocess, NOBODY)
    trainer.read_from(sources.train, sources.val)
    read_features(trainer, data, NOBODY)
    return trainer


@cache
def few_digits() -> Data:
    whole = open_data(TrainSettings(), 0)
    return replace(whole, train=cut(whole.train, N_TRAIN), val=cut(whole.val, N_VAL))


def cut(part: Part, n: int) -> Part:
    return Part(part.source, part.indices[:n])


@pytest.fixture(autouse=True)
def torch_as_it_was() -> Iterator[None]:
    """Deterministic algorithms are asked for in the whole process."""
    with as_it_was("cpu"):
        yield


@dataclass
class Watch:
    """Notes the learning rate of every step; after `stop_after` steps it asks to stop, or kills."""

    trainer: Trainer
    stop_after: int = 0
    kills: bool = False
    rates: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.trainer.state.optimizer.register_step_post_hook(self)

    def __call__(self, optimizer: torch.optim.Optimizer, *_: object) -> None:
        self.rates.append(optimizer.param_groups[0]["lr"])
        if len(self.rates) == self.stop_after:
            if self.kills:
                raise Killed
            self.trainer.signals.received = signal.SIGTERM


class Killed(BaseException):
    """As kill -9 does: nothing is saved any more."""


def state_of(trainer: Trainer) -> dict[str, torch.Tensor]:
    """All tensors of model and optimizer by name."""
    tensors = dict(trainer.state.model.state_dict())
    optimizer = trainer.state.optimizer
    for number, parameter in enumerate(each for group in optimizer.param_groups for each in group["params"]):
        values = optimizer.state[parameter]
        tensors |= {f"{number}.{name}": value for name, value in values.items() if isinstance(value, torch.Tensor)}
    return {name: tensor.clone() for name, tensor in tensors.items()}


def history_of(trainer: Trainer) -> list[object]:
    return [replace(result, images_per_s=0.0, time_s=0.0) for result in trainer.state.cursor.history]


def assert_same(resumed: Trainer, whole: Trainer, expected: dict[str, torch.Tensor]) -> None:
    # repr: a history may have NaN, which equals nothing.
    assert repr(history_of(resumed)) == repr(history_of(whole))
    found = state_of(resumed)
    assert found.keys() == expected.keys()
    different = [name for name, tensor in expected.items() if not torch.equal(tensor, found[name])]
    assert not different


# Each is trained and resumed at several places: these in `make test`, all of them in `make test-all`.
ALWAYS = ("schedule plateau", "warmup of batches", "bf16", "weight decay", "mixup or cutmix", "all at once")


@pytest.mark.parametrize(
    "feature", [pytest.param(each, marks=() if each in ALWAYS else pytest.mark.slow) for each in FEATURES]
)
def test_resumed_is_as_if_never_stopped(feature: str) -> None:
    settings = TrainSettings.model_validate(QUICK | FEATURES[feature])
    whole = trainer_of(settings)
    assert (whole.begin(0) is not whole.train_loader) == ("on features" in feature)
    rates = Watch(whole).rates
    list(whole.epochs())
    expected = state_of(whole)
    n_batches = whole.train_loader.n_batches
    # In the middle of an epoch, at the end of one, and killed two steps after the latest save between batches.
    for stop_after, kills in ((1, False), (2 * n_batches, False), (n_batches + 2, True)):
        stopped = trainer_of(settings)
        watch = Watch(stopped, stop_after, kills)
        with pytest.raises(Killed if kills else Interrupted):
            list(stopped.epochs())
        resumed = trainer_of(settings, stopped.saver.run)
        begun_at = resumed.state.cursor.epoch * n_batches + resumed.state.cursor.batch
        assert begun_at == (n_batches if kills else stop_after)
        rest = Watch(resumed)
        list(resumed.epochs())
        assert watch.rates[:begun_at] + rest.rates == rates
        assert_same(resumed, whole, expected)


def test_stopping_again_and_again_changes_nothing() -> None:
    settings = TrainSettings.model_validate(QUICK | FEATURES["all at once"])
    whole = trainer_of(settings)
    list(whole.epochs())
    trainer = trainer_of(settings)
    run = trainer.saver.run
    for _ in range(3 * N_BATCHES):
        Watch(trainer, 1)
        try:
            list(trainer.epochs())
        except Interrupted:
            trainer = trainer_of(settings, run)
    list(trainer.epochs())
    assert_same(trainer, whole, state_of(whole))


@pytest.mark.slow
@pytest.mark.parametrize("way", ["stretch", "hold", "rewarm", "anneal"])
@pytest.mark.parametrize("stopped_at", [N_BATCHES + 1, 3 * N_BATCHES])
def test_a_run_that_was_made_longer_is_as_if_never_stopped_since(way: str, stopped_at: int) -> None:
    """Made longer inside an epoch or at its end, then stopped again and again, it ends as one that was not."""
    saved = TrainSettings.model_validate(QUICK | {"scheduler": "cosine", "warmup": "2b"})
    runs = []
    for stops in (False, True):
        trainer = trainer_of(saved)
        Watch(trainer, stopped_at)
        with suppress(Interrupted):
            list(trainer.epochs())
        run = trainer.saver.run
        at = standing_of(load_checkpoint(run.last).header, saved.monitor)
        longer = saved.model_copy(update={"epochs": 6})
        settings = extend(saved, longer, {"epochs": 6}, at, way).settings
        trainer = trainer_of(settings, run)
        while not trainer.is_finished():
            Watch(trainer, 2 if stops else 0)
            try:
                list(trainer.epochs())
            except Interrupted:
                settings, _ = saved_settings(load_checkpoint(run.last))
                trainer = trainer_of(settings, run)
        runs.append(trainer)
    assert len(runs[0].state.cursor.history) == 6
    assert_same(runs[1], runs[0], state_of(runs[0]))
