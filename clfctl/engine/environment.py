"""What a run was made with: versions, device, threads, git commit, command line."""

import platform
import subprocess
import sys
from importlib.metadata import version
from typing import Any

import torch

from clfctl.engine.device import describe
from clfctl.version import __version__

PACKAGES = ("torch", "torchvision", "timm", "numpy", "pillow", "safetensors")


def environment(device: torch.device, origin: str) -> dict[str, Any]:
    """Return the environment as JSON can hold it; `git` is None outside a repository.

    `origin` says where the first weights came from.
    """
    return {
        "clfctl": __version__,
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "cuda": torch.version.cuda if device.type == "cuda" else None,
        "device": describe(device),
        "n_threads": torch.get_num_threads(),
        "platform": platform.platform(),
        "git": _git_commit(),
        "command": sys.argv,
        "first_weights": origin,
    }


def _git_commit() -> dict[str, Any] | None:
    commit = _git("rev-parse", "HEAD")
    return {"commit": commit, "is_dirty": bool(_git("status", "--porcelain"))} if commit else None


def _git(*words: str) -> str:
    try:
        done = subprocess.run(("git", *words), capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
