"""What the commands print of an ensemble, as records, and a folder of images to ask them about."""

import json
from collections.abc import Callable
from pathlib import Path

from typer.testing import Result

from tests.ensembles.conftest import digit

Cli = Callable[..., Result]


def record(cli: Cli, *words: str) -> dict[str, object]:
    """Return what a command that succeeds prints with `--json`."""
    result = cli(*words, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, object] = json.loads(result.stdout)
    return found


def members(found: dict[str, object]) -> list[dict[str, float]]:
    """Return the members that a record lists."""
    listed = found["members"]
    assert isinstance(listed, list)
    return listed


def some_digits() -> Path:
    """Make the folder `some` of forty digits in folders of their classes."""
    folder = Path("some")
    for n in range(40):
        path = folder / str(n % 10) / f"{n}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        digit(n).save(path)
    return folder
