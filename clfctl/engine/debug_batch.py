"""A batch whose loss was not finite, computed again: which images, which layer, which gradients."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch
from torch import nn

from clfctl.data.cache.make import cached_sources
from clfctl.data.loader import Batch
from clfctl.data.onlookers import Onlookers
from clfctl.engine.assemble import make_trainer
from clfctl.engine.device import seed_step
from clfctl.engine.frozen import begin_epoch
from clfctl.engine.losses import Loss
from clfctl.engine.micro_batches import MicroBatch
from clfctl.engine.reopening import look_into
from clfctl.engine.step import gradients
from clfctl.engine.trainer import Trainer
from clfctl.errors import UsageError
from clfctl.runs.bad_batch import BadBatch, BatchImage
from clfctl.runs.folder import RunFolder


class Activation(NamedTuple):
    """What a layer put out: how many of its values are not finite, of how many, and whether its input was finite."""

    layer: str
    kind: str
    n_bad: int
    n_values: int
    came_in: bool


class GroupNorm(NamedTuple):
    """The norm of a param group's gradient, and the first parameter of it whose gradient is not finite, or nothing."""

    group: str
    norm: float
    bad_parameter: str


@dataclass(frozen=True)
class Replay:
    """What came of a batch in a state `n_steps_before` its step, 0: in the very state that it had.

    `images` have their loss, the worst first; `bad_weights` are not finite before the batch is seen. `first_bad` is the
    first layer whose output was not finite, `largest` the layer with the largest finite value, and that.
    """

    record: BadBatch
    n_steps_before: int
    loss: float
    images: Sequence[tuple[BatchImage, float]]
    bad_weights: Sequence[str]
    first_bad: Activation | None
    largest: tuple[str, float]
    groups: Sequence[GroupNorm]
    classes: Sequence[str]


def replay(run: RunFolder, to: Onlookers, *, exact: bool) -> Replay:
    """Compute a run's bad batch again, in the state of its last checkpoint; nothing of the run is changed.

    With `exact` the steps from there to the batch are trained again first, in memory: it is then seen in the very state
    in which its loss was not finite. Raises ClfctlError.
    """
    record = BadBatch.read(run)
    trainer = _reopened(run, to)
    cursor = trainer.state.cursor
    if exact:
        if cursor.epoch != record.epoch or cursor.batch > record.batch:
            at = f"the last checkpoint is of epoch {cursor.epoch + 1}, batch {cursor.batch + 1}"
            what = f"{at}, and the batch is {record.batch + 1} of epoch {record.epoch + 1}: it cannot be trained up to"
            raise UsageError(what, "without it, the batch is seen in the state of the checkpoint", field="exact")
        n_steps = record.batch - cursor.batch
        with to.bar("Training up to the batch", n_steps) as advance:
            batch = train_up_to(trainer, record.batch, advance)
    else:
        batch = next(iter(trainer.train_loader.batches(record.epoch, record.batch)))
    before = record.step - cursor.epoch * record.n_batches - cursor.batch
    return look_at(trainer, batch, replace(record, images=_images(trainer, batch)), before)


def train_up_to(trainer: Trainer, number: int, advance: Callable[[int], None]) -> Batch:
    """Train the running epoch up to a batch, from 0, and return that; nothing is saved.

    `advance` is told of each step.
    """
    cursor = trainer.state.cursor
    trainer.plan_ahead()
    for batch in trainer.begin(cursor.epoch).batches(cursor.epoch, cursor.batch):
        if cursor.batch == number:
            return batch
        trainer.train_batch(batch)
        advance(1)
    raise ValueError(f"the epoch has no batch {number} any more")


