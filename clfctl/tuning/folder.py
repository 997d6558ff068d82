"""The folder of a study: its record, its trials' runs, its pictures; and what must be the same in all its processes."""

import json
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from clfctl.errors import UsageError
from clfctl.runs.folder import RunFolder
from clfctl.settings.groups import TuneSettings
from clfctl.settings.layers import layers_of
from clfctl.settings.sources import Layer, Resolved, from_layers
from clfctl.settings.tuning import FILE_STORAGES
from clfctl.storage.files import write_text
from clfctl.storage.json_lines import dump_json
from clfctl.storage.names import shell

FORMAT = 1
# Settings of a process: they may be others on each machine, and each time that a study goes on.
OF_PROCESS = (
    "trials", "time", "confirm", "write", "heartbeat", "storage", "device", "workers", "cache_dir", "download", "cache",
)  # fmt: skip
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
    """What a study was begun with: settings by source, and the space as texts; `id` tells its folder from others."""

    layers: Sequence[Layer]
    space: Sequence[str]
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

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

    def as_json(self) -> dict[str, Any]:
        """Return what `record_from` reads; a password in the address of a database is left out."""
        dumped = self.settings.model_dump(mode="json")
        dumped["storage"] = without_password(dumped["storage"])
        layers = [[each.label, {name: dumped[name] for name in each.values}] for each in layers_of(self.resolved())]
        return {"format": FORMAT, "id": self.id, "space": list(self.space), "layers": layers}

    def same(self) -> dict[str, Any]:
        """Return what must be the same in every process that works on the study."""
        left_out = (*OF_PROCESS, *PLACES, "search")
        dumped = self.settings.model_dump(mode="json", exclude=set(left_out))
        return {"search": list(self.space), **dumped}


def record_from(saved: Mapping[str, Any]) -> Record:
    """Return the record of its JSON. Raises KeyError, TypeError or ValueError for what is none."""
    if int(saved["format"]) > FORMAT:
        raise ValueError("it was written by a newer version of clfctl")
    layers = [Layer(str(label), dict(values)) for label, values in saved["layers"]]
    return Record(layers, [str(each) for each in saved["space"]], str(saved["id"]))


def read_record(folder: StudyFolder) -> Record:
    """Return the record of a study's folder. Raises UsageError if it is none."""
    try:
        return record_from(json.loads(folder.record.read_text(encoding="utf-8")))
    except FileNotFoundError:
        hint = "`clfctl tune` without it begins a study"
        if RunFolder(folder.path).config.is_file():
            hint = f"it is a run; to go on with it: {shell('resume', folder.path)}"
        raise UsageError(f"{folder.path} is not the folder of a study: it has no {folder.record.name}", hint) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{folder.record} cannot be read: {error}") from None


def write_record(folder: StudyFolder, record: Record) -> None:
    """Write the record of a study. Raises WriteError."""
    write_text(folder.record, dump_json(record.as_json()) + "\n")


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
    """Return an address without the password in it, for messages and files."""
    with suppress(ValueError):
        parts = urlsplit(url)
        if parts.password is not None:
            user, _, host = parts.netloc.rpartition("@")
            return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}@{host}"))
    return url
