"""Schedules of the user's own: found by their name, used like any other, and refused in one sentence."""

import math
import random
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from clfctl.errors import UsageError
from clfctl.planning.plan import make_plan
from clfctl.schedules import Span, parse_expression
from clfctl.schedules.own import own_schedule
from clfctl.settings.groups import PlanSettings, TrainSettings

SOUND = """
    from dataclasses import dataclass, replace
    from clfctl.schedules import Schedule

    @dataclass(frozen=True)
    class Line(Schedule):
        length: float = 0.0
        def lr(self, base_lr, t, metrics=()):
            return base_lr * max(0.0, 1 - t / self.length)
        def fitted(self, span):
            return self if self.length else replace(self, length=span.epochs)

    @dataclass(frozen=True)
    class Counting(Schedule):
        follows_metrics = True
        def lr(self, base_lr, t, metrics=()):
            return base_lr / (1 + len(metrics))

    number = 3
"""
BAD = {
    "Counter": """
        n = 0
        def lr(self, base_lr, t, metrics=()):
            type(self).n += 1
            return base_lr / self.n
    """,
    "Drawn": """
        def lr(self, base_lr, t, metrics=()):
            import random
            return base_lr * random.random()
    """,
    "Remembering": """
        follows_metrics = True
        best = None
        def lr(self, base_lr, t, metrics=()):
            if metrics and (self.best is None or metrics[-1] < self.best):
                self.best = metrics[-1]
            return base_lr * (self.best or 1)
    """,
    "NotANumber": "def lr(self, base_lr, t, metrics=()): return float('nan')",
    "Negative": "def lr(self, base_lr, t, metrics=()): return base_lr * (1 - t)",
    "Huge": "def lr(self, base_lr, t, metrics=()): return 10**400",
    "Leaving": "def lr(self, base_lr, t, metrics=()): raise SystemExit(3)",
    "Nothing": "def lr(self, base_lr, t, metrics=()): pass",
    "Raising": "def lr(self, base_lr, t, metrics=()): return base_lr / abs(int(t) - 2)",
    "Unfit": """
        def lr(self, base_lr, t, metrics=()): return base_lr
        def fitted(self, span): pass
    """,
    "Abstract": "def rate(self, t): return 1.0",
}


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module in the current folder, under a name that no other test has imported."""
    name = f"own_{random.SystemRandom().randrange(10**12)}"
    text = textwrap.dedent(SOUND)
    for cls, body in BAD.items():
        text += f"\n\nclass {cls}(Schedule):\n" + textwrap.indent(textwrap.dedent(body).strip("\n"), "    ")
    (tmp_path / f"{name}.py").write_text(text + "\n\nclass Other:\n    pass\n", encoding="utf-8")
    (tmp_path / f"{name}_broken.py").write_text("import clfctl_has_no_such\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return name


def plan_of(text: str, **settings: Any) -> Any:
    return make_plan(PlanSettings.model_validate({"scheduler": text, "epochs": 10, "lr": 1.0} | settings), 4)


def test_it_is_fitted_warmed_up_and_chained(module: str) -> None:
    assert [plan_of(f"{module}:Line").lr(t) for t in (0, 5, 9.5)] == pytest.approx([1, 0.5, 0.05])
    warm = plan_of(f"{module}:Line", warmup=2)
    assert [warm.lr(t) for t in (0, 1, 2, 6, 9)] == pytest.approx([0, 0.5, 1, 0.5, 0.125])
    chained = plan_of(f"linear(end=0.5):4 > 0.5*{module}:Line(length=6)@3")
    assert chained.lr(4) == pytest.approx(0.5 * 0.5 * 0.5)
    many = plan_of(f"linear(start=0, t_max=2) * {module}:Line")
    assert many.lr(1) == pytest.approx(0.5 * 0.9)


def test_it_follows_metrics_from_its_own_beginning(module: str) -> None:
    plan = plan_of(f"constant:2 > {module}:Counting")
    assert plan.schedule.follows_metrics
    seen = (0.5,) * 10
    assert [plan.lr(epoch, seen[:epoch]) for epoch in range(5)] == pytest.approx([1, 1, 1, 1 / 2, 1 / 3])
    by_epoch = [rate(epoch) for epoch, rate in zip(range(5), plan.schedule.by_epoch(seen, 1.0), strict=False)]
    assert by_epoch == pytest.approx([1, 1, 1, 1 / 2, 1 / 3])


def test_it_is_saved_as_its_text(module: str) -> None:
    settings = TrainSettings(scheduler=f"{module}:Line(length=6)", warmup="1")
    again = TrainSettings.model_validate_json(settings.model_dump_json())
    assert make_plan(again).lr(3.3) == make_plan(settings).lr(3.3)


REFUSED = [
    ("{module}x:Line", "there is no module '{module}x'", "it is looked for in the current folder"),
    ("{module}.part:Line", "there is no module '{module}.part'", ""),
    ("{module}_broken:Line", "{module}_broken cannot be imported: No module named 'clfctl_has_no_such'", ""),
    ("{module}:Lime", "the module {module} has no class 'Lime'", "did you mean Line?"),
    ("{module}:number", "{module}:number is a int, and not a class", "let it inherit from"),
    ("{module}:Other", "the class {module}:Other is not a Schedule", "let it inherit from"),
    ("{module}:Abstract", "{module}:Abstract cannot be made: Can't instantiate abstract class", ""),
    (
        "{module}:Line(size=3)",
        "{module}:Line cannot be made: Line.__init__() got an unexpected keyword",
        "it takes length",
    ),
    ("{module}:Counter", "{module}:Counter is not a function of time: at ", "what it returns must follow from"),
    ("{module}:Drawn", "{module}:Drawn is not a function of time: at ", ""),
    ("{module}:Remembering", "{module}:Remembering is not a function of time: at ", ""),
    ("{module}:NotANumber", "{module}:NotANumber returns nan at 0 epochs", "a learning rate is a number"),
    ("{module}:Negative", "{module}:Negative returns -", ""),
    ("{module}:Huge", "{module}:Huge returns 1000", "a learning rate is a number"),
    ("{module}:Leaving", "{module}:Leaving raises SystemExit at 0 epochs: 3", "CLFCTL_DEBUG=1 shows where"),
    ("{module}:Nothing", "{module}:Nothing returns None at 0 epochs", "a learning rate is a number"),
    ("{module}:Raising", "{module}:Raising raises ZeroDivisionError at 2.08333 epochs: ", "CLFCTL_DEBUG=1 shows where"),
    ("{module}:Unfit", "{module}:Unfit: `fitted` returns a NoneType, and not a Schedule", ""),
]


@pytest.mark.parametrize(("text", "message", "hint"), REFUSED)
def test_bad_ones_are_one_sentence_with_the_place(module: str, text: str, message: str, hint: str) -> None:
    written = text.format(module=module)
    with pytest.raises(UsageError) as caught:
        plan_of(f"step:1 > {written}" if "Raising" not in text and "Negative" not in text else written)
    sentence, *place = caught.value.message.split("\n")
    assert sentence.startswith(message.format(module=module))
    assert place[-1].strip() == "^" * len(written)
    assert caught.value.hint.startswith(hint)


def test_a_bad_rate_is_found_in_the_middle_of_a_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    # Metrics like those of the training are not known when it is planned.
    (tmp_path / f"{module}_late.py").write_text(
        "from clfctl.schedules import Schedule\n"
        "class Late(Schedule):\n"
        "    follows_metrics = True\n"
        "    def lr(self, base_lr, t, metrics=()): return base_lr * min(metrics, default=1.0)\n",
        encoding="utf-8",
    )
    plan = plan_of(f"{module}_late:Late")
    assert plan.lr(1, (0.5,)) == 0.5
    with pytest.raises(UsageError, match=r"returns nan at 1\.25 epochs"):
        plan.given((math.nan,))(1.25)


def test_the_current_folder_hides_nothing_that_is_installed(tmp_path: Path, module: str) -> None:
    (tmp_path / "annotated_types.py").write_text("raise RuntimeError\n", encoding="utf-8")
    with pytest.raises(UsageError, match="has no class 'Line'"):
        own_schedule("annotated_types", "Line", {})


def test_what_it_prints_stays_out_of_what_programs_read(
    tmp_path: Path, module: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / f"{module}_loud.py").write_text(
        "from clfctl.schedules import Schedule\n"
        "print('imported')\n"
        "class Loud(Schedule):\n"
        "    def __init__(self): print('made')\n"
        "    def lr(self, base_lr, t, metrics=()): print('asked'); return base_lr\n",
        encoding="utf-8",
    )
    assert plan_of(f"{module}_loud:Loud").lr(1) == 1.0
    out, err = capsys.readouterr()
    assert (out, {*err.split()}) == ("", {"imported", "made", "asked"})


def test_parsing_imports_nothing() -> None:
    assert parse_expression("clfctl_has_no_such.mod:Kind(x=1, y=[2, 3], z=true):5 > cosine").calls[0].library
    with pytest.raises(UsageError, match="there is no module 'clfctl_has_no_such'"):
        parse_expression("clfctl_has_no_such:Kind").schedule().fitted(Span(5))
