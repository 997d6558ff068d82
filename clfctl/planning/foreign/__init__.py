"""Schedules as other libraries spell them: translated into settings of ours, with the same rate at every step.

What is foreign is told here; translate.py, which is imported when there is something to translate, does it.
"""

import re

FOREIGN = re.compile(r"\s*(?:(hf|keras|ultralytics)\s*:|(timm)\s*:(?!\s*[A-Z]\w*(?:Scheduler|LR)\b))(.*)", re.DOTALL)
"""A library, and what it is told. `timm:CosineLRScheduler(…)` is a part of our own expressions: a class by its name."""


def is_foreign(text: str) -> bool:
    """Return whether a text is a schedule in the words of another library: `hf: …`, `timm: --sched …`."""
    return FOREIGN.fullmatch(text) is not None
