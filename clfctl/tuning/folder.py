"""The folder of a study: its record, its trials' runs, its pictures; and what must be the same in all its processes."""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from clfctl.errors import UsageError
from clfctl.planning.place import working_folder
from clfctl.runs.folder import RunFolder
from clfctl.settings.groups import TuneSettings
from clfctl.settings.layers import layers_of
from clfctl.settings.sources import Layer, Resolved, from_layers
from clfctl.settings.tuning import FILE_STORAGES
from clfctl.storage.files import write_text
from clfctl.storage.json_lines import dump_json
from clfctl.storage.names import shell
from clfctl.tuning.places import begun_in, led, seen_from

FORMAT = 1
# Settings of a process: they may be others on each machine, and each time that a study goes on.
OF_PROCESS = (
    "trials", "time", "confirm", "write", "heartbeat", "storage", "device", "workers", "cache_dir", "download", "cache",
)  # fmt: skip
# Of these what is typed counts for the study, the others for the process alone.
OF_STUDY = ("trials", "confirm")
# Where things are: the same images may lie elsewhere on another machine.
PLACES = ("data", "data_dir", "runs_dir", "run_name")


@dataclass(frozen=True)
class StudyFolder:
    """The files of one study; each of its trials is a run folder in it."""

    path: Path

    @property
    def record(self) -> Path:
        """What was asked for, a JSON object."""
        return self.path / "study.json"

    def database(self, kind: str) -> Path:
        """Where trials are noted, of `sqlite` or `journal`."""
        return self.path / ("study.db" if kind == "sqlite" else "study.journal")

    @property
    def report(self) -> Path:
        """All of it as one HTML page."""
        return self.path / "report.html"

    def picture(self, name: str) -> Path:
        """A picture: `importance`, `slices` or `history`."""
        return self.path / f"{name}.png"

    def trial(self, number: int) -> RunFolder:
        """The run of a trial."""
        return RunFolder(self.path / f"trial-{number}")

    def confirmation(self, number: int, seed: int) -> RunFolder:
        """The run of a trial's settings with another seed."""
        return RunFolder(self.path / f"confirm-{number}-seed-{seed}")

    def lock(self, what: object) -> Path:
        """A file that whoever works on something holds: on the choice of a trial, on a trial, on the end."""
        return self.path / "locks" / str(what)


@dataclass(frozen=True)
class Record:
    """What a study was begun with: settings by source, and the space as texts, both as they were typed.

    `id` tells its folder from others. `given_in` is the folder that relative paths in the settings start from.
    """

    layers: Sequence[Layer]
    space: Sequence[str]
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    given_in: Path = field(default_factory=working_folder)

    @property
    def settings(self) -> TuneSettings:
        """All settings of the study."""
        return self.resolved().settings

    def resolved(self) -> Resolved[TuneSettings]:
        """Return the settings with their sources. Raises UsageError for those of another version."""
        return from_layers(TuneSettings, self.layers)

    def with_values(self, values: Mapping[str, Any]) -> "Record":
        """Return the record with some settings changed."""
        return replace(self, layers=[Layer("command line", dict(values)), *self.layers])

    def here(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return values of settings as they were typed with paths that lead from the working folder."""
        return self._led(values, self.given_in, working_folder())

    def kept(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return values that are typed now as the record keeps them: their paths start from where it was begun."""
        return self._led(values, working_folder(), self.given_in)

    def _led(self, values: Mapping[str, Any], start: Path, end: Path) -> dict[str, Any]:
        data_dir = Path(next((each.values["data_dir"] for each in self.layers if "data_dir" in each.values), "data"))
        return {name: led(name, value, start, end, data_dir) for name, value in values.items()}

    def as_json(self, study: Path) -> dict[str, Any]:
        """Return what `record_from` reads, of a study there; a password in the address of a database is left out."""
        dumped = self.settings.model_dump(mode="json")
        dumped["storage"] = without_password(dumped["storage"])
        layers = [[each.label, {name: dumped[name] for name in each.values}] for each in layers_of(self.resolved())]
        given_in = seen_from(self.given_in, study)
        return {"format": FORMAT, "id": self.id, "space": list(self.space), "layers": layers, "given_in": given_in}

    def same(self) -> dict[str, Any]:
        """Return what must be the same in every process that works on the study."""
        left_out = (*OF_PROCESS, *PLACES, "search")
        dumped = self.settings.model_dump(mode="json", exclude=set(left_out))
        return {"search": list(self.space), **dumped}


def record_from(saved: Mapping[str, Any], study: Path) -> Record:
    """Return the record of its JSON, of a study there. Raises KeyError, TypeError or ValueError for what is none."""
    if int(saved["format"]) > FORMAT:
        raise ValueError("it was written by a newer version of clfctl")
    layers = [Layer(str(label), dict(values)) for label, values in saved["layers"]]
    given_in = begun_in(str(saved.get("given_in", "")), study)
    return Record(layers, [str(each) for each in saved["space"]], str(saved["id"]), given_in)


def read_record(folder: StudyFolder) -> Record:
    """Return the record of a study's folder. Raises UsageError if it is none."""
    try:
        return record_from(json.loads(folder.record.read_text(encoding="utf-8")), folder.path)
    except FileNotFoundError:
        hint = "`clfctl tune` without it begins a study"
        if RunFolder(folder.path).config.is_file():
            hint = f"it is a run; to go on with it: {shell('resume', folder.path)}"
        raise UsageError(f"{folder.path} is not the folder of a study: it has no {folder.record.name}", hint) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{folder.record} cannot be read: {error}") from None


def write_record(folder: StudyFolder, record: Record) -> None:
    """Write the record of a study. Raises WriteError."""
    write_text(folder.record, dump_json(record.as_json(folder.path)) + "\n")


def difference(one: Record, other: Mapping[str, Any]) -> str:
    """Return in words what of `same` differs between a record and another's, empty if nothing does."""
    for name, value in one.same().items():
        theirs = other.get(name, value)
        if theirs != value:
            if name == "search":
                return f"it searches {_spoken(theirs)}, and here it would be {_spoken(value)}"
            return f"it has `{name}={_plain(theirs)}`, and here it would be `{name}={_plain(value)}`"
    return ""


def _spoken(texts: Sequence[str]) -> str:
    return ", ".join(texts)


def _plain(value: object) -> str:
    return "none" if value is None else str(value)


def is_file_storage(storage: str) -> bool:
    """Return whether trials are noted in a file of the study's folder."""
    return storage in FILE_STORAGES


def without_password(url: str) -> str:
    """Return an address without the passwords in it, for messages and files; of what is none only how it begins."""
    if "://" not in url:
        return url
    from sqlalchemy.engine import URL, make_url
    from sqlalchemy.exc import ArgumentError

    start = f"{url.partition('://')[0]}://…"
    try:
        found = make_url(url)
    except (ArgumentError, ValueError):
        return start
    if "@" in (found.host or ""):  # a password with such a sign in it, of which a part was taken for the host
        return start
    secret = [name for name in found.query if "pass" in name.lower()]
    if found.password is None and not secret:
        return url
    query = {name: each for name, each in found.query.items() if name not in secret}
    shown = URL.create(found.drivername, found.username, None, found.host, found.port, found.database, query)
    return shown.render_as_string()