def look_at(trainer: Trainer, batch: Batch, record: BadBatch, n_steps_before: int) -> Replay:
    """Compute a batch as the step of the record does, without a step, and return what came of it."""
    state, stepper = trainer.state, trainer.whole
    begin_epoch(state.model, state.optimizer, record.epoch)
    bad_weights = [name for name, each in state.model.state_dict().items() if not each.isfinite().all()]
    seed_step(state.precision.device, state.settings.seed, record.step)
    seen = _Seen(stepper.loss)
    with seen.watching(state.model):
        parts = stepper.parts(batch, record.step)
        loss = gradients(state.model, state.precision, parts, stepper.loss, stepper.lesson, seen.logits)
    groups = [_norm_of(group, state.precision.scaler.get_scale()) for group in state.optimizer.param_groups]
    state.optimizer.zero_grad(set_to_none=True)
    images = sorted(zip(record.images, seen.losses, strict=True), key=lambda each: -_worst(each[1]))
    classes = trainer.saver.card.classes
    return Replay(
        record, n_steps_before, loss.item(), images, bad_weights, seen.first_bad, seen.largest, groups, classes
    )


@dataclass
class _Seen:
    """Gathers what a model does with a batch: the loss of each image, and what its layers put out."""

    loss: Loss
    losses: list[float] = field(default_factory=list)
    first_bad: Activation | None = None
    largest: tuple[str, float] = ("", 0.0)

    def logits(self, part: MicroBatch, logits: torch.Tensor) -> None:
        """Take the logits of a part: what each image alone has for a loss."""
        with torch.no_grad():
            for at in range(len(part.labels)):
                one = slice(at, at + 1)
                others = None if part.others is None else part.others[one]
                image = replace(part, labels=part.labels[one], others=others, total=1)
                self.losses.append(image.loss(self.loss, logits[one]).item())

    def watching(self, model: nn.Module) -> "_Hooks":
        """Return a context in which every layer is looked at that is not made of others."""
        layers = [(name, each) for name, each in model.named_modules() if not [*each.children()]]
        return _Hooks(self, layers)

    def output(self, name: str, layer: nn.Module, came: Sequence[torch.Tensor], out: torch.Tensor) -> None:
        """Take what a layer put out."""
        values = out.detach()
        is_finite = values.isfinite()
        n_bad = int((~is_finite).sum())
        if n_bad and self.first_bad is None:
            came_in = all(bool(each.isfinite().all()) for each in came)
            self.first_bad = Activation(name or "the model", type(layer).__name__, n_bad, values.numel(), came_in)
        largest = values.abs().where(is_finite, 0).max().item() if values.numel() else 0.0
        if largest > self.largest[1]:
            self.largest = (name, largest)


class _Hooks:
    """Hooks on layers for as long as the context lasts."""

    def __init__(self, seen: _Seen, layers: Sequence[tuple[str, nn.Module]]) -> None:
        self._seen, self._layers = seen, layers
        self._handles: list[Any] = []

    def __enter__(self) -> None:
        for name, layer in self._layers:

            def look(layer: nn.Module, came: Any, out: Any, name: str = name) -> None:
                if isinstance(out, torch.Tensor) and out.is_floating_point():
                    inputs = [each for each in came if isinstance(each, torch.Tensor)]
                    self._seen.output(name, layer, inputs, out)

            self._handles.append(layer.register_forward_hook(look))

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()


def _reopened(run: RunFolder, to: Onlookers) -> Trainer:
    """Return the trainer of a run as `resume` would have it, without taking note of anything in the run."""
    parts, checkpoint = look_into(run)
    trainer = make_trainer(parts, run, checkpoint)
    sources = cached_sources(parts.settings, parts.data, parts.built.preprocess, to)
    trainer.read_from(sources.train, sources.val)
    return trainer


def _images(trainer: Trainer, batch: Batch) -> list[BatchImage]:
    source = trainer.train_loader.part.source
    pairs = zip(batch.indices, batch.labels.tolist(), strict=True)
    return [BatchImage(index, source.name(index), label) for index, label in pairs]


def _norm_of(group: dict[str, Any], scale: float) -> GroupNorm:
    names = group.get("names") or [str(number) for number in range(len(group["params"]))]
    pairs = [(n, each.grad) for n, each in zip(names, group["params"], strict=True) if each.grad is not None]
    bad = next((name for name, grad in pairs if not grad.isfinite().all()), "")
    norm = math.hypot(*(grad.norm().item() / scale for _, grad in pairs)) if not bad else math.nan
    return GroupNorm(group.get("name", ""), norm, bad)


def _worst(loss: float) -> float:
    return loss if math.isfinite(loss) else math.inf
