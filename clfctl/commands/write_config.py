"""What a command found, written into a file of settings such as clfctl.toml."""

from collections.abc import Mapping
from pathlib import Path

from clfctl.display.output import Output
from clfctl.errors import UsageError
from clfctl.settings.keep import put_into
from clfctl.settings.sources import read_config
from clfctl.storage.files import write_text


def check_folder(path: Path, field: str) -> None:
    """Raise UsageError if the folder is not there that a file is to be written into."""
    if not path.parent.is_dir():
        raise UsageError(f"{path.parent} is not a folder", "make it first", field=field)


def check_config(path: Path) -> None:
    """Raise UsageError, before anything takes long, if settings cannot be put into a file."""
    check_folder(path, "write")
    if path.suffix.lower() != ".toml":
        raise UsageError(f"{path} is not a TOML file", "give a name that ends in .toml", field="write")
    if path.exists():
        read_config(path)


def write_into(path: Path, values: Mapping[str, int | float | str], output: Output) -> None:
    """Put settings into a TOML file, whose other lines stay as they are, and say what that changed."""
    text = path.read_bytes().decode() if path.exists() else ""
    new, changed = put_into(text, values)
    if not changed:
        output.note(f"{path} has {'this value' if len(values) == 1 else 'these values'} already.")
        return
    write_text(path, new)
    changes = (f"{name} {'' if before is None else f'{before} → '}{after}" for name, (before, after) in changed.items())
    output.note(f"Wrote {path}: {', '.join(changes)}")
