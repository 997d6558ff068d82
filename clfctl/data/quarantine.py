"""Moving files out of the way, and back: their place is written down before they move, and nothing is overwritten."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

from clfctl.data.check import Finding
from clfctl.errors import DataError
from clfctl.storage.files import append_line, explained, hint_of, move_file, numbered, reason_of

LIST_NAME = "moved.jsonl"


def quarantine(root: Path, finding: Finding, folder: Path) -> Path:
    """Move a file under `root` into a folder, at the same place relative to it; return where it is now.

    Where that name is taken it gets a number. Raises DataError if the file cannot be moved, WriteError if the list
    cannot be written.
    """
    source = Path(os.path.abspath(root), finding.file)  # noqa: PTH100 (resolve would follow a link to elsewhere)
    for target in numbered(folder / finding.file):
        if os.path.lexists(target):
            continue
        line = {"from": str(source), "to": str(target.relative_to(folder)), "kind": finding.kind}
        with explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
        append_line(folder / LIST_NAME, json.dumps(line | {"reason": finding.reason}))
        try:
            move_file(source, target)
        except FileExistsError:
            continue  # another process was faster
        except OSError as error:
            raise DataError(f"{source} cannot be moved to {target}: {reason_of(error)}", hint_of(error)) from None
        return target
    raise AssertionError("numbered() never ends")


def put_back(folder: Path) -> Iterator[tuple[Path, str]]:
    """Move what is listed back to where it was, the latest first; yield (place, why it could not be moved or "").

    Raises DataError if there is no list.
    """
    path = folder / LIST_NAME
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.endswith("}")]
    except (OSError, ValueError) as error:
        raise DataError(f"{path}, the list of what was moved, cannot be read: {error}") from None
    for line in reversed(lines):
        source, target = folder / line["to"], Path(line["from"])
        if not os.path.lexists(source):
            continue  # back already
        try:
            move_file(source, target)
        except FileExistsError:
            yield target, "there is a file of this name again"
        except OSError as error:
            yield target, reason_of(error)
        else:
            yield target, ""
