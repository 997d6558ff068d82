"""Settings written down: as TOML that `--config` reads again, and as `.env.example`."""

import json
import math
import re
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from clfctl.errors import SETTING
from clfctl.settings.base import Settings, help_of, panel_of
from clfctl.settings.image_size import Rectangle
from clfctl.settings.messages import allowed
from clfctl.settings.ranges import Range
from clfctl.settings.sources import ENV_PREFIX
from clfctl.storage.names import written


def to_toml(settings: Settings) -> str:
    """Return every setting that has a value as TOML, under comments that name the panels."""
    lines: list[str] = []
    for panel, names in _by_panel(type(settings)).items():
        stated = {name: getattr(settings, name) for name in names}
        lines += ["", f"# {panel}", *(f"{n} = {toml_value(v)}" for n, v in stated.items() if v is not None)]
    return "\n".join(lines[1:]) + "\n"


def toml_value(value: Any) -> str:
    """Return a value as TOML: text, path, number, bool, what is typed as text, or a list of them."""
    match value:
        case bool():
            return "true" if value else "false"
        case float() if not math.isfinite(value):
            return "nan" if math.isnan(value) else ("inf" if value > 0 else "-inf")
        case int() | float():
            return repr(value)
        case str() | Path() | Rectangle() | Range():
            # A JSON string is a TOML string but for DEL, which TOML wants escaped.
            # A path that is not UTF-8 is not text that TOML could hold.
            return json.dumps(written(str(value)), ensure_ascii=False).replace("\x7f", "\\u007f")
        case list() | tuple():
            return "[" + ", ".join(toml_value(each) for each in value) + "]"
    raise TypeError(f"no TOML for {type(value).__name__}")


def env_example(groups: Iterable[type[Settings]]) -> str:
    """Return the text of `.env.example`: each setting once, with its help, what it may be, and its default."""
    lines = ["# Settings of clfctl. Copy this to .env and remove the # from the lines to change.", ""]
    seen = set[str]()
    for settings_type in groups:
        for panel, all_names in _by_panel(settings_type).items():
            # A variable is one, whichever commands read it.
            names = [name for name in all_names if name not in seen]
            seen.update(names)
            lines += [f"## {panel}", ""] if names else []
            for name in names:
                lines += [*_env_entry(settings_type, name), ""]
    return "\n".join(lines)


def _env_entry(settings_type: type[Settings], name: str) -> Iterator[str]:
    field = settings_type.model_fields[name]
    about = SETTING.sub(_as_variable, help_of(settings_type, name))
    yield from textwrap.wrap(
        f"{about} ({allowed(settings_type, name)})", 118, initial_indent="# ", subsequent_indent="# "
    )
    default = "" if field.default is None else toml_value(field.default).strip('"')
    yield f"#{ENV_PREFIX}{name.upper()}={default}"


def _as_variable(found: re.Match[str]) -> str:
    return f"`{ENV_PREFIX}{found[1].upper()}={found[2]}`".replace("=`", "`")


def _by_panel(settings_type: type[Settings]) -> dict[str, list[str]]:
    panels: dict[str, list[str]] = {}
    for name in settings_type.model_fields:
        panels.setdefault(panel_of(settings_type, name), []).append(name)
    return panels


def saved_config(settings: "TrainSettings") -> str:
    """Return the text of a run's config.toml: everything but the name, which is taken now."""
    return to_toml(settings.model_copy(update={"run_name": ""}))


if __name__ == "__main__":
    from clfctl.settings.groups import AppSettings, OutputSettings, ServeSettings, TrainSettings

    print(env_example((TrainSettings, ServeSettings, AppSettings, OutputSettings)), end="")
