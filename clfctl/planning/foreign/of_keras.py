"""Keras' schedules, as Python writes them: `CosineDecay(0.1, decay_steps=10000, alpha=0.01)`.

Equal to Keras 3.15 at every step, but for the rounding of its 32-bit numbers. Its steps are batches.
"""

import ast
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from clfctl.errors import UsageError, nearest
from clfctl.planning.foreign.translation import Known, Translation, call
from clfctl.schedules.durations import in_digits

# More parts than this are no translation that anyone would read.
MOST_PARTS = 200
MONITORS = {
    "val_loss": "val_loss", "val_accuracy": "val_top1", "val_sparse_categorical_accuracy": "val_top1",
    "val_categorical_accuracy": "val_top1", "val_sparse_top_k_categorical_accuracy": "val_top5",
    "val_top_k_categorical_accuracy": "val_top5",
}  # fmt: skip


@dataclass(frozen=True)
class Call:
    """A class with its arguments by name, and what is known beside it."""

    name: str
    arguments: Mapping[str, Any]
    known: Known

    @property
    def n(self) -> int:
        """The batches in an epoch."""
        return self.known.steps("Keras counts in steps")

    def base_lr(self, name: str = "initial_learning_rate") -> float:
        """Return the base rate that it states."""
        lr = self.number(name)
        if not lr > 0:
            self.known.refuse(f"{name} is {lr:g}, and a base rate is above 0")
        return float(self.known.setting("lr", lr, None))

    def epochs(self, steps: float = 0) -> int:
        """Return the epochs of the training: as many as its steps need, if nothing else is stated."""
        return int(self.known.setting("epochs", None, max(1, math.ceil(steps / self.n)) if steps else 25))

    def number(self, name: str) -> float:
        """Return an argument that is a number. Raises UsageError if it is none."""
        value = self.arguments[name]
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            raise UsageError(f"{name} of {self.name} is {value!r}; it must be a number")
        return value

    def steps(self, name: str) -> float:
        """Return an argument that is a number of steps."""
        value = self.number(name)
        if not value > 0:
            raise UsageError(f"{name} of {self.name} is {value!r}; it must be a number greater than 0")
        return value


def translate_keras(text: str, known: Known) -> Translation:
    """Return what a schedule of Keras' is in settings of ours; raises UsageError where it cannot be exact."""
    made = _call(text, known)
    return CLASSES[made.name](made)


def _call(text: str, known: Known) -> Call:
    """Return the call that a text is, with every argument; nothing of it is evaluated but plain numbers and words."""
    try:
        node = ast.parse(text.strip().replace("\n", " "), mode="eval").body
        if not isinstance(node, ast.Call):
            raise ValueError
        name = ast.unparse(node.func).rpartition(".")[2]
        positional = [ast.literal_eval(each) for each in node.args]
        stated = {each.arg or "**": ast.literal_eval(each.value) for each in node.keywords}
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        hint = "write it as in Python, with plain numbers: keras: CosineDecay(0.1, decay_steps=10000)"
        raise UsageError(f"{text!r} is not a schedule of Keras", hint) from None
    if name not in CLASSES:
        raise UsageError(f"Keras has no schedule {name!r}", nearest(name, CLASSES) or "there are " + ", ".join(CLASSES))
    takes = TAKES[name]
    if len(positional) > len(takes):
        raise UsageError(f"{name} takes {len(takes)} arguments, and {len(positional)} are given")
    found = dict(zip(takes, positional, strict=False))
    for argument in stated:
        if argument in found or argument not in takes:
            what = f"is given {argument!r} twice" if argument in found else f"does not take {argument!r}"
            raise UsageError(f"{name} of Keras {what}", nearest(argument, takes))
    arguments = {each: default for each, default in takes.items() if default is not NEEDED} | found | stated
    if missing := [each for each in takes if each not in arguments]:
        raise UsageError(f"{name} of Keras needs {missing[0]}")
    return Call(name, arguments, known)


def _made(scheduler: str, lr: float, epochs: int) -> Translation:
    return Translation({"scheduler": scheduler, "epochs": epochs, "lr": lr})


