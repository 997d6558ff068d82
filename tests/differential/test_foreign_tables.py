"""Translations against tables of rates that the real classes of other libraries gave: `make_foreign_tables.py`."""

import json
from typing import Any

import pytest

from clfctl.planning.foreign.translate import translate
from clfctl.planning.plan import make_plan
from clfctl.settings.groups import PlanSettings
from tests.differential import make_foreign_tables as tables

TABLE: dict[str, Any] = json.loads(tables.PATH.read_text(encoding="utf-8"))
N: int = TABLE["steps_per_epoch"]
METRICS: list[float] = TABLE["metrics"]


def rates_of(text: str, n: int) -> list[float]:
    """The first n rates of a translation, by batches, or by epochs where it follows the metrics of the table."""
    follows = "ReduceLROnPlateau" in text
    given: dict[str, Any] = {"lr": tables.LR} if follows else {}
    if text.startswith("keras:"):
        given["epochs"] = len(METRICS) if follows else n // N
    found = translate(text, N, given)
    plan = make_plan(PlanSettings.model_validate(given | dict(found.settings)), N)
    if follows:
        return [plan.lr(epoch, METRICS[:epoch]) for epoch in range(n)]
    assert plan.epochs * N == n
    return [plan.lr(step // N + step % N / N) for step in range(n)]


@pytest.mark.parametrize("text", TABLE["rates"])
def test_every_step_is_as_in_the_table(text: str) -> None:
    expected = TABLE["rates"][text]
    for step, (ours, theirs) in enumerate(zip(rates_of(text, len(expected)), expected, strict=True)):
        assert abs(ours - theirs) <= 1e-12 * tables.LR, f"step {step}"


def test_the_table_has_every_case() -> None:
    hugging_face = [f"hf: {text} --learning_rate {tables.LR}" for text, *_ in tables.HUGGING_FACE]
    keras = [f"keras: {text}" for text in (*tables.KERAS, *tables.KERAS_PLATEAU)]
    assert [*TABLE["rates"]][: len(hugging_face) + len(keras)] == hugging_face + keras
    assert len(TABLE["rates"]) == len(hugging_face) + len(keras) + len(tables.ULTRALYTICS)


@pytest.mark.parametrize("make", [tables.hugging_face], ids=["transformers"])
def test_the_table_is_what_the_library_gives_today(make: Any) -> None:
    pytest.importorskip("transformers")
    for text, rates in make():
        assert rates == pytest.approx(TABLE["rates"][text], rel=1e-12)
