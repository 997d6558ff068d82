"""What Hugging Face's trainer takes that touches the learning rate, and the training that it makes."""

import math
import re
from dataclasses import dataclass
from typing import Any

from clfctl.errors import UsageError, nearest, shortened
from clfctl.planning.foreign.translation import Known
from clfctl.planning.foreign.words import Take, Words, read_words

# What TrainingArguments take where nothing is stated.
DEFAULT_NAME, DEFAULT_LR, DEFAULT_EPOCHS = "linear", 5e-5, 3
TAKES: dict[str, Take] = {
    "lr_scheduler_type": "text",
    "learning_rate": "number",
    "num_train_epochs": "number",
    "max_steps": "integer",
    "warmup_steps": "number",
    "warmup_ratio": "number",
    "lr_scheduler_kwargs": "dict",
    # Arguments of a schedule, as `get_scheduler` takes them.
    "num_cycles": "number",
    "min_lr": "number",
    "min_lr_rate": "number",
    "warmup_lr_rate": "number",
    "lr_end": "number",
    "power": "number",
    "timescale": "number",
    "num_decay_steps": "integer",
    "num_stable_steps": "integer",
    "warmup_type": "text",
    "decay_type": "text",
    "min_lr_ratio": "number",
    "factor": "number",
    "patience": "integer",
    "threshold": "number",
    "threshold_mode": "text",
    "cooldown": "integer",
    "mode": "text",
    "eps": "number",
    "max_lr": "number",
    "warmup": "integer",
    "smooth": "flag",
    "window_size": "integer",
    "reset_start": "integer",
}
# One of a dict as text: its name, and its value up to the next.
_ARGUMENT = re.compile(r"[\"']?(\w+)[\"']?\s*[:=]\s*[\"']?([^,}\"']+)")
OLDER = {
    "name": "lr_scheduler_type",
    "lr_scheduler": "lr_scheduler_type",
    "num_warmup_steps": "warmup_steps",
    "num_training_steps": "max_steps",
    "lr": "learning_rate",
    "epochs": "num_train_epochs",
    "num_epochs": "num_train_epochs",
}


@dataclass(frozen=True)
class TheirTraining:
    """The training that a schedule is for; lengths in steps need `known`."""

    words: Words
    known: Known
    lr: float
    epochs: int
    warmup: float  # steps, or a share of the training below 1

    @property
    def steps(self) -> int:
        """All steps of the training."""
        return self.epochs * self.known.steps("it counts in steps")

    @property
    def warmup_steps(self) -> int:
        """The steps of the warmup."""
        return int(self.warmup) if self.warmup >= 1 else math.ceil(self.steps * self.warmup)

    def in_epochs(self, steps: float) -> float:
        """Return a number of steps in epochs."""
        return steps / self.known.steps("it counts in steps")

    def take(self, name: str, default: Any = None) -> Any:
        """Return an argument of the schedule, which is used by that."""
        return self.words.values.pop(name, default)


def training_of(words: Words, known: Known) -> TheirTraining:
    """Return the training that is stated, with the defaults of TrainingArguments."""
    values = words.values
    lr = known.setting("lr", values.pop("learning_rate", None), DEFAULT_LR)
    epochs, most = values.pop("num_train_epochs", None), values.pop("max_steps", -1)
    if most > 0:
        n = known.steps(f"its length is {most} steps")
        if most % n:
            whole = f"{most - most % n or n} or {most - most % n + n}"
            known.refuse(f"{most} steps are not whole epochs of {n}, and trainings here are", f"try {whole} steps")
        epochs = most // n
    elif epochs is not None and (epochs < 1 or not float(epochs).is_integer()):
        known.refuse(f"{epochs:g} epochs are not whole ones, and trainings here are")
    epochs = known.setting("epochs", None if epochs is None else int(epochs), DEFAULT_EPOCHS)
    warmup, share = values.pop("warmup_steps", None), values.pop("warmup_ratio", None)
    if warmup is not None and warmup >= 1 and not float(warmup).is_integer():
        warmup = int(warmup)  # as get_warmup_steps does
    found = warmup or share or 0.0
    if not found >= 0 or (not warmup and found > 1):
        raise UsageError(f"a warmup of {found:g} cannot be", "give steps, or a share of the training below 1")
    return TheirTraining(words, known, lr, epochs, found)


def flatten(words: Words) -> None:
    """Take the arguments inside of `lr_scheduler_kwargs`, a dict as text whose quotes a shell may have eaten."""
    inner = words.values.pop("lr_scheduler_kwargs", "")
    if rest := _ARGUMENT.sub("", inner).strip(" {,}\"'"):
        hint = "write it as a dict: lr_scheduler_kwargs='{\"min_lr\": 1e-6}'"
        raise UsageError(f"lr_scheduler_kwargs of hf is {shortened(inner)!r}, where {rest!r} says nothing", hint)
    for name, value in _ARGUMENT.findall(inner):
        if name not in TAKES:
            raise UsageError(f"no schedule of Hugging Face takes {name!r}", nearest(name, TAKES))
        one = read_words(f"{name}={value.strip()}", "hf", TAKES, "")
        words.values.update(one.values)
