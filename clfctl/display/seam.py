"""The seam of a resumed run: what the learning rate would have been, what it is now, and whether it jumps."""

import math
from collections.abc import Iterator

from clfctl.display.curve import draw_curve, format_lr, letter_of
from clfctl.engine.trainer import Trainer
from clfctl.planning.extending import JUMP
from clfctl.planning.plan import Plan
from clfctl.planning.quantities import MOMENTUM, WEIGHT_DECAY
from clfctl.schedules import sample_curve

HEIGHT, MAX_WIDTH = 13, 100


def seam_lines(trainer: Trainer, old: Plan, last_lr: float, width: int) -> Iterator[str]:
    """Yield both curves with the place where the run goes on, the rates there, and a warning if they are far apart.

    `last_lr` is the learning rate of the latest step, `width` the columns of the terminal. Nothing is yielded where the
    change leaves the curve as it is.
    """
    cursor, metrics, new = trainer.state.cursor, trainer.metrics(), trainer.plan
    t = cursor.epoch + cursor.batch / trainer.train_loader.n_batches
    curves = [sample_curve(p.schedule, p.base_lr, p.last_epoch(metrics), metrics) for p in (old, new)]
    if curves[0] == curves[1]:
        return
    yield f"Learning rate: {letter_of(0)} as it was planned, {letter_of(1)} as it is now, ▲ where training goes on"
    yield from draw_curve(curves, min(width, MAX_WIDTH), HEIGHT, marker=t, letters=True)
    now = new.lr(t, metrics)
    if not any((cursor.epoch, cursor.batch)) or t >= new.last_epoch(metrics):
        return
    if math.isclose(last_lr, now, rel_tol=1e-9):
        yield f"▲ at epoch {t:g}: the learning rate goes on at {format_lr(now)}"
        return
    what = f"{format_lr(last_lr)} to {format_lr(now)}{_times(last_lr, now)}"
    yield f"▲ at epoch {t:g}: from the last step to the next the learning rate goes from {what}"
    would_have_been = old.lr(t, metrics) if t < old.last_epoch(metrics) else last_lr
    if _is_jump(last_lr, now) and _is_jump(would_have_been, now):
        yield f"Warning: the learning rate jumps from {what} where training goes on."


def moved_lines(trainer: Trainer, old: Plan) -> Iterator[str]:
    """Yield a sentence for each of momentum and weight decay that another schedule than before moves from here on."""
    cursor, metrics, new = trainer.state.cursor, trainer.metrics(), trainer.plan
    t = cursor.epoch + cursor.batch / trainer.train_loader.n_batches
    if not any((cursor.epoch, cursor.batch)) or t >= new.last_epoch(metrics):
        return
    for what in (MOMENTUM, WEIGHT_DECAY):
        was, will_be = old.moved().get(what), new.moved().get(what)
        if was == will_be:
            continue
        unmoved = next(each.base for each in (was, will_be) if each)
        before = cursor.moved.get(what.name, unmoved)
        after = will_be.given(metrics)(t) if will_be else unmoved
        change = f"goes from {before:.4g} to {after:.4g}" if before != after else f"goes on at {after:.4g}"
        yield f"▲ at epoch {t:g}: from the last step to the next the {what.words} {change}"


def _is_jump(before: float, after: float) -> bool:
    if not before or not after:
        return before != after
    return abs(math.log(after / before)) > math.log(JUMP)


def _times(before: float, after: float) -> str:
    return f" ({after / before:.3g} times)" if before and not math.isclose(before, after, rel_tol=1e-9) else ""
