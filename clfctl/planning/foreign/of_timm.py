"""timm's schedules, in the options of its train.py: `--sched cosine --epochs 300 --warmup-epochs 5 --min-lr 1e-5`.

Equal to `timm.scheduler.create_scheduler_v2` of timm 1.0.31 at every step. What none of our kinds has (tanh, k-decay,
noise, epochs that are no whole numbers) is timm's own class by its name, which costs its import.
"""

import math
from typing import Any

from clfctl.planning.foreign.timm_options import MONITORS, OLDER, SCHEDULES, TAKES, Options, options_of
from clfctl.planning.foreign.translation import Known, Translation, call
from clfctl.planning.foreign.words import read_words
from clfctl.schedules.durations import in_digits


def translate_timm(text: str, known: Known) -> Translation:
    """Return what a schedule of timm's is in settings of ours; raises UsageError where it cannot be exact."""
    words = read_words(text, "timm", TAKES, "sched", SCHEDULES, **OLDER)
    options, notes = options_of(words, known)
    if not options.lr > 0 or options.epochs < 1 or min(options.warmup, options.cooldown, options.min_lr) < 0:
        options.refuse("rates and epochs are above 0, and a warmup, a cooldown and min-lr at least 0")
    settings: dict[str, Any] = {
        "scheduler": _native(options) or _by_name(options),
        "epochs": options.total,
        "lr": options.lr,
    }
    if options.sched == "plateau":
        metric = words.get("eval_metric", "top1")
        if metric not in MONITORS:
            options.refuse(f"eval-metric is {metric!r}, and metrics here are others")
        settings["monitor"] = known.setting("monitor", MONITORS[metric], None)
    return Translation(settings, (*notes, *words.left_out()))


def _native(options: Options) -> str | None:
    """Return the schedule in kinds of ours, None if they do not have it."""
    if options.noise or options.sched == "tanh":
        return None
    if options.sched == "none":
        return "constant"
    if options.sched in ("wsd", "rsqrt"):
        return _wsd(options)
    curve = _curve(options)
    if curve is None:
        return None
    # Without a prefix the clock of the curve runs during the warmup.
    is_late = options.warmup and not options.prefix and options.sched not in ("constant", "plateau")
    return _with_cooldown(options, f"{curve}@{options.warmup}" if is_late else curve)


def _curve(options: Options) -> str | None:
    every = None if options.every == "epoch" else "batch"
    lowest, rate = options.min_lr or None, options.decay_rate
    match options.sched:
        case "cosine" if options.k_decay == 1 and options.cycles == 1:
            return call("cosine", eta_min=lowest, every=every)
        case "cosine" if options.k_decay == 1 and options.cycles > 1 and _restarts_as_ours(options):
            mul = None if options.cycle_mul == 1 else options.cycle_mul
            decay = None if options.cycle_decay == 1 else options.cycle_decay
            return call("cosine-restarts", t_0=options.epochs, t_mult=mul, decay=decay, eta_min=lowest, every=every)
        case "poly" if options.k_decay == 1 and options.cycles == 1 and rate > 0:
            return call("polynomial", power=rate, eta_min=lowest, every=every)
        case "step" if 0 < rate <= 1 and options.step > 0 and float(options.step).is_integer():
            return call("step", step_size=options.step, gamma=rate)
        case "multistep" if 0 < rate <= 1 and list(options.milestones) == sorted(options.milestones):
            # A milestone acts one step early, but the first step of all has the base rate.
            first = 0.0 if options.warmup else 1 / options.n
            return call("multistep", milestones=[max(first, m - 1 / options.n) for m in options.milestones], gamma=rate)
        case "constant":
            return "constant"
        case "plateau" if options.on_updates:
            options.refuse("timm's plateau goes by epochs")
        case "plateau" if 0 < rate < 1:
            return call("plateau", patience=options.patience, factor=rate, min_lr=lowest)
    return None


def _restarts_as_ours(options: Options) -> bool:
    """Return whether our kind takes such cycles, and timm's logarithm finds each restart at its own step."""
    mul, steps = options.cycle_mul, options.epochs * options.n
    if mul < 1 or not 0 < options.cycle_decay <= 1:
        return False
    if mul == 1:
        return True
    for cycle in range(1, options.cycles):
        begins = steps * (mul**cycle - 1) / (mul - 1)
        if math.floor(math.log(1 - math.ceil(begins) / steps * (1 - mul), mul)) != cycle:
            return False
    return not options.cooldown or float(options.cycle_epochs).is_integer()


def _wsd(options: Options) -> str | None:
    fall = _fall(options)
    shape = options.decay_fn or ("linear" if options.sched == "rsqrt" else "1-sqrt")
    if shape not in ("linear", "cosine", "1-sqrt") or (options.sched == "rsqrt" and options.min_lr):
        return None
    every, exact = None if options.every == "batch" else "epoch", True if shape == "1-sqrt" else None
    decay, lowest = fall / (options.own * options.n), options.min_lr or None
    curve = call("wsd", decay=decay, shape=shape, eta_min=lowest, every=every, exact=exact)
    if options.sched == "rsqrt":
        curve += f" * {call('inverse-sqrt', timescale=_timescale(options), every=every)}"
    return _with_cooldown(options, curve)