def _exponential(made: Call) -> Translation:
    lr, steps, rate = made.base_lr(), made.steps("decay_steps"), made.number("decay_rate")
    if not 0 < rate <= 1:
        made.known.refuse(f"decay_rate is {rate:g}, and a gamma is above 0 and at most 1")
    epochs = made.epochs()
    if not made.arguments["staircase"]:
        return _made(call("exponential", gamma=rate ** (made.n / steps), every="batch"), lr, epochs)
    if steps % made.n == 0:
        return _made(call("step", step_size=steps / made.n, gamma=rate), lr, epochs)
    at = [number * steps / made.n for number in range(1, math.ceil(epochs * made.n / steps))]
    if len(at) > MOST_PARTS:
        made.known.refuse(f"its {len(at)} stairs are not whole epochs", f"try decay_steps={made.n}")
    return _made(call("multistep", milestones=at or [epochs], gamma=rate), lr, epochs)


def _piecewise(made: Call) -> Translation:
    at, values = made.arguments["boundaries"], made.arguments["values"]
    try:
        at, values = [float(each) for each in at], [float(each) for each in values]
    except (TypeError, ValueError):
        raise UsageError("boundaries and values of PiecewiseConstantDecay must be lists of numbers") from None
    if len(at) != len(values) - 1 or at != sorted(set(at)) or not all(map(math.isfinite, [*at, *values])):
        raise UsageError("PiecewiseConstantDecay needs rising boundaries, and one value more than those")
    if len(values) > MOST_PARTS or values[0] <= 0 or min(values) < 0 or (at and at[0] < 0):
        made.known.refuse(f"its values begin above 0, are at least 0 and at most {MOST_PARTS}")
    lr = float(made.known.setting("lr", values[0], None))
    # A boundary still belongs to the part before it.
    seams = [math.floor(each) + 1 for each in at]
    lengths = [end - start for start, end in zip([0, *seams], seams, strict=False)]
    levels = [call("linear", start=value / lr, end=value / lr) for value in values]
    epochs = made.epochs()
    n_before = sum(seam < epochs * made.n for seam in seams)
    parts = [f"{level}:{length}b" for level, length in zip(levels, lengths, strict=False)][:n_before]
    return _made(" >> ".join([*parts, levels[n_before]]), lr, epochs)


def _polynomial(made: Call) -> Translation:
    lr, steps, end = made.base_lr(), made.steps("decay_steps"), made.number("end_learning_rate")
    epochs = made.epochs(steps)
    if made.arguments["cycle"] and steps < epochs * made.n:
        made.known.refuse("with cycle=True it begins again", "leave cycle out")
    if (power := made.number("power")) <= 0 or end < 0:
        made.known.refuse(f"a power of {power:g} and an end of {end:g}")
    curve = call("polynomial", power=power, eta_min=end or None, t_max=_length(steps, epochs, made.n), every="batch")
    return _made(curve, lr, epochs)


def _inverse_time(made: Call) -> Translation:
    lr, steps, rate = made.base_lr(), made.steps("decay_steps"), made.number("decay_rate")
    if made.arguments["staircase"]:
        made.known.refuse("no kind here has its stairs", "leave staircase out")
    if rate <= 0:
        made.known.refuse(f"decay_rate is {rate:g}, and must be above 0")
    curve = call("inverse-sqrt", timescale=steps / rate / made.n, power=1)
    return _made(curve, lr, made.epochs())


def _cosine(made: Call) -> Translation:
    target, rise = made.arguments["warmup_target"], int(made.number("warmup_steps"))
    lr = made.base_lr("initial_learning_rate" if target is None else "warmup_target")
    start, rise = (0.0, 0) if target is None else (made.number("initial_learning_rate") / lr, rise)
    steps, alpha = made.steps("decay_steps"), made.number("alpha")
    if alpha < 0 or start < 0 or rise < 0:
        made.known.refuse("alpha, the first rate and warmup_steps are at least 0")
    epochs = made.epochs(rise + steps)
    left = epochs * made.n - rise
    curve = call("cosine", eta_min=alpha * lr or None, every="batch")
    if steps < left:
        length = f"{int(steps)}b" if float(steps).is_integer() else in_digits(steps / made.n)
        curve = f"{curve}:{length} >> {call('linear', start=alpha, end=alpha)}"
    elif steps > left or left < made.n:
        curve = call("cosine", t_max=steps / made.n, eta_min=alpha * lr or None, every="batch")
    rises = f"{call('linear', start=start, end=1)}:{rise}b >> " if rise else ""
    return _made(rises + curve, lr, epochs)


