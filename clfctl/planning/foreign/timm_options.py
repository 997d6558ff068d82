"""What timm's train.py takes that touches the learning rate, and what it makes of what is not stated."""

import math
from dataclasses import dataclass
from typing import NoReturn

from clfctl.errors import UsageError, nearest
from clfctl.planning.foreign.translation import Known
from clfctl.planning.foreign.words import Take, Words
from clfctl.schedules.durations import in_digits

SCHEDULES = ("cosine", "tanh", "step", "multistep", "poly", "wsd", "rsqrt", "constant", "plateau", "none")
TAKES: dict[str, Take] = {
    "sched": "text",
    "sched_on_updates": "flag",
    "lr": "number",
    "lr_base": "number",
    "lr_base_size": "integer",
    "lr_base_scale": "text",
    "batch_size": "integer",
    "grad_accum_steps": "integer",
    "opt": "text",
    "lr_noise": "numbers",
    "lr_noise_pct": "number",
    "lr_noise_std": "number",
    "seed": "integer",
    "lr_cycle_mul": "number",
    "lr_cycle_decay": "number",
    "lr_cycle_limit": "integer",
    "lr_k_decay": "number",
    "lr_decay_fn": "text",
    "lr_stable_timescale": "number",
    "warmup_lr": "number",
    "min_lr": "number",
    "epochs": "integer",
    "decay_milestones": "numbers",
    "decay_epochs": "number",
    "warmup_epochs": "integer",
    "warmup_prefix": "flag",
    "cooldown_epochs": "integer",
    "patience_epochs": "integer",
    "decay_rate": "number",
    "eval_metric": "text",
}
OLDER = {"dr": "decay_rate", "b": "batch_size"}
MONITORS = {"top1": "val_top1", "top5": "val_top5", "loss": "val_loss"}


@dataclass(frozen=True)
class Options:
    """What train.py would have, in epochs; `n` are the updates in an epoch where the rate is set at each of them."""

    sched: str
    lr: float
    epochs: int
    known: Known
    n: int = 1
    on_updates: bool = False
    noise: tuple[float, ...] = ()
    noise_pct: float = 0.67
    noise_std: float = 1.0
    seed: int = 42
    cycle_mul: float = 1.0
    cycle_decay: float = 0.5
    cycles: int = 1
    k_decay: float = 1.0
    decay_fn: str | None = None
    timescale: float | None = None
    warmup_lr: float = 1e-5
    min_lr: float = 0.0
    milestones: tuple[float, ...] = (90, 180, 270)
    decay_epochs: float | None = None
    warmup: int = 5
    prefix: bool = False
    cooldown: int = 0
    patience: int = 10
    decay_rate: float = 0.1

    @property
    def every(self) -> str:
        """How often the rate is set."""
        return "batch" if self.on_updates else "epoch"

    @property
    def step(self) -> float:
        """The epochs between two falls of `step`."""
        return 90 if self.decay_epochs is None else self.decay_epochs

    @property
    def own(self) -> int:
        """The epochs of the curve after the warmup."""
        return self.epochs if self.prefix else self.epochs - self.warmup

    @property
    def is_cyclic(self) -> bool:
        """Whether the curve says how long it is, so that a cooldown follows it."""
        return self.sched in ("cosine", "tanh", "poly", "wsd", "rsqrt")

    @property
    def cycle_epochs(self) -> float:
        """The epochs of all cycles."""
        n_cycles = max(1, self.cycles)
        if self.sched not in ("cosine", "tanh", "poly"):
            return self.own
        if self.cycle_mul == 1:
            return self.epochs * n_cycles
        return self.epochs * (self.cycle_mul**n_cycles - 1) / (self.cycle_mul - 1)

    @property
    def total(self) -> int:
        """The epochs of the training."""
        if self.sched in ("wsd", "rsqrt"):
            return self.warmup + self.own + self.cooldown
        if not self.is_cyclic:
            return self.epochs + (self.warmup if self.prefix else 0)
        # As get_cycle_length, in steps and rounded down.
        steps, n_cycles = self.epochs * self.n, max(1, self.cycles)
        if self.cycle_mul == 1:
            steps *= n_cycles
        else:
            steps = math.floor(-steps * (self.cycle_mul**n_cycles - 1) / (1 - self.cycle_mul))
        steps += self.warmup * self.n if self.prefix else 0
        return (steps + self.cooldown * self.n) // self.n

    def refuse(self, what: str) -> NoReturn:
        """Raise UsageError: timm would too."""
        self.known.refuse(what)


def options_of(words: Words, known: Known) -> tuple[Options, list[str]]:
    """Return the options that are stated, with train.py's defaults, and what is said of them."""
    values = words.values
    sched = values.get("sched", "cosine")
    if sched not in SCHEDULES:
        raise UsageError(
            f"timm has no schedule {sched!r}", nearest(sched, SCHEDULES) or "there are " + ", ".join(SCHEDULES)
        )
    lr, notes = _base_rate(words, known)
    names = {
        "lr_noise_pct": "noise_pct", "lr_noise_std": "noise_std", "seed": "seed", "lr_cycle_mul": "cycle_mul",
        "lr_cycle_decay": "cycle_decay", "lr_cycle_limit": "cycles", "lr_k_decay": "k_decay", "lr_decay_fn": "decay_fn",
        "lr_stable_timescale": "timescale", "warmup_lr": "warmup_lr", "min_lr": "min_lr",
        "decay_epochs": "decay_epochs", "warmup_epochs": "warmup", "warmup_prefix": "prefix",
        "cooldown_epochs": "cooldown", "patience_epochs": "patience", "decay_rate": "decay_rate",
    }  # fmt: skip
    stated = {ours: values[theirs] for theirs, ours in names.items() if theirs in values}
    for theirs, ours in (("lr_noise", "noise"), ("decay_milestones", "milestones")):
        if theirs in values:
            stated[ours] = tuple(values[theirs])
    on_updates = values.get("sched_on_updates", False)
    n = known.steps("it sets the rate at every update") if on_updates else 1
    epochs = known.setting("epochs", values.get("epochs"), 300)
    return Options(sched, lr, epochs, known, n, on_updates, **stated), notes


def _base_rate(words: Words, known: Known) -> tuple[float, list[str]]:
    """Return the base rate, and what is said of one that train.py works out from the batch size."""
    stated = words.get("lr")
    lr = known.setting("lr", stated, None)
    if lr is not None:
        return lr, []
    opt, scale = words.get("opt", "sgd").lower(), words.get("lr_base_scale", "")
    scale = scale or ("sqrt" if "ada" in opt or "lamb" in opt else "linear")
    images = words.get("batch_size", 128) * words.get("grad_accum_steps", 1)
    base, size = words.get("lr_base", 0.1), words.get("lr_base_size", 256)
    ratio = images / size
    lr = base * (ratio**0.5 if scale == "sqrt" else ratio)
    of = f"of {images} / {size}" if scale == "linear" else f"of the root of {images} / {size}"
    return lr, [
        f"no rate is stated: timm takes {in_digits(base)} times the share {of}, its batch on one device, "
        f"{in_digits(lr)}"
    ]
