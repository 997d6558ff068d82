"""Hugging Face's schedules: `--lr_scheduler_type cosine --warmup_steps 500`, or the arguments of `get_scheduler`.

Equal to transformers 5.24 at every step. Steps are those of the optimizer, in both.
"""

from collections.abc import Callable
from typing import Any

from clfctl.errors import UsageError, nearest
from clfctl.planning.foreign.hugging_face_options import DEFAULT_NAME, OLDER, TAKES, TheirTraining, flatten, training_of
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
    training = training_of(words, known)
    settings, notes = SCHEDULES[name](training)
    if training.words.values:
        names = ", ".join(training.words.values)
        raise UsageError(f"{name} of Hugging Face does not take {names}", "leave it out")
    base = {"scheduler": settings.pop("scheduler"), "epochs": training.epochs, "lr": training.lr}
    return Translation(base | settings, (*notes, *words.left_out()))


def _warmup(training: TheirTraining) -> tuple[dict[str, Any], list[str]]:
    """Return the warmup as settings, from 0 and along a line, as all of them have it."""
    if not training.warmup:
        return {}, []
    if training.warmup >= 1:
        return {"warmup": f"{int(training.warmup)}b"}, []
    if training.known.steps_per_epoch is not None:
        return {"warmup": f"{training.warmup_steps}b"}, []
    note = f"{ROUNDED}: `steps_per_epoch=` makes it exact"
    return {"warmup": f"{100 * training.warmup:g}%"}, [note]


Found = tuple[dict[str, Any], list[str]]


def _after_warmup(training: TheirTraining, scheduler: str) -> Found:
    settings, notes = _warmup(training)
    return {"scheduler": scheduler} | settings, notes


def _length(training: TheirTraining) -> int | None:
    """Return the length of a curve, which ours counts with the warmup, where less than an epoch is left after it."""
    if not training.warmup:
        return None
    if training.known.steps_per_epoch is not None:
        left = training.epochs - training.in_epochs(training.warmup_steps)
    else:
        left = training.epochs * (1 - training.warmup) if training.warmup < 1 else training.epochs - 1
    return training.epochs if left < 1 else None


def _linear(training: TheirTraining) -> Found:
    return _after_warmup(training, call("linear", t_max=_length(training)))


def _constant(training: TheirTraining) -> Found:
    notes = ["constant of Hugging Face has no warmup; constant_with_warmup has"] if training.warmup else []
    return {"scheduler": "constant"}, notes


def _constant_with_warmup(training: TheirTraining) -> Found:
    return _after_warmup(training, "constant")


def _cosine(training: TheirTraining, eta_min: float | None = None) -> Found:
    cycles = training.take("num_cycles", 0.5)
    t_max: float | None = _length(training)
    if cycles != 0.5:
        if cycles <= 0:
            training.known.refuse(f"num_cycles is {cycles:g}")
        warmup = training.warmup_steps if training.warmup else 0
        # Ours is a wave too, and counts its length with the warmup.
        rest = training.epochs / (2 * cycles)
        t_max = training.in_epochs(warmup + (training.steps - warmup) / (2 * cycles)) if warmup else rest
    return _after_warmup(training, call("cosine", t_max=t_max, eta_min=eta_min or None, every="batch"))


def _lowest(training: TheirTraining) -> float:
    lowest, share = training.take("min_lr"), training.take("min_lr_rate")
    if (lowest is None) == (share is None):
        training.known.refuse("it needs one of min_lr and min_lr_rate", "lr_scheduler_kwargs='{\"min_lr\": 1e-6}'")
    return float(lowest if lowest is not None else share * training.lr)


def _cosine_with_min_lr(training: TheirTraining) -> Found:
    return _cosine(training, _lowest(training))


def _cosine_warmup_with_min_lr(training: TheirTraining) -> Found:
    """One step ahead of the others: it begins at the rate of step 1, and its curve too."""
    lowest, first = _lowest(training), training.take("warmup_lr_rate")
    if (cycles := training.take("num_cycles", 0.5)) != 0.5:
        training.known.refuse(f"num_cycles is {cycles:g}, and only 0.5 is translated for this one")
    n, steps = training.warmup_steps if training.warmup else 0, training.steps
    curve = call("cosine", t_max=training.in_epochs(max(1, steps - n)), eta_min=lowest or None, every="batch") + "@1b"
    if not n:
        return {"scheduler": curve}, []
    start = 1 / n if first is None else first
    rise = (
        call("linear", start=start, end=1, t_max=training.in_epochs(n - 1)) if n > 1 else call("constant", factor=start)
    )
    if n == 1 and not start:
        rise = call("linear", start=0, end=0)
    return {"scheduler": f"{rise}:{n}b >> {curve}"}, []


