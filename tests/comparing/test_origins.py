"""Which runs may know the images that they hold out, through what they began with or learned from."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from clfctl.comparing import origins
from clfctl.comparing.comparison import Side
from clfctl.comparing.entries import Entry, read_entries
from clfctl.comparing.origins import _Trained, suspects
from clfctl.display.compare_plots import curves_figure
from clfctl.settings.groups import TrainSettings

OLDER = Path(__file__).parents[1] / "compatibility/2026-11-before-the-move/run"


@pytest.fixture
def entries(tmp_path: Path) -> list[Entry]:
    return read_entries([shutil.copytree(OLDER, tmp_path / name) for name in ("a", "b")])


def known(monkeypatch: pytest.MonkeyPatch, entries: list[Entry], **runs: dict[str, Any]) -> list[str]:
    """Return what is said of two runs, where these are the settings of all runs that there are, by name."""
    found = {Path(name): _Trained(TrainSettings.model_validate(each), Path()) for name, each in runs.items()}
    found |= {entry.run.last: found[Path(name)] for entry, name in zip(entries, "ab", strict=True)}
    monkeypatch.setattr(origins, "_trained", found.get)
    return suspects([each.run for each in entries], ["a", "b"])


def test_a_run_from_one_that_holds_out_other_images_is_named(
    monkeypatch: pytest.MonkeyPatch, entries: list[Entry]
) -> None:
    other = {"seed": 1}
    (said,) = known(monkeypatch, entries, a={}, b={"start_from": "c"}, c=other)
    assert said.startswith("Warning: b began with the weights of c, which holds out other images of digits: some of ")
    (said,) = known(monkeypatch, entries, a={"distill": "c"}, b={}, c={"val_split": 0.5})
    assert said.startswith("Warning: a learned from c, which holds out other images")
    (said,) = known(monkeypatch, entries, a={}, b={"start_from": "c"}, c={"distill": "d"}, d=other)
    assert said.startswith("Warning: b goes back, by c, to d, which")


@pytest.mark.parametrize(
    "runs",
    [
        {"a": {}, "b": {"start_from": "c"}, "c": {"lr": 0.1}},  # the same images are held out
        {"a": {}, "b": {"start_from": "c"}, "c": {"data": "fashion-mnist", "seed": 1}},
        {"a": {}, "b": {"start_from": "gone"}},
        {"a": {}, "b": {"distill": "c", "distill_weight": 0}, "c": {"seed": 1}},
        # Only what both hold out is looked at: that a holds it out is as good for b.
        {"a": {"seed": 1}, "b": {"start_from": "a"}},
        {"a": {"start_from": "b"}, "b": {"start_from": "a"}},
    ],
)
def test_of_others_nothing_is_said(
    runs: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch, entries: list[Entry]
) -> None:
    assert known(monkeypatch, entries, **runs) == []


def test_the_settings_are_those_of_the_checkpoint_that_is_named(entries: list[Entry]) -> None:
    found = origins._trained(entries[0].run.path)
    assert found is not None
    assert found.settings == entries[0].settings
    assert found.data == found.split[0]
    assert origins._trained(OLDER / "config.toml") is None
    assert suspects([each.run for each in entries], ["a", "b"]) == []


def test_the_legend_names_every_run(entries: list[Entry]) -> None:
    """Matplotlib leaves out what begins with an underscore."""
    figure = curves_figure([Side(each, name, {}, {}) for each, name in zip(entries, ("_a", "b"), strict=True)])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["A _a", "B b"]
