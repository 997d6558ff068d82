"""Hugging Face's schedules: `--lr_scheduler_type cosine --warmup_steps 500`, or the arguments of `get_scheduler`.

Equal to transformers 5.24 at every step. Steps are those of the optimizer, in both.
"""

from collections.abc import Callable
from typing import Any

from clfctl.errors import UsageError, nearest
from clfctl.planning.foreign.hugging_face_options import DEFAULT_NAME, OLDER, TAKES, Course, course_of, flatten
from clfctl.planning.foreign.translation import Known, Translation, call
from clfctl.planning.foreign.words import read_words

ROUNDED = "Hugging Face rounds a share of warmup up to a whole step"


def translate_hugging_face(text: str, known: Known) -> Translation:
    """Return what a schedule of Hugging Face's is in settings of ours; raises UsageError where it cannot be exact."""
    words = read_words(text, "hf", TAKES, "lr_scheduler_type", tuple(SCHEDULES), **OLDER)
    flatten(words)
    name = words.values.pop("lr_scheduler_type", DEFAULT_NAME).lower().removeprefix("schedulertype.")
    if name not in SCHEDULES:
        raise UsageError(f"Hugging Face has no schedule {name!r}", nearest(name, SCHEDULES) or _all_names())
    course = course_of(words, known)
    settings, notes = SCHEDULES[name](course)
    if course.words.values:
        names = ", ".join(course.words.values)
        raise UsageError(f"{name} of Hugging Face does not take {names}", "leave it out")
    base = {"scheduler": settings.pop("scheduler"), "epochs": course.epochs, "lr": course.lr}
    return Translation(base | settings, (*notes, *words.left_out()))


def _warmup(course: Course) -> tuple[dict[str, Any], list[str]]:
    """Return the warmup as settings, from 0 and along a line, as all of them have it."""
    if not course.warmup:
        return {}, []
    if course.warmup >= 1:
        return {"warmup": f"{int(course.warmup)}b"}, []
    if course.known.steps_per_epoch is not None:
        return {"warmup": f"{course.warmup_steps}b"}, []
    note = f"{ROUNDED}: `steps_per_epoch=` makes it exact"
    return {"warmup": f"{100 * course.warmup:g}%"}, [note]


Found = tuple[dict[str, Any], list[str]]


def _after_warmup(course: Course, scheduler: str) -> Found:
    settings, notes = _warmup(course)
    return {"scheduler": scheduler} | settings, notes


def _length(course: Course) -> int | None:
    """Return the length of a curve, which ours counts with the warmup, where less than an epoch is left after it."""
    if not course.warmup:
        return None
    if course.known.steps_per_epoch is not None:
        left = course.epochs - course.in_epochs(course.warmup_steps)
    else:
        left = course.epochs * (1 - course.warmup) if course.warmup < 1 else course.epochs - 1
    return course.epochs if left < 1 else None


def _linear(course: Course) -> Found:
    return _after_warmup(course, call("linear", t_max=_length(course)))


def _constant(course: Course) -> Found:
    notes = ["constant of Hugging Face has no warmup; constant_with_warmup has"] if course.warmup else []
    return {"scheduler": "constant"}, notes


def _constant_with_warmup(course: Course) -> Found:
    return _after_warmup(course, "constant")


def _cosine(course: Course, eta_min: float | None = None) -> Found:
    cycles = course.take("num_cycles", 0.5)
    t_max: float | None = _length(course)
    if cycles != 0.5:
        if cycles <= 0:
            course.known.refuse(f"num_cycles is {cycles:g}")
        warmup = course.warmup_steps if course.warmup else 0
        # Ours is a wave too, and counts its length with the warmup.
        rest = course.epochs / (2 * cycles)
        t_max = course.in_epochs(warmup + (course.steps - warmup) / (2 * cycles)) if warmup else rest
    return _after_warmup(course, call("cosine", t_max=t_max, eta_min=eta_min or None, every="batch"))


def _lowest(course: Course) -> float:
    lowest, share = course.take("min_lr"), course.take("min_lr_rate")
    if (lowest is None) == (share is None):
        course.known.refuse("it needs one of min_lr and min_lr_rate", "lr_scheduler_kwargs='{\"min_lr\": 1e-6}'")
    return float(lowest if lowest is not None else share * course.lr)


def _cosine_with_min_lr(course: Course) -> Found:
    return _cosine(course, _lowest(course))


def _cosine_warmup_with_min_lr(course: Course) -> Found:
    """One step ahead of the others: it begins at the rate of step 1, and its curve too."""
    lowest, first = _lowest(course), course.take("warmup_lr_rate")
    if (cycles := course.take("num_cycles", 0.5)) != 0.5:
        course.known.refuse(f"num_cycles is {cycles:g}, and only 0.5 is translated for this one")
    n, steps = course.warmup_steps if course.warmup else 0, course.steps
    curve = call("cosine", t_max=course.in_epochs(max(1, steps - n)), eta_min=lowest or None, every="batch") + "@1b"
    if not n:
        return {"scheduler": curve}, []
    start = 1 / n if first is None else first
    rise = (
        call("linear", start=start, end=1, t_max=course.in_epochs(n - 1)) if n > 1 else call("constant", factor=start)
    )
    if n == 1 and not start:
        rise = call("linear", start=0, end=0)
    return {"scheduler": f"{rise}:{n}b >> {curve}"}, []


