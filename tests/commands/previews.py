"""What clfctl lr-preview --json prints, as records."""

import json
from typing import Any

from typer.testing import Result


def records(result: Result) -> list[dict[str, Any]]:
    """Return the record of each epoch, or of each batch."""
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def rates(result: Result, key: str = "lr_start") -> list[float]:
    """Return one number of each record, the rate that it begins with."""
    return [record[key] for record in records(result)]
