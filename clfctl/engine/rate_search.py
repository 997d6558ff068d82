"""The learning rate, by a range test: real steps of the training at rising rates, on copies that are thrown away."""

import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from clfctl.data.cache.make import Sources
from clfctl.data.loader import Batch
from clfctl.data.onlookers import Onlookers
from clfctl.engine.assemble import Parts, plan_of
from clfctl.engine.check import check_plan
from clfctl.engine.device import seed_step
from clfctl.engine.frozen import has_begun
from clfctl.engine.memory import in_memory
from clfctl.engine.optimizers import build_optimizer
from clfctl.engine.rates import set_rates
from clfctl.engine.rehearsal import rehearsal
from clfctl.engine.trainer import Trainer
from clfctl.engine.world import ALONE, World
from clfctl.errors import ClfctlError, UsageError
from clfctl.finding.found import RateFinding, judge, note_on_images
from clfctl.finding.sweep import LEAST_STEPS, End, Extent, Sweep, debiased_means, has_diverged
from clfctl.finding.usual import N_REPEATS, TAKEN
from clfctl.models.sources import source_of
from clfctl.runs.checkpoint import Checkpoint
from clfctl.settings.clock import clock_in_words

# What `lr=auto` may take, in seconds.
LONGEST_S = 20.0
# Steps that are timed, if these are quick.
N_TIMED = 3


class TooSlowError(ClfctlError):
    """In the time that there is, too few steps can be made."""


@dataclass(frozen=True)
class Search:
    """How a rate is looked for: how far each of so many sweeps goes, and in how many seconds in all, None: any."""

    extent: Extent = field(default_factory=Extent)
    repeats: int = N_REPEATS
    seconds: float | None = None


def sweep_rates(
    parts: Parts,
    search: Search,
    to: Onlookers,
    *,
    checkpoint: Checkpoint | None = None,
    sources: Sources | None = None,
    world: World = ALONE,
) -> RateFinding:
    """Return what sweeps of the rate find for a training of the parts, or for a run as its checkpoint left it.

    Nothing of the parts is changed, and torch's random state is as it was. The first sweep sees the very batches that
    the training begins with, each other one those of the next seed. Of several processes the first decides by its clock
    when to stop. Raises TooSlowError where `seconds` are too few, and ClfctlError if the very first loss is not finite.
    """
    started, extent = time.perf_counter(), search.extent
    deadline = math.inf if search.seconds is None else started + search.seconds
    if search.seconds is not None:
        extent = _within(extent, parts, search.seconds, sources, world)
    sweeps = list[Sweep]()
    with to.bar("Range test", search.repeats * extent.n_steps) as advance:
        for number in range(search.repeats):
            begun = time.perf_counter()
            settings = parts.settings.model_copy(update={"seed": parts.settings.seed + number, "ema": 0.0})
            with rehearsal(parts, settings, checkpoint, world) as trainer:
                if sources:
                    trainer.read_from(sources.train, sources.val)
                sweeps.append(_sweep(trainer, extent, advance, deadline))
                if number == 0:
                    about = _About.of(trainer)
            if sweeps[-1].end == "out of time" and number:
                sweeps.pop()  # half a sweep would be compared with whole ones
                break
            took_s = time.perf_counter() - begun
            if world.first_says(time.perf_counter() + took_s > deadline):
                break
    if not sweeps[0].losses:
        raise _no_loss(sweeps[0])
    found = judge([each for each in sweeps if each.losses])
    more = note_on_images(extent, about.n_batches), about.frozen, about.ratios, about.scaled
    notes = [*found.notes, *filter(None, more)]
    return replace(found, notes=tuple(notes), shares=about.shares)


# What `lr=auto` does, in the place of a training that has not begun.
AUTO = Search(seconds=LONGEST_S)


def find_rate(
    parts: Parts, to: Onlookers, sources: Sources | None = None, search: Search = AUTO, world: World = ALONE
) -> tuple[Parts, list[str]]:
    """Return the parts with the rate that was found, where one was to be, and lines about it.

    Where none can be trusted it stays what the settings say, which a line tells. Raises UsageError for that if cautions
    are refused, and for a schedule that is refused with the rate that was found.
    """
    settings = parts.settings
    if not settings.find_lr:
        return parts, []
    limit = f", in {search.seconds:g} s at most" if search.seconds else ""
    to.tell(f"Rate   a range test looks for `lr=`{limit}")
    try:
        found = sweep_rates(parts, search, to, sources=sources, world=world)
    except TooSlowError as error:
        found = RateFinding((), (), (error.message,))
    rate = found.lr if found.is_trusted else None
    if rate is None:
        why = "; ".join(found.doubts)
        if settings.strict:
            raise UsageError(f"no learning rate was found: {why}", "state a number", field="lr")
        lines = [f"Warning: no learning rate was found: {why}. `lr={settings.lr:g}` is trained with."]
    else:
        lines = [f"Found  `lr={rate:g}`: {_in_words(found)}", *(f"Note   {each}" for each in found.notes)]
    chosen = settings.model_copy(update={"lr": settings.lr if rate is None else rate, "find_lr": False})
    parts = replace(
        parts,
        settings=chosen,
        optimizer=build_optimizer(chosen, parts.built.model, source_of(chosen.model)),
    )
    if not chosen.time:  # else it is checked when its epochs are known
        check_plan(chosen, plan_of(parts))
    return parts, lines


