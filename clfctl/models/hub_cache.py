"""Where published weights are on this machine, and how to bring them here without a connection. No torch here.

The caches are those of huggingface_hub and of torch.hub: their layout is read, their packages are not imported.
"""

import os
from pathlib import Path
from urllib.parse import urlparse

from clfctl.errors import UsageError
from clfctl.storage.home import expand_home

WEIGHTS = (
    "model.safetensors", "pytorch_model.bin", "open_clip_model.safetensors", "open_clip_pytorch_model.bin",
)  # fmt: skip


def cached_file(place: str) -> Path | None:
    """Return the weights of a repository of the hub, or of an address, if they were downloaded before."""
    if "://" in place:
        file = _downloads() / Path(urlparse(place).path).name
        return file if file.is_file() else None
    folder = hub_folder() / _folder_of(place)
    try:
        version = (folder / "refs/main").read_text(encoding="utf-8").strip()
    except OSError:
        return None
    # A link to a file that is gone is no file.
    files = (folder / "snapshots" / version / name for name in WEIGHTS)
    return next((file for file in files if file.is_file()), None)


def how_to_bring(place: str) -> str:
    """Return how weights come to a machine that cannot download them: what to fetch elsewhere, and where to put it."""
    if "://" in place:
        return f"fetch {place} elsewhere and give the file with `weights=FILE`, or put it into {_downloads()}"
    file = f"https://huggingface.co/{place}/resolve/main/{WEIGHTS[0]}"
    copy = f"copy {_folder_of(place)}/ of another machine's cache into {hub_folder()}"
    return f"fetch {file} elsewhere and give it with `weights=FILE`, or {copy}"


def hub_folder() -> Path:
    """Return where huggingface_hub keeps what it has downloaded."""
    stated = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    if stated:
        return _at_home(stated)
    home = os.environ.get("HF_HOME")
    return (_at_home(home) if home else _caches() / "huggingface") / "hub"


def _downloads() -> Path:
    home = os.environ.get("TORCH_HOME")
    return (_at_home(home) if home else _caches() / "torch") / "hub" / "checkpoints"


def _caches() -> Path:
    return _at_home(os.environ.get("XDG_CACHE_HOME") or "~/.cache")


def _at_home(path: str) -> Path:
    try:
        return Path(expand_home(path))
    except UsageError:  # no home folder, and so no cache in it
        return Path(path)


def _folder_of(repository: str) -> str:
    return "models--" + repository.replace("/", "--")