def _fall(options: Options) -> int:
    """Return the steps of the fall, rounded as timm rounds them."""
    share = 0.2 if options.decay_epochs is None else options.decay_epochs
    fall = round(share * options.own * options.n if 0 < share < 1 else share * options.n)
    if not 0 < fall <= options.own * options.n:
        options.refuse(f"a fall of {fall} steps does not fit into {options.own * options.n}")
    return fall


def _timescale(options: Options) -> float:
    timescale = options.warmup if options.timescale is None else options.timescale
    if timescale <= 0:
        options.refuse("rsqrt needs a warmup, or lr-stable-timescale")
    return timescale


def _with_cooldown(options: Options, curve: str) -> str:
    """Return the curve after its warmup, and before the epochs in which the lowest rate is held."""
    rise = ""
    if options.warmup:
        every = None if options.every == "batch" else "epoch"
        start = options.warmup_lr / options.lr
        rise = f"{call('linear', start=start, end=1, every=every)}:{options.warmup} >> "
    if not (options.is_cyclic and options.cooldown):
        return rise + curve
    length = options.cycle_epochs - (0 if options.prefix or options.sched in ("wsd", "rsqrt") else options.warmup)
    lowest = options.min_lr / options.lr
    held = call("linear", start=lowest, end=lowest)
    # A warmup that is no shorter leaves nothing of the curve.
    return f"{rise}{curve}:{in_digits(length)} >> {held}" if length > 0 else rise + held


def _by_name(options: Options) -> str:
    """Return timm's own class with its arguments, in steps."""
    n, lowest = options.n, options.min_lr or None
    length = {"t_initial": options.epochs * n, "lr_min": lowest}
    warmup, cycles, k_decay, ends = (
        _warmup_by_name(options),
        _cycles_by_name(options),
        _k_decay(options),
        _ends(options),
    )
    # The classes do not agree on what they take it for where it is not stated.
    warmup_of_both = warmup | ({"warmup_prefix": options.prefix} if options.warmup else {})
    match options.sched:
        case "cosine":
            return call("timm:CosineLRScheduler", **length, **cycles, **warmup_of_both, **k_decay, **ends)
        case "tanh":
            return call("timm:TanhLRScheduler", **length, **cycles, **warmup_of_both, **ends)
        case "poly":
            power = {"power": options.decay_rate}
            return call("timm:PolyLRScheduler", **length, **power, **cycles, **warmup_of_both, **k_decay, **ends)
        case "step" | "constant":
            every_t = 1 if options.sched == "constant" else options.step * n
            rate = 1 if options.sched == "constant" else options.decay_rate
            return call("timm:StepLRScheduler", decay_t=every_t, decay_rate=rate, **warmup_of_both, **ends)
        case "multistep":
            at = [each * n for each in options.milestones]
            return call(
                "timm:MultiStepLRScheduler", decay_t=at, decay_rate=options.decay_rate, **warmup_of_both, **ends
            )
        case "plateau":
            own: dict[str, Any] = {"patience_t": options.patience, "decay_rate": options.decay_rate, "lr_min": lowest}
            return call("timm:PlateauLRScheduler", **own, **warmup, **ends)
    own = {
        "t_initial": options.own * n,
        "decay_t": _fall(options),
        "lr_min": lowest,
        "stable_fn": "rsqrt" if options.sched == "rsqrt" else None,
        "stable_timescale": _timescale(options) * n if options.sched == "rsqrt" else None,
        "decay_fn": options.decay_fn or ("linear" if options.sched == "rsqrt" else "1-sqrt"),
    }
    return call("timm:WSDLRScheduler", **own, **warmup, **ends)


def _warmup_by_name(options: Options) -> dict[str, Any]:
    if not options.warmup:
        return {}
    return {"warmup_t": options.warmup * options.n, "warmup_lr_init": options.warmup_lr}


def _cycles_by_name(options: Options) -> dict[str, Any]:
    if options.cycles == 1 and options.cycle_mul == 1:
        return {}
    mul = None if options.cycle_mul == 1 else options.cycle_mul
    return {"cycle_mul": mul, "cycle_decay": options.cycle_decay, "cycle_limit": options.cycles}


def _k_decay(options: Options) -> dict[str, Any]:
    return {} if options.k_decay == 1 else {"k_decay": options.k_decay}


def _ends(options: Options) -> dict[str, Any]:
    """Return the noise, and how often the class is stepped."""
    ends: dict[str, Any] = {"every": "batch"} if options.on_updates else {}
    if not options.noise:
        return ends
    turns = [each * options.epochs * options.n for each in options.noise]
    return {
        "noise_range_t": turns[0] if len(turns) == 1 else turns,
        "noise_pct": options.noise_pct,
        "noise_std": options.noise_std,
        "noise_seed": options.seed,
    } | ends
