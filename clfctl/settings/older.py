"""Settings as a run of another version wrote them: what is missing, renamed or retired since."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from clfctl.errors import CheckpointError
from clfctl.settings.base import FieldError, aliases_of
from clfctl.settings.groups import TrainSettings
from clfctl.settings.messages import allowed
from clfctl.settings.words import value_in_words
from clfctl.storage.files import reason_of

# Settings that no longer exist, each with what is done instead. None so far.
RETIRED: dict[str, str] = {}


def read_older_config(path: Path) -> tuple[TrainSettings, tuple[str, ...]]:
    """Return the settings in a run's config.toml, as `read_older` does. Raises CheckpointError."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = reason_of(error) if isinstance(error, OSError) else f"it is not valid TOML: {error}"
        raise CheckpointError(f"{path} cannot be read: {reason}") from None
    return read_older(values, path)


def read_older(saved: Mapping[str, Any], where: object) -> tuple[TrainSettings, tuple[str, ...]]:
    """Return the settings that a run was trained with, and a sentence about each that this version does not have.

    A setting that is missing has its default, a renamed one is known by its alias; what is retired, or of a newer
    version, is left out. `where` is the file that they stand in. Raises CheckpointError for a value that is not
    allowed.
    """
    fields, aliases = TrainSettings.model_fields, aliases_of(TrainSettings)
    known: dict[str, Any] = {}
    notes: list[str] = []
    for written, value in saved.items():
        name = written if written in fields else aliases.get(written, "")
        if not name:
            instead = RETIRED.get(written, "this version of clfctl does not have that setting")
            notes.append(f"Left out: {written} = {value_in_words(value)} of {where}; {instead}.")
        elif name == written or name not in saved:
            known[name] = value
    try:
        return TrainSettings.model_validate(known), tuple(notes)
    except FieldError as error:
        reason = f"{error.field} = {known.get(error.field)!r}: {error.message}"
    except ValidationError as error:
        problem, *_ = error.errors()
        name = str(problem["loc"][0])
        reason = f"{name} = {known.get(name)!r}; it must be {allowed(TrainSettings, name)}"
    raise CheckpointError(f"the settings in {where} cannot be used: {reason}", "a newer clfctl may have written them")
