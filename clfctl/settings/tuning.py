"""Settings of a study: what is searched, by which sampler and pruner, and where its trials are noted."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator, NonNegativeInt, PositiveInt, field_validator

from clfctl.settings.base import FieldError, Option, Settings, UserPath
from clfctl.settings.clock import CLOCK, parse_clock
from clfctl.settings.running import RunNameSettings

FILE_STORAGES = ("sqlite", "journal")
_NEEDS_QUOTES = ',"'


def in_search(name: str, values: object) -> str:
    """Return a searched setting as it is typed: `lr=1e-5..1e-2:log`, `batch_size=16,32`.

    `values` are such a text already, a list of values, or a table of `low`, `high`, and `log` or `step`. Raises
    UsageError for anything else.
    """
    match values:
        case str():
            return f"{name}={values}"
        case list() | tuple() if values:
            return f"{name}={','.join(map(_quoted, values))}"
        case Mapping() if {"low", "high"} <= {*values} <= {"low", "high", "log", "step"}:
            step = f":step={values['step']}" if values.get("step") else ""
            return f"{name}={values['low']}..{values['high']}{':log' if values.get('log') else ''}{step}"
    hint = f'write `{name} = "1..10"`, a list of values, or a table of low, high and log'
    raise FieldError("search", f"{name} is to be searched in {values!r}, which is no range and no list", hint)


def _quoted(value: object) -> str:
    text = "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    if not any(each in text for each in _NEEDS_QUOTES):
        return text
    return '"' + text.replace('"', '\\"') + '"'


def _texts(value: object) -> object:
    """Return what is searched as texts, a setting each, of a text, a list of them, or a mapping."""
    if isinstance(value, Mapping):
        return tuple(in_search(str(name), each) for name, each in value.items())
    return (value,) if isinstance(value, str) else value


class TuningSettings(Settings):
    """Tuning"""

    trials: PositiveInt = 30
    """Trials of the study in all, with those that it has already."""
    search: Annotated[tuple[str, ...], BeforeValidator(_texts), Option(accepts="settings, each with its values")] = ()
    """What is searched: a setting with a range (`lr=1e-5..1e-2:log`), or with a list (`batch-size=16,32,64`)."""
    sampler: Literal["tpe", "random", "grid", "gp", "cmaes"] = "tpe"
    """How the next trial is chosen: by a tree of Parzen estimators, at random, every combination once, by a Gaussian
    process, or by CMA-ES (which searches ranges only, and draws lists at random)."""
    pruner: Literal["median", "hyperband", "none"] = "median"
    """Which trials end early, by the monitored metric of their epochs: those worse than the median of the others at
    that epoch, the worse part of each bracket, or none."""
    stage: Literal["train", "probe"] = "train"
    """What a trial is: a training, or a probe on kept features, which takes seconds."""
    storage: Annotated[str, Option(metavar="sqlite|journal|URL")] = "sqlite"
    """Where trials are noted: a SQLite file or a journal in the study's folder, or any address that Optuna takes, such
    as `postgresql://user@host/name`, at which many machines work on one study."""
    heartbeat: PositiveInt = 30
    """Seconds between two signs of life of a trial in a database; without three of them it is marked as failed, and
    tried again."""
    confirm: Annotated[NonNegativeInt, Option(metavar="N")] = 0
    """Train the best again with this many other seeds, in the end: the best of many is lucky too."""
    write: Annotated[UserPath | None, Option(metavar="FILE.toml", values="files")] = None
    """Write the settings of the best trial, for `clfctl train` with `config=`."""

    @field_validator("write")
    @classmethod
    def _is_toml(cls, path: UserPath | None) -> UserPath | None:
        if path and path.suffix.lower() != ".toml":
            raise FieldError("write", f"{path} does not end in .toml", "name it so, such as best.toml")
        return path


class StudyNameSettings(RunNameSettings):
    """Study"""

    run_name: Annotated[str, Option(short="-n", aliases=("name",))] = ""
    """Name of the study's folder, and of the study in a database; `{n}` becomes the first unused number; empty: a name
    is made up."""
    time: Annotated[str, Option(metavar="2h", accepts=CLOCK)] = ""
    """Begin no more trials after this time; the one that is trained then is stopped after its epoch, and goes on when
    the study does."""

    @field_validator("time")
    @classmethod
    def _is_clock(cls, text: str) -> str:
        if text not in ("", "0"):
            parse_clock(text)
        return "" if text == "0" else text
