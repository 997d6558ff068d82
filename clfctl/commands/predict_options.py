"""What `clfctl predict` is asked for, and the format that follows from it. No torch, no numpy: TAB reads it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from clfctl.errors import UsageError

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


def choose_format(options: PredictOptions, *, as_json: bool) -> Format:
    """Return the format that the options ask for. Raises UsageError for an unknown one, or for two."""
    if options.format and options.format not in FORMATS:
        allowed = ", ".join(FORMATS)
        raise UsageError(f"{options.format!r} is not allowed; it must be one of {allowed}", field="format")
    if as_json:
        if options.format not in ("", "jsonl"):
            message = f"is `format=jsonl`, and `format={options.format}` is given"
            raise UsageError(message, "give one of the two", field="json_lines")
        return "jsonl"
    if options.format:
        return next(each for each in FORMATS if each == options.format)
    if not options.output:
        return "table"
    if options.output.suffix not in SUFFIXES:
        hint = f"let its name end in {', '.join(SUFFIXES)}, or give `format=`"
        raise UsageError(f"{options.output} does not say in which format", hint, field="output")
    return SUFFIXES[options.output.suffix]
