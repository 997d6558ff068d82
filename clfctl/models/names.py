"""The names of timm's models, read from its source: TAB and a misspelt name must not cost its import. No torch here."""

import importlib.util
import os
import re
from pathlib import Path

from clfctl.errors import UsageError, nearest
from clfctl.storage.files import cache_folder

CUSTOM = "custom"
_REGISTERED = re.compile(r"^@register_model\s*\n(?:@[^\n]*\n)*def (\w+)\(", re.MULTILINE)


def model_names() -> list[str]:
    """Return `custom` and every model of the installed timm, from a cache named by its version."""
    try:
        return [CUSTOM, *_timm_names()]
    except OSError:
        return [CUSTOM]


def check_model_name(name: str) -> None:
    """Raise UsageError, with the nearest names, if there is no such model; costs no import of timm."""
    plain = name.partition(".")[0]
    known = model_names()
    if plain not in known and not name.startswith(("hf-hub:", "hf_hub:")):
        hint = nearest(plain, known) or "`custom`, or a model of timm: https://huggingface.co/timm"
        raise UsageError(f"--model: {name!r} is no model", hint)


def _timm_names() -> list[str]:
    package = importlib.util.find_spec("timm")
    if package is None or package.origin is None:
        return []
    folder = Path(package.origin).parent
    version = re.search(r"['\"](.+?)['\"]", (folder / "version.py").read_text(encoding="utf-8"))
    cache = cache_folder() / f"timm-models-{version[1] if version else 'unknown'}.txt"
    if cache.is_file():
        return cache.read_text(encoding="utf-8").split()
    files = sorted((folder / "models").glob("*.py"))
    names = sorted({name for file in files for name in _REGISTERED.findall(file.read_text(encoding="utf-8"))})
    _write(cache, names)
    return names


def _write(cache: Path, names: list[str]) -> None:
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        temporary = cache.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text("\n".join(names), encoding="utf-8")
        temporary.replace(cache)
    except OSError:
        pass  # a home that cannot be written to costs 0.1 s at each TAB, nothing else
