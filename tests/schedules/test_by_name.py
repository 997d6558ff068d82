"""Scheduler classes of other libraries with arguments of any kind: a curve, or a sentence that shows the place."""

import inspect
import math
import random
import sys
import threading
from dataclasses import replace
from typing import Any

import pytest
import timm.scheduler
import torch.optim.lr_scheduler

from clfctl.errors import UsageError
from clfctl.planning.plan import make_plan
from clfctl.schedules.by_name import LIBRARIES, REFUSED, ByName, find_class
from clfctl.settings.groups import TrainSettings

ODD = ("0", "-1", "1e-9", "1e300", "0.5", "x", "none", "true", "[]", "[3]", "[x]", "2", "7")
MODULES: dict[str, Any] = {"torch": torch.optim.lr_scheduler, "timm": timm.scheduler}
N_TRIALS = 40


def classes() -> list[str]:
    found = []
    for library in LIBRARIES:
        for name in dir(MODULES[library]):
            try:
                find_class(library, name)
            except UsageError:
                continue
            found.append(f"{library}:{name}")
    return found


CLASSES = classes()


def outcome(text: str) -> str:
    """Return what planning with an expression says, empty if there is a curve; fails for anything but a sentence."""
    try:
        plan = make_plan(TrainSettings(scheduler=text, epochs=6), 3)
        rates = [plan.values(t / 3, (0.5, math.nan, 2.0, 0.1, 0.1, 0.1)[: t // 3]).lr for t in range(18)]
    except UsageError as error:
        return str(error)
    assert all(0 <= rate < math.inf for rate in rates), text
    return ""


def test_all_classes_are_tried() -> None:
    assert len(CLASSES) > 15
    assert not {each.partition(":")[2] for each in CLASSES} & set(REFUSED)


@pytest.mark.parametrize("name", CLASSES)
def test_odd_arguments_are_a_curve_or_a_sentence_with_the_place(name: str) -> None:
    library, _, cls = name.partition(":")
    takes = list(inspect.signature(getattr(MODULES[library], cls)).parameters)[1:]
    draw = random.Random(name)
    for trial in range(N_TRIALS):
        chosen = draw.sample(takes, min(len(takes), trial % 4))
        arguments = [f"{each}={draw.choice(ODD)}" for each in chosen] + draw.choice(([], ["every=batch"]))
        text = f"step:1 > {name}({', '.join(arguments)})"
        message = outcome(text)
        if message:
            sentence, shown, caret = message.split("\n")
            assert name in sentence
            assert shown == f"  {text}"
            assert caret == "  " + " " * len("step:1 > ") + "^" * len(text.removeprefix("step:1 > "))


SAID = [
    ("torch:CyclicLR(base_lr=1e-5, max_lr=1e-3, step_size_up=0)", "cannot be made: float division by zero"),
    ("timm:MultiStepLRScheduler(decay_t=5)", "failed at step 1: object of type 'int' has no len()"),
    ("torch:StepLR(step_size='x')", "failed at step 1: "),
    ("torch:StepLR(step_size=0)", "failed at step 1: integer modulo by zero"),
    ("torch:StepLR(step_size=3, last_epoch=4)", "cannot be made: "),
    ("torch:ExponentialLR(gamma=-1)", "failed at step 1: its learning rate is -"),
    ("torch:ExponentialLR(gamma=1e300)", "failed at step 2: its learning rate is inf"),
    ("torch:ReduceLROnPlateau(mode=best)", "cannot be made: mode best is unknown!"),
    ("torch:ReduceLROnPlateau(patience=x)", "failed at step 1: "),
    ("torch:StepLR(size=3)", "cannot be made: got an unexpected keyword argument 'size'"),
]


@pytest.mark.parametrize(("text", "message"), SAID)
def test_what_a_class_raises_is_a_sentence(text: str, message: str) -> None:
    said = outcome(text)
    assert message in said
    assert said.endswith(f"\n  {text}\n  {'^' * len(text)}")


def test_the_place_is_that_of_the_expression_which_fails() -> None:
    # The same class with the same arguments in two expressions is stepped once, and fails in both.
    for text in ("torch:StepLR(step_size=0)", "step:2 > torch:StepLR(step_size=0)"):
        assert outcome(text).split("\n")[1] == f"  {text}"


def test_no_more_steps_are_made_than_memory_holds() -> None:
    with pytest.raises(UsageError, match="would have to be stepped 30,000,000 times, and 10,000,000 is the limit"):
        ByName("torch", "StepLR", (("step_size", 3),), "batch", 1_000_000).lr(0.1, 30)


def test_one_that_follows_metrics_is_stepped_once_for_all_epochs() -> None:
    schedule = ByName("torch", "ReduceLROnPlateau", (("patience", 0),))
    metrics = (1.0, 2.0, 3.0, 0.5, 0.6)
    for epoch, rate in zip(range(8), schedule.by_epoch(metrics, 0.1), strict=False):
        assert rate(epoch) == schedule.lr(0.1, epoch, metrics[:epoch])


def test_threads_share_a_schedule() -> None:
    def in_thread() -> None:
        rate = schedule.given((), 0.1)
        found.append([rate(t) for t in range(2000)])

    arguments = {"base_lr": 1e-5, "max_lr": 1e-3, "step_size_up": 7}
    schedule = ByName("torch", "CyclicLR", tuple(arguments.items()))
    found: list[list[float]] = []
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=in_thread) for _ in range(4)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
    finally:
        sys.setswitchinterval(interval)
    other = replace(schedule, steps_per_epoch=3).given((), 0.1)  # not the one that the threads have stepped
    assert found == [[other(t) for t in range(2000)]] * 4
