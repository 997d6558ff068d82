"""Images asked about by clfctl predict in this process, and its answers as records."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from typer.testing import Result

Cli = Callable[..., Result]


def records(result: Result) -> list[dict[str, Any]]:
    """Return what was printed with `--json`."""
    return [json.loads(line) for line in result.stdout.splitlines()]


def answers(cli: Cli, model: str, *images: Path | str) -> list[dict[str, Any]]:
    """Return what a model says of images, with the shares of all classes."""
    return records(cli("predict", model, *map(str, images), "--json", "--top-k", "10"))