def _cosine_with_restarts(training: TheirTraining) -> Found:
    cycles = training.take("num_cycles", 1)
    if cycles < 1 or not float(cycles).is_integer():
        training.known.refuse(f"num_cycles is {cycles:g}, and cosine-restarts has whole cycles")
    if cycles == 1:
        return _after_warmup(training, call("cosine", every="batch"))
    t_0 = training.in_epochs((training.steps - training.warmup_steps) / cycles) if _length(training) else None
    many = None if t_0 else int(cycles)
    return _after_warmup(training, call("cosine-restarts", cycles=many, t_0=t_0, every="batch"))


def _polynomial(training: TheirTraining) -> Found:
    end, power = training.take("lr_end", 1e-7), training.take("power", 1.0)
    if end >= training.lr:
        raise UsageError(
            f"lr_end is {end:g} and the learning rate is {training.lr:g}", "lr_end must be the smaller one"
        )
    return _after_warmup(
        training, call("polynomial", power=power, eta_min=end or None, t_max=_length(training), every="batch")
    )


def _inverse_sqrt(training: TheirTraining) -> Found:
    timescale = training.take("timescale")
    if timescale is None and training.warmup:
        return _after_warmup(training, "inverse-sqrt")  # as long as the warmup, in both
    timescale = 10_000 if timescale is None else timescale
    return _after_warmup(training, call("inverse-sqrt", timescale=training.in_epochs(timescale)))


def _wsd(training: TheirTraining) -> Found:
    shape, lowest = training.take("decay_type", "cosine"), training.take("min_lr_ratio", 0.0)
    warmup_type, cycles = training.take("warmup_type", "linear"), training.take("num_cycles", 0.5)
    fall, stable = training.take("num_decay_steps"), training.take("num_stable_steps")
    if fall is None:
        training.known.refuse("it needs num_decay_steps", "lr_scheduler_kwargs='{\"num_decay_steps\": 1000}'")
    if shape not in ("linear", "cosine", "1-sqrt"):
        training.known.refuse(f"decay_type is {shape!r}", "it is linear, cosine or 1-sqrt")
    if cycles != 0.5 and shape == "cosine":
        training.known.refuse(f"num_cycles is {cycles:g}, and the fall of wsd is half a wave")
    n = training.warmup_steps if training.warmup else 0
    if n and warmup_type not in ("linear", "cosine"):
        training.known.refuse(f"warmup_type is {warmup_type!r}, and warmups here are linear or cosine")
    own = training.steps - n if stable is None else stable + fall
    if not 0 < fall <= own:
        training.known.refuse(f"num_decay_steps is {fall}, and {own} steps are left after the warmup")
    # The length of a curve counts the warmup.
    t_max = _length(training) if own == training.steps - n else training.in_epochs(n + own)
    exact = True if shape == "1-sqrt" else None
    wsd = call("wsd", decay=fall / own, shape=shape, eta_min=lowest * training.lr or None, t_max=t_max, exact=exact)
    settings, notes = _after_warmup(training, wsd)
    if n and warmup_type == "cosine":
        settings["warmup_shape"] = "cosine"
    if n and lowest:
        settings["warmup_start"] = lowest
    return settings, notes


def _plateau(training: TheirTraining) -> Found:
    stated = {
        name: training.take(name) for name in ("cooldown", "threshold", "threshold_mode", "mode", "eps", "min_lr")
    }
    plateau = call("plateau", patience=training.take("patience", 10), factor=training.take("factor", 0.1), **stated)
    notes = ["Hugging Face counts its patience in evaluations, and here an evaluation is an epoch"]
    if training.warmup:
        notes.append("Hugging Face leaves a warmup before a plateau out, so it is left out here")
    return {"scheduler": plateau}, notes


def _greedy(training: TheirTraining) -> Found:
    taken = ("mode", "factor", "threshold", "threshold_mode", "cooldown", "warmup", "max_lr", "eps", "smooth")
    stated = {name: training.take(name) for name in (*taken, "window_size", "reset_start")}
    # Ours are for looks once an epoch, and for rates below a thousandth.
    others = {"patience": training.take("patience", 10), "min_lr": training.take("min_lr", 1e-3)}
    return {"scheduler": call("greedy", **others, **stated)}, []


SCHEDULES: dict[str, Callable[[TheirTraining], Found]] = {
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