def _cosine_with_restarts(course: Course) -> Found:
    cycles = course.take("num_cycles", 1)
    if cycles < 1 or not float(cycles).is_integer():
        course.known.refuse(f"num_cycles is {cycles:g}, and cosine-restarts has whole cycles")
    if cycles == 1:
        return _after_warmup(course, call("cosine", every="batch"))
    t_0 = course.in_epochs((course.steps - course.warmup_steps) / cycles) if _length(course) else None
    many = None if t_0 else int(cycles)
    return _after_warmup(course, call("cosine-restarts", cycles=many, t_0=t_0, every="batch"))


def _polynomial(course: Course) -> Found:
    end, power = course.take("lr_end", 1e-7), course.take("power", 1.0)
    if end >= course.lr:
        raise UsageError(f"lr_end is {end:g} and the learning rate is {course.lr:g}", "lr_end must be the smaller one")
    return _after_warmup(
        course, call("polynomial", power=power, eta_min=end or None, t_max=_length(course), every="batch")
    )


def _inverse_sqrt(course: Course) -> Found:
    timescale = course.take("timescale")
    if timescale is None and course.warmup:
        return _after_warmup(course, "inverse-sqrt")  # as long as the warmup, in both
    timescale = 10_000 if timescale is None else timescale
    return _after_warmup(course, call("inverse-sqrt", timescale=course.in_epochs(timescale)))


def _wsd(course: Course) -> Found:
    shape, lowest = course.take("decay_type", "cosine"), course.take("min_lr_ratio", 0.0)
    warmup_type, cycles = course.take("warmup_type", "linear"), course.take("num_cycles", 0.5)
    fall, stable = course.take("num_decay_steps"), course.take("num_stable_steps")
    if fall is None:
        course.known.refuse("it needs num_decay_steps", "lr_scheduler_kwargs='{\"num_decay_steps\": 1000}'")
    if shape not in ("linear", "cosine", "1-sqrt"):
        course.known.refuse(f"decay_type is {shape!r}", "it is linear, cosine or 1-sqrt")
    if cycles != 0.5 and shape == "cosine":
        course.known.refuse(f"num_cycles is {cycles:g}, and the fall of wsd is half a wave")
    n = course.warmup_steps if course.warmup else 0
    if n and warmup_type not in ("linear", "cosine"):
        course.known.refuse(f"warmup_type is {warmup_type!r}, and warmups here are linear or cosine")
    own = course.steps - n if stable is None else stable + fall
    if not 0 < fall <= own:
        course.known.refuse(f"num_decay_steps is {fall}, and {own} steps are left after the warmup")
    # The length of a curve counts the warmup.
    t_max = _length(course) if own == course.steps - n else course.in_epochs(n + own)
    exact = True if shape == "1-sqrt" else None
    wsd = call("wsd", decay=fall / own, shape=shape, eta_min=lowest * course.lr or None, t_max=t_max, exact=exact)
    settings, notes = _after_warmup(course, wsd)
    if n and warmup_type == "cosine":
        settings["warmup_shape"] = "cosine"
    if n and lowest:
        settings["warmup_start"] = lowest
    return settings, notes


def _plateau(course: Course) -> Found:
    stated = {name: course.take(name) for name in ("cooldown", "threshold", "threshold_mode", "mode", "eps", "min_lr")}
    plateau = call("plateau", patience=course.take("patience", 10), factor=course.take("factor", 0.1), **stated)
    notes = ["Hugging Face counts its patience in evaluations, and here an evaluation is an epoch"]
    if course.warmup:
        notes.append("Hugging Face leaves a warmup before a plateau out, so it is left out here")
    return {"scheduler": plateau}, notes


def _greedy(course: Course) -> Found:
    taken = ("mode", "factor", "threshold", "threshold_mode", "cooldown", "warmup", "max_lr", "eps", "smooth")
    stated = {name: course.take(name) for name in (*taken, "window_size", "reset_start")}
    # Ours are for looks once an epoch, and for rates below a thousandth.
    others = {"patience": course.take("patience", 10), "min_lr": course.take("min_lr", 1e-3)}
    return {"scheduler": call("greedy", **others, **stated)}, []


SCHEDULES: dict[str, Callable[[Course], Found]] = {
    "linear": _linear,
    "cosine": _cosine,
    "cosine_with_restarts": _cosine_with_restarts,
    "polynomial": _polynomial,
    "constant": _constant,
    "constant_with_warmup": _constant_with_warmup,
    "inverse_sqrt": _inverse_sqrt,
    "reduce_lr_on_plateau": _plateau,
    "cosine_with_min_lr": _cosine_with_min_lr,
    "cosine_warmup_with_min_lr": _cosine_warmup_with_min_lr,
    "warmup_stable_decay": _wsd,
    "greedy": _greedy,
}


def _all_names() -> str:
    return "there are " + ", ".join(SCHEDULES)
