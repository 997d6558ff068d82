"""From what a user asks for to the record of a study: what is searched, and what may be changed when it goes on."""

from collections.abc import Mapping
from typing import Any

from clfctl.errors import UsageError
from clfctl.settings.groups import TuneSettings
from clfctl.settings.layers import layers_of
from clfctl.settings.sources import Resolved
from clfctl.tuning.folder import OF_PROCESS, Record, StudyFolder, read_record, without_password
from clfctl.tuning.places import same_place
from clfctl.tuning.space import default_space, read_space
from clfctl.tuning.trial_settings import kind_of, names_in

# Settings that count for one call of the program: without them the next one has none.
_OF_CALL: Mapping[str, Any] = {"time": "", "write": None}


def new_record(resolved: Resolved[TuneSettings]) -> Record:
    """Return the record of a study that is to be begun. Raises UsageError for a search that is not understood.

    Without a search the default space is searched, but for the settings that are stated.
    """
    settings = resolved.settings
    known, texts = names_in(settings.stage), list(settings.search)
    if not texts:
        every = default_space(kind_of(settings))
        texts = [each for each in every if not _is_stated(resolved, each.partition("=")[0])]
        if not texts:
            hint = "name a setting and its values: `search=lr=1e-5..1e-2:log`"
            raise UsageError("every setting of the default space is stated", hint, field="search")
    space = read_space(texts, known)
    for dimension in space:
        if resolved.ranks.get(dimension.name) == 0:
            what = f"{dimension.name} is stated, and searched too (`search={dimension}`)"
            raise UsageError(what, "leave one of the two out", field=dimension.name)
    return Record(layers_of(resolved), [str(each) for each in space])


def _is_stated(resolved: Resolved[TuneSettings], name: str) -> bool:
    return name in resolved.origins and resolved.is_stated(name)


def changes_of(folder: StudyFolder, resolved: Resolved[TuneSettings]) -> dict[str, Any]:
    """Return what is other for a study that goes on: only what the strongest source states counts.

    Raises UsageError for a setting that a study keeps, if it is not what it has.
    """
    record = read_record(folder)
    mine, changes = record.settings, dict(_OF_CALL)
    for name in (name for name, rank in resolved.ranks.items() if rank == 0):
        value = getattr(resolved.settings, name)
        if name == "search":
            space = tuple(str(each) for each in read_space(value, names_in(mine.stage)))
            if value and {*space} != {*record.space}:
                what = f"the study {folder.path} searches {', '.join(record.space)}, not {', '.join(space)}"
                raise UsageError(what, "leave it out to go on, or begin another study", field=name)
        elif name == "storage" and without_password(value) != without_password(record.here({name: mine.storage})[name]):
            what = f"the study {folder.path} is noted at {mine.storage}, not at {without_password(value)}"
            raise UsageError(what, "leave it out to go on", field=name)
        elif name in OF_PROCESS:
            changes |= record.kept({name: value})
        elif not _is_kept(record, name, value) and (name, value) != ("run_name", folder.path.name):
            what = f"the study {folder.path} was begun with {_plain(getattr(mine, name))}, not {_plain(value)}"
            raise UsageError(what, "leave it out to go on, or begin another study", field=name)
    if "storage" not in changes:
        changes["storage"] = mine.storage
    return changes


def _is_kept(record: Record, name: str, value: object) -> bool:
    """Return whether a setting is what the study has, wherever its path is typed from."""
    return same_place(value, record.here({name: getattr(record.settings, name)})[name])


def _plain(value: object) -> str:
    return "nothing" if value in (None, "") else str(value)