def _in_words(found: RateFinding) -> str:
    taken = next(each for each in found.suggestions if each.name == TAKEN)
    n, n_steps = len(found.sweeps), found.sweeps[0].extent.n_steps
    sweeps = f"{n} {'sweep' if n == 1 else 'sweeps'} of {n_steps} steps"
    band = "" if n == 1 else f", {taken.low:.2g} to {taken.high:.2g}"
    return f"{sweeps}{band}; the middle of the longest fall of the loss"


def _sweep(trainer: Trainer, extent: Extent, advance: Callable[[int], None], deadline: float) -> Sweep:
    """Train with a rate that rises at each step, and return what came of it."""
    state, losses = trainer.state, list[float]()
    base, seed, device, epoch = trainer.plan.base_lr, state.settings.seed, state.precision.device, state.cursor.epoch
    planned = trainer.plan.given(trainer.metrics())(epoch)
    end: End = "at the end"
    for rate, (number, batch) in zip(extent.rates(), _batches(trainer, epoch), strict=False):
        seed_step(device, seed, number, trainer.world.rank)
        set_rates(state.optimizer, planned._replace(lr=rate), base, epoch)
        with in_memory(state):
            loss = trainer.step(batch, number).item()
        loss, is_late = trainer.world.first_says([loss, time.perf_counter() > deadline])
        advance(1)
        if not math.isfinite(loss):
            end = "not finite"
            break
        losses.append(loss)
        if has_diverged(losses, debiased_means(losses, extent.weight), extent.n_first):
            end = "diverged"
            break
        if is_late:
            end = "out of time"
            break
    return Sweep(extent, seed, tuple(losses), end)


def _batches(trainer: Trainer, first: int) -> Iterator[tuple[int, Batch]]:
    """Yield the batches of an epoch and of those after it, each with its number in the run.

    All the time that is trained which the first of these epochs trains.
    """
    loader, n_batches = trainer.begin(first), trainer.train_loader.n_batches
    for epoch in itertools.count(first):
        n = 0
        for place, batch in enumerate(trainer.batches(loader, epoch)):
            if trainer.can_train_on(batch):
                n += 1
                yield epoch * n_batches + place, batch
        if not n:
            return


def _within(extent: Extent, parts: Parts, seconds: float, sources: Sources | None, world: World) -> Extent:
    """Return a sweep that fits in so many seconds, by a few steps that are timed. Raises TooSlowError."""
    took_s = list[float]()
    with rehearsal(parts, world=world) as trainer:
        if sources:
            trainer.read_from(sources.train, sources.val)
        values, begun = trainer.plan.values(0.0)._replace(lr=extent.start_lr), time.perf_counter()
        for number, batch in itertools.islice(_batches(trainer, 0), N_TIMED):
            set_rates(trainer.state.optimizer, values, trainer.plan.base_lr, 0.0)
            with in_memory(trainer.state):
                trainer.step(batch, number).item()
            took_s.append(time.perf_counter() - begun)
            begun = time.perf_counter()
            if world.first_says(sum(took_s) > seconds / 4):
                break
    # The first warms up, and others may have been disturbed. Some of the time is for copies and slower steps.
    step_s = world.first_says(min(took_s, default=seconds / extent.n_steps))
    n_steps = min(extent.n_steps, int(0.8 * seconds / step_s))
    if n_steps < LEAST_STEPS:
        takes = f"a step takes {clock_in_words(step_s)}, and a range test needs {LEAST_STEPS} of them"
        raise TooSlowError(f"{takes}, more than {seconds:g} s; clfctl lr-find takes its time")
    return replace(extent, n_steps=n_steps)


def _no_loss(sweep: Sweep) -> ClfctlError:
    if sweep.end != "not finite":
        return ClfctlError("there is no batch that can be trained on", "look at the images with: clfctl check-data")
    what = (
        f"the very first loss is not finite, at a rate of {sweep.extent.start_lr:g}: it is not the rate that is wrong"
    )
    return ClfctlError(what, "try `amp=off`, and look at the images with: clfctl check-data")


@dataclass(frozen=True)
class _About:
    """What is to be said of a training that is swept: batches of an epoch, and what its param groups are."""

    n_batches: int
    shares: Mapping[str, float]
    frozen: str
    ratios: str
    scaled: str

    @classmethod
    def of(cls, trainer: Trainer) -> Self:
        """Look at a trainer."""
        state = trainer.state
        epoch, base, groups = state.cursor.epoch, trainer.plan.base_lr, state.optimizer.param_groups
        begun = [group for group in groups if has_begun(group, epoch)]
        shares = {group.get("name", str(n)): group["initial_lr"] / base for n, group in enumerate(begun)}
        low, high = min(shares.values()), max(shares.values())
        ratios = ""
        if low < high:
            span = f"from {low:.3g} to {high:.3g} times it"
            ratios = f"what rises is `lr=`, and the {len(shares)} param groups keep their ratios to it, {span}"
        frozen = ""
        if len(begun) < len(groups):
            frozen = f"what is frozen (`freeze={state.settings.freeze}`) was so in the test too"
            if state.settings.unfreeze_at is not None:
                frozen += f": of the run, look again after epoch {state.settings.unfreeze_at} with clfctl lr-find RUN"
        scaled = ""
        if base != state.settings.lr:
            scaled = f"what was found is of batches of {state.settings.batch_size}: to train with it and "
            scaled += f"`scale_lr={state.settings.scale_lr}`, let `lr=` be it / {base / state.settings.lr:.4g}"
        return cls(trainer.train_loader.n_batches, shares if low < high else {}, frozen, ratios, scaled)
