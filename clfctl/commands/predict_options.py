"""What `clfctl predict` is asked for, and the format that follows from it. No torch, no numpy: TAB reads it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from clfctl.errors import UsageError
from clfctl.settings.groups import OutputSettings

Format = Literal["table", "json", "jsonl", "csv"]
FORMATS: tuple[Format, ...] = ("table", "json", "jsonl", "csv")
SUFFIXES: dict[str, Format] = {".txt": "table", ".json": "json", ".jsonl": "jsonl", ".csv": "csv"}


@dataclass(frozen=True)
class PredictOptions:
    """What to say of each image, where and how; see the options' help. `workers` and `batch_size` 0 choose."""

    top_k: int = 3
    threshold: float = 0.0
    format: str = ""
    output: Path | None = None
    copy_to: Path | None = None
    batch_size: int = 0
    workers: int = 0


def choose_format(options: PredictOptions, output: OutputSettings) -> Format:
    """Return the format that the options ask for. Raises UsageError for one that there is not, or two."""
    if options.format and options.format not in FORMATS:
        raise UsageError(f"--format: {options.format!r} is not allowed; it must be one of {', '.join(FORMATS)}")
    if output.json_lines:
        if options.format not in ("", "jsonl"):
            raise UsageError(f"--json: is --format jsonl, and --format says {options.format}", "give one of the two")
        return "jsonl"
    if options.format:
        return next(each for each in FORMATS if each == options.format)
    if not options.output:
        return "table"
    if options.output.suffix not in SUFFIXES:
        hint = f"let its name end in {', '.join(SUFFIXES)}, or give --format"
        raise UsageError(f"--output: {options.output} does not say in which format", hint)
    return SUFFIXES[options.output.suffix]
