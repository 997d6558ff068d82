"""Settings put into the text of a TOML file: its other lines and its comments stay as they are."""

from collections.abc import Mapping

from clfctl.settings.sources import every_alias, field_of, known_names

BYTE_ORDER_MARK = "\ufeff"


def put_into(text: str, values: Mapping[str, int | float | str]) -> tuple[str, dict[str, tuple[object, object]]]:
    """Return the TOML text with the values in it, and what changed, as {setting: (before, after)}.

    A setting that stands there keeps its place, its comment and the name that it is called by; a new one comes last.
    Before is None for those. The text must be valid TOML.
    """
    import tomlkit  # 40 ms, only where a file is written

    mark = text[: text.startswith(BYTE_ORDER_MARK)]
    document = tomlkit.parse(text.removeprefix(mark))
    known, aliases = known_names(), every_alias()
    written = {field_of(key, known, aliases): key for key in document}
    changed: dict[str, tuple[object, object]] = {}
    for name, value in values.items():
        key = written.get(name, name)
        before = document.unwrap().get(key)
        if before == value:
            continue
        changed[name] = (before, value)
        document[key] = value
    new = mark + tomlkit.dumps(document)
    return new if new.endswith("\n") or not new else new + "\n", changed
