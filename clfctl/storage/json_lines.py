"""Strict JSON, one object a line: how numbers are written, and what a file that was cut short still says."""

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from clfctl.storage.files import append_line, write_text
from clfctl.storage.names import in_json


def dump_json(value: Any) -> str:
    """Return strict JSON on one line, which UTF-8 can hold whatever a file or a class is called.

    Floats that JSON has no number for are the words "nan", "inf" and "-inf".
    """
    return in_json(json.dumps(_in_words(value), allow_nan=False, ensure_ascii=False))


def _in_words(value: Any) -> Any:
    match value:
        case float() if not math.isfinite(value):
            return str(value)
        case dict():
            return {key: _in_words(each) for key, each in value.items()}
        case list() | tuple():
            return [_in_words(each) for each in value]
    return value


def write_json_lines(path: Path, records: Iterable[dict[str, Any]]) -> None:
    """Write one JSON object a line. Raises WriteError; the old file is untouched then."""
    write_text(path, "".join(dump_json(record) + "\n" for record in records))


def append_json_line(path: Path, record: dict[str, Any]) -> None:
    """Add one JSON object as a line. Raises WriteError; there may be half a line then."""
    append_line(path, dump_json(record))


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Return the JSON objects of a file up to the first line that is not one (half of one, where a disk was full).

    None if the file does not exist.
    """
    records: list[dict[str, Any]] = []
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return records
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            break
        if not isinstance(record, dict):
            break
        records.append(record)
    return records
