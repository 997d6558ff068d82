"""A study that is gone on with from another folder, or that was moved: its relative paths lead where they led."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from clfctl.errors import UsageError
from clfctl.settings.groups import TuneSettings
from clfctl.settings.sources import from_fields
from clfctl.tuning.asking import changes_of, new_record
from clfctl.tuning.folder import Record, StudyFolder, read_record, write_record
from clfctl.tuning.places import led, same_place
from clfctl.tuning.trial_settings import stated_of

FIELDS = {
    "search": ["lr=0.1,0.2", "weights=w.pth,none"],
    "data": "photos/",
    "cache_dir": "kept",
    "storage": "sqlite:///x.db",
}


def begun(**more: Any) -> StudyFolder:
    """A study by its record alone, begun in the working folder."""
    for name in ("photos", "kept", "runs/s"):
        Path(name).mkdir(parents=True)
    for name in ("w.pth", "x.db"):
        Path(name).touch()
    folder = StudyFolder(Path("runs/s"))
    write_record(folder, new_record(from_fields(TuneSettings, {**FIELDS, "run_name": "s", **more})))
    return folder


def paths_of(record: Record) -> list[str]:
    """Where a trial looks for its images, what it keeps, and its weights; and where trials are noted."""
    settings = stated_of(record, {"lr": "0.1", "weights": "w.pth"}).settings
    storage = record.here({"storage": record.settings.storage})["storage"]
    return [str(each) for each in (settings.data, settings.cache_dir, settings.weights, storage)]


def test_paths_lead_where_they_led(monkeypatch: pytest.MonkeyPatch) -> None:
    folder, place = begun(), Path.cwd()
    assert paths_of(read_record(folder)) == ["photos/", "kept", "w.pth", "sqlite:///x.db"]
    (place / "deep/er").mkdir(parents=True)
    monkeypatch.chdir("deep/er")
    elsewhere = StudyFolder(Path("../../runs/s"))
    assert paths_of(read_record(elsewhere)) == ["../../photos", "../../kept", "../../w.pth", "sqlite:///../../x.db"]
    # Written again from there, it is as it was.
    write_record(elsewhere, read_record(elsewhere).with_values({"trials": 9}))
    monkeypatch.chdir(place)
    assert paths_of(read_record(folder)) == ["photos/", "kept", "w.pth", "sqlite:///x.db"]


def test_all_of_it_may_be_moved_and_the_study_alone_is_found_in_the_working_folder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun()
    Path("new").mkdir()
    for name in ("photos", "kept", "runs", "w.pth", "x.db"):
        shutil.move(name, Path("new") / name)
    assert paths_of(read_record(StudyFolder(Path("new/runs/s"))))[:3] == ["new/photos", "new/kept", "new/w.pth"]
    # Where the study alone was moved, its data is not where it would be from there; here, it is.
    shutil.move("new/runs/s", "s")
    monkeypatch.chdir("new")
    assert paths_of(read_record(StudyFolder(Path("../s"))))[:3] == ["photos/", "kept", "w.pth"]


def test_what_is_typed_elsewhere_is_compared_by_where_it_leads(monkeypatch: pytest.MonkeyPatch) -> None:
    begun()
    Path("deep").mkdir()
    monkeypatch.chdir("deep")
    folder = StudyFolder(Path("../runs/s"))

    def asked(**fields: Any) -> dict[str, Any]:
        return changes_of(folder, from_fields(TuneSettings, fields))

    assert "data" not in asked(data="../photos/")
    assert asked(cache_dir="new")["cache_dir"] == Path("new")  # which is not there yet
    assert asked(cache_dir="../kept")["cache_dir"] == Path("kept")
    assert asked(storage="sqlite:///../x.db")["storage"] == "sqlite:///x.db"
    for fields in ({"data": "photos"}, {"data": "../kept"}, {"storage": "sqlite:///x.db"}):
        with pytest.raises(UsageError, match="the study"):
            asked(**fields)


def test_a_study_of_before_this_was_kept_starts_from_the_working_folder() -> None:
    folder = begun()
    record = json.loads(folder.record.read_text())
    del record["given_in"]
    folder.record.write_text(json.dumps(record))
    assert paths_of(read_record(folder)) == ["photos/", "kept", "w.pth", "sqlite:///x.db"]


NAMES: list[tuple[str, Any]] = [
    ("data", "digits"), ("data", "gone/"), ("model", "resnet18"), ("model", "folder"), ("lr", "0.1"),
    ("storage", "journal"), ("storage", "postgresql://host/name"), ("storage", "sqlite:////whole/x.db"),
    ("weights", None), ("data", "/whole"), ("start_from", ""),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), NAMES, ids=str)
def test_names_and_whole_paths_stay(name: str, value: Any) -> None:
    Path("folder").mkdir()
    assert led(name, value, Path.cwd(), Path.cwd() / "deep", Path("data")) == value


def test_networks_that_are_runs_are_led_and_names_beside_them_are_not() -> None:
    place = Path.cwd()
    Path("runs/a").mkdir(parents=True)
    Path("runs/a/config.toml").touch()
    Path("resnet18").mkdir()  # not a run
    found = led("model", "runs/a, resnet18", place, place / "deep", Path("data"))
    assert found == "../runs/a,resnet18"
    assert led("model", ["runs/a"], place, place / "deep", Path("data")) == ["../runs/a"]


def test_a_stroke_at_the_end_is_no_difference() -> None:
    assert same_place("photos/", "photos")
    assert same_place(Path("a/../b"), "b")
    assert not same_place("a", "b")
    assert not same_place("", "a")
    assert same_place(None, None)
