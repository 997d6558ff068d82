"""Epochs as JSON lines, for scripts."""

from clfctl.display.base import Display
from clfctl.runs.history import EpochResult
from clfctl.storage.json_lines import dump_json


class JsonDisplay(Display):
    """One strict JSON object an epoch on standard output; numbers that are not finite are words."""

    def add(self, result: EpochResult) -> None:
        """Print a finished epoch."""
        print(dump_json(result.as_record()), flush=True)
