"""Epochs as JSON lines, for scripts."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from clfctl.engine.results import EpochResult
from clfctl.runs import dump_json


class JsonDisplay:
    """One strict JSON object an epoch on standard output; numbers that are not finite are words."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Nothing to end."""

    def add(self, result: EpochResult) -> None:
        """Print a finished epoch."""
        print(dump_json(result.as_record()), flush=True)

    def update_curve(self, curve: Sequence[tuple[float, float]]) -> None:
        """Do nothing: no curve is shown."""
