"""Planned against applied, from records: what is as planned is silent, and each difference has its batch."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from clfctl.display.preview_applied import MAX_LINES, applied_lines
from clfctl.planning.plan import make_plan
from clfctl.planning.preview.applied import Applied, Difference
from clfctl.runs.folder import RunFolder
from clfctl.runs.history import EpochResult
from clfctl.runs.rates import EpochRates, GroupRate, Stretch, cut_rates, keep_rates, read_rates
from clfctl.settings.groups import TrainSettings

N = 5
SETTINGS = TrainSettings.model_validate(
    {"scheduler": "linear(end=0.5):1 > plateau(patience=0)", "warmup": "3b", "lr": 0.1, "epochs": 4}
)
LOSSES = (0.9, 0.8, 0.85)
HISTORY = [EpochResult(n + 1, 0.0, 0.0, {"val_loss": loss}, False, 1.0, 1.0) for n, loss in enumerate(LOSSES)]
Change = Callable[[int, int, str, float], float]


def as_planned(epoch: int, batch: int, group: str, rate: float) -> float:
    return rate


def trained(
    settings: TrainSettings = SETTINGS,
    changed: Change = as_planned,
    epochs: range = range(4),
    groups: tuple[str, ...] = ("all",),
) -> tuple[Stretch, ...]:
    """What is recorded of a training by the settings, where the optimizer had something else by a change."""
    plan, found = make_plan(settings, N), list[Stretch]()
    for epoch in epochs:
        rates, planned = EpochRates(), plan.given(LOSSES[:epoch])
        for batch in range(N):
            lr = planned(epoch + batch / N).lr
            of_groups = [GroupRate(name, 1.0, changed(epoch, batch, name, lr)) for name in groups]
            rates.add(epoch, batch, N, lr, of_groups)
        found += rates.stretches
    return tuple(found)


def test_what_is_as_planned_has_no_difference() -> None:
    applied = Applied(trained(), HISTORY, SETTINGS)
    assert [*applied.differences()] == []
    assert applied.n_batches == 4 * N
    assert [*applied_lines("runs/x", applied)] == [
        "Applied: runs/x had the planned learning rate in each of 20 recorded batches."
    ]
    assert [each.rates for each in applied.epochs()] == [each.applied for each in applied.epochs()]


@pytest.mark.parametrize("groups", [("all",), ("decayed", "not decayed")])
def test_a_rate_that_an_optimizer_changed_is_a_line_with_its_batch(groups: tuple[str, ...]) -> None:
    def changed(epoch: int, batch: int, group: str, rate: float) -> float:
        return 0.5 if (epoch, group) == (2, groups[-1]) and batch in (1, 2, 4) else rate

    stretches = trained(changed=changed, groups=groups)
    planned = make_plan(SETTINGS, N).lr(2.2, LOSSES[:2])
    name = "" if len(groups) == 1 else groups[-1]
    applied = Applied(stretches, HISTORY, SETTINGS)
    assert [*applied.differences()] == [
        Difference(3, 2, 2, planned, 0.5, name),
        Difference(3, 5, 1, planned, 0.5, name),
    ]
    first, second = applied_lines("runs/x", applied)
    of_group = f", param group {name!r}" if name else ""
    assert first.startswith(f"Warning: runs/x, epoch 3, batches 2 to 3{of_group}: planned ")
    assert first.endswith(", applied 0.5 at the first.")
    assert f"epoch 3, batch 5{of_group}: planned" in second
    if not name:
        assert [*applied.epochs()][2].applied == [planned, 0.5, 0.5, planned, 0.5]


def test_a_plan_that_is_another_one_today_differs() -> None:
    applied = Applied(trained(), HISTORY, replace_settings(lr=0.2))
    found = [*applied.differences()]
    assert sum(each.n for each in found) == 4 * N - 1  # but for the first batch of warmup, at 0
    assert (found[0].epoch, found[0].batch) == (1, 2)
    assert found[0].planned == pytest.approx(2 * found[0].applied)
    # A machine whose cosine is rounded otherwise is no difference.
    nearly = tuple(
        replace(each, runs=[replace(run, rate=run.rate * (1 + 2e-16)) for run in each.runs]) for each in trained()
    )
    assert [*Applied(nearly, HISTORY, SETTINGS).differences()] == []


def replace_settings(**values: object) -> TrainSettings:
    return TrainSettings.model_validate(SETTINGS.model_dump() | values)


@pytest.mark.parametrize("batch", [0, 2])
def test_settings_that_changed_are_those_of_their_time(batch: int) -> None:
    """A run whose rate, schedule and milestones were changed on going on, also inside an epoch."""
    middle = TrainSettings.model_validate({"scheduler": "multistep", "milestones": "1,3", "lr": 0.2, "epochs": 4})
    stretches = [*trained(epochs=range(1)), *trained(middle, epochs=range(1, 3))]
    last = replace_settings(scheduler="constant", lr=0.3, warmup=0)
    rates = EpochRates()
    for at in range(N):
        rates.add(3, at, N, lr := 0.3 if at >= batch else middle_rate(middle, 3 + at / N), [GroupRate("all", 1.0, lr)])
    dumps = [each.model_dump(mode="json") for each in (SETTINGS, middle, last)]
    changes = [
        {
            "epoch": epoch,
            "batch": at,
            "settings": {name: {"old": old(a[name]), "new": b[name]} for name in a if a[name] != b[name]},
        }
        for (epoch, at), a, b in zip([(1, 0), (3, batch)], dumps, dumps[1:], strict=False)
    ]
    applied = Applied((*stretches, *rates.stretches), HISTORY, last, changes)
    assert [*applied.differences()] == []
    assert [*Applied(applied.stretches, HISTORY, last).differences()] != []


def middle_rate(settings: TrainSettings, t: float) -> float:
    return make_plan(settings, N).lr(t, LOSSES)


def old(value: object) -> object:
    # As runs have it: a list is text.
    return str(tuple(value)) if isinstance(value, list) else value


def test_what_is_not_known_of_other_versions_is_left_out() -> None:
    changes = [{"epoch": 2, "batch": 0, "settings": {"scheduler": {"old": "of another version", "new": "x"}}}]
    applied = Applied(trained(), HISTORY, SETTINGS, changes)
    assert [each.epoch for each in applied.epochs()] == [3, 4]
    assert [*applied.differences()] == []


def test_shares_of_groups() -> None:
    """A group that is frozen has none; one that changes its share without a setting that says so differs."""

    def of(share: float, epoch: int) -> Stretch:
        lr = make_plan(SETTINGS, N).lr(epoch, LOSSES[:epoch])
        return Stretch(epoch, 0, N, {"backbone": share, "classifier": 1.0}, [type(trained()[0].runs[0])(lr)], n=1)

    frozen = Applied((of(0.0, 0), of(0.1, 1), of(0.1, 2)), HISTORY, replace_settings(backbone_lr_scale=0.1))
    assert [*frozen.differences()] == []
    moved = Applied((of(0.1, 1), of(0.3, 2)), HISTORY, replace_settings(backbone_lr_scale=0.1))
    assert [(each.epoch, each.group) for each in moved.differences()] == [(3, "backbone")]
    unasked = Applied((of(0.1, 1),), HISTORY, SETTINGS)
    assert [each.applied / each.planned for each in unasked.differences()] == [pytest.approx(0.1)]


def test_many_differences_are_counted() -> None:
    def changed(_epoch: int, batch: int, _group: str, rate: float) -> float:
        return rate + batch

    applied = Applied(trained(changed=changed), HISTORY, SETTINGS)
    lines = [*applied_lines("x", applied)]
    assert len(lines) == MAX_LINES + 1
    assert lines[-1] == f"Warning: x: {4 * (N - 1) - MAX_LINES} more differences between planned and applied."


def _with_infinity(stretch: Stretch) -> str:
    return json.dumps(stretch.as_record() | {"epoch": 1e400})


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    def changed(_epoch: int, batch: int, group: str, rate: float) -> float:
        return 9.0 if batch == 3 and group == "b" else rate

    run, stretches = RunFolder(tmp_path), trained(changed=changed, groups=("a", "b"))
    for each in stretches:
        rates = EpochRates()
        rates.stretches = [each]
        keep_rates(run, rates)
    assert tuple(read_rates(run)) == stretches
    # A constant epoch takes a line that does not grow with its batches.
    assert '"lr": [[' in run.rates.read_text().splitlines()[2]
    running = [stretches[3].as_record()]
    assert tuple(read_rates(run, running)) == stretches
    with run.rates.open("a") as file:
        file.write('{"epoch": 5, "ba')
    cut_rates(run, 3)
    assert tuple(read_rates(run)) == stretches[:3]
    assert tuple(read_rates(run, running)) == stretches
    before = run.rates.stat().st_mtime_ns
    cut_rates(run, 3)
    assert run.rates.stat().st_mtime_ns == before
    for odd in ('{"epoch": 1}', '{"epoch": "x"}', '{"epoch": null}', "{}", _with_infinity(stretches[0])):
        run.rates.write_text(f"{odd}\n")
        assert [*read_rates(run)] == []
        cut_rates(run, 0)
    run.rates.unlink()
    cut_rates(run, 0)
    assert [*read_rates(run)] == []