def _restarts(made: Call) -> Translation:
    lr, steps = made.base_lr(), made.steps("first_decay_steps")
    longer, lower, alpha = made.number("t_mul"), made.number("m_mul"), made.number("alpha")
    if longer < 1 or not 0 < lower <= 1 or alpha < 0:
        made.known.refuse("t_mul is at least 1, m_mul above 0 and at most 1, and alpha at least 0")
    if lower != 1 and alpha:
        made.known.refuse("with m_mul, the lower cycles of Keras end higher than alpha says", "leave one of them out")
    lower_, longer_ = (None if each == 1 else each for each in (lower, longer))
    curve = call(
        "cosine-restarts", t_0=steps / made.n, t_mult=longer_, decay=lower_, eta_min=alpha * lr or None, every="batch"
    )
    return _made(curve, lr, made.epochs())


def _plateau(made: Call) -> Translation:
    monitor, mode = made.arguments["monitor"], made.arguments["mode"]
    if monitor not in MONITORS:
        made.known.refuse(f"monitor is {monitor!r}, and metrics here are others", "there are " + ", ".join(MONITORS))
    if mode not in ("auto", "min", "max"):
        raise UsageError(f"mode of ReduceLROnPlateau is {mode!r}; it must be one of auto, min, max")
    # Keras acts on the epoch that makes the patience full, and counts in the last epoch of its cooldown.
    curve = call(
        "plateau", patience=max(0, int(made.number("patience")) - 1), factor=made.number("factor"),
        min_lr=made.number("min_lr") or None, mode=None if mode == "auto" else mode, threshold=made.number("min_delta"),
        threshold_mode="abs", cooldown=max(0, int(made.number("cooldown")) - 1) or None, eps=0,
    )  # fmt: skip
    monitored = made.known.setting("monitor", MONITORS[monitor], None)
    settings = {"scheduler": curve} | {
        name: value for name, value in made.known.given.items() if name in ("lr", "epochs")
    }
    return Translation(settings | {"monitor": monitored})


def _length(steps: float, epochs: int, n: int) -> float | None:
    """Return the length of a curve in epochs, None if it is that of the training."""
    return None if steps == epochs * n else steps / n


NEEDED = object()
TAKES: dict[str, dict[str, Any]] = {
    "ExponentialDecay": {
        "initial_learning_rate": NEEDED, "decay_steps": NEEDED, "decay_rate": NEEDED, "staircase": False, "name": "",
    },
    "PiecewiseConstantDecay": {"boundaries": NEEDED, "values": NEEDED, "name": ""},
    "PolynomialDecay": {
        "initial_learning_rate": NEEDED, "decay_steps": NEEDED, "end_learning_rate": 1e-4, "power": 1.0, "cycle": False,
        "name": "",
    },
    "InverseTimeDecay": {
        "initial_learning_rate": NEEDED, "decay_steps": NEEDED, "decay_rate": NEEDED, "staircase": False, "name": "",
    },
    "CosineDecay": {
        "initial_learning_rate": NEEDED, "decay_steps": NEEDED, "alpha": 0.0, "name": "", "warmup_target": None,
        "warmup_steps": 0,
    },
    "CosineDecayRestarts": {
        "initial_learning_rate": NEEDED, "first_decay_steps": NEEDED, "t_mul": 2.0, "m_mul": 1.0, "alpha": 0.0,
        "name": "",
    },
    "ReduceLROnPlateau": {
        "monitor": "val_loss", "factor": 0.1, "patience": 10, "verbose": 0, "mode": "auto", "min_delta": 1e-4,
        "cooldown": 0, "min_lr": 0.0,
    },
}  # fmt: skip
CLASSES: dict[str, Callable[[Call], Translation]] = {
    "ExponentialDecay": _exponential,
    "PiecewiseConstantDecay": _piecewise,
    "PolynomialDecay": _polynomial,
    "InverseTimeDecay": _inverse_time,
    "CosineDecay": _cosine,
    "CosineDecayRestarts": _restarts,
    "ReduceLROnPlateau": _plateau,
}
