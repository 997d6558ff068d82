"""The names of timm's models, read from its source: TAB and a misspelt name must not cost its import. No torch here."""

import importlib.util
import os
import re
from pathlib import Path

from clfctl.storage.files import cache_folder

_REGISTERED = re.compile(r"^@register_model\s*\n(?:@[^\n]*\n)*def (\w+)\(", re.MULTILINE)


def timm_names() -> list[str]:
    """Return every model of the installed timm, from a cache named by its version; none if it cannot be read."""
    try:
        return _names(cache_folder())
    except OSError:
        return []


def timm_version() -> str:
    """Return the version of the installed timm, empty if there is none."""
    place = _place()
    try:
        return _version(place) if place else ""
    except OSError:
        return ""


def _place() -> Path | None:
    package = importlib.util.find_spec("timm")
    return Path(package.origin).parent if package and package.origin else None


def _version(place: Path) -> str:
    version = re.search(r"['\"](.+?)['\"]", (place / "version.py").read_text(encoding="utf-8"))
    return version[1] if version else "unknown"


def _names(folder: Path) -> list[str]:
    place = _place()
    if place is None:
        return []
    cached = folder / f"timm-models-{_version(place)}.txt"
    if cached.is_file():
        return cached.read_text(encoding="utf-8").split()
    files = sorted((place / "models").glob("*.py"))
    names = sorted({name for file in files for name in _REGISTERED.findall(file.read_text(encoding="utf-8"))})
    _write(cached, names)
    return names


def _write(cached: Path, names: list[str]) -> None:
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        temporary = cached.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text("\n".join(names), encoding="utf-8")
        temporary.replace(cached)
    except OSError:
        pass  # a home that cannot be written to costs 0.1 s at each TAB, nothing else
