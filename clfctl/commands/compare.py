"""clfctl compare: runs beside each other, in tables, curves, a page, and a word on which to deploy."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clfctl.api.comparing import compared
from clfctl.comparing.comparison import Comparison
from clfctl.display.output import Output
from clfctl.engine.signals import stopping_at_once
from clfctl.errors import UsageError
from clfctl.settings.groups import EvalSettings
from clfctl.storage.names import shortened

if TYPE_CHECKING:
    from rich.console import Console

FOLDER, RECORD = "compare", "compare.json"
_LONGEST = 120


@dataclass(frozen=True)
class CompareOptions:
    """What is compared, and how: `measure` on images, sorted by `sort`, written into a folder, None: a usual one."""

    runs: Sequence[Path]
    measure: bool = True
    sort: str = ""
    folder: Path | None = None


def compare(options: CompareOptions, settings: EvalSettings, output: Output) -> None:
    """Compare runs, print what differs, and write the page and its pictures."""
    if options.folder is not None and options.folder.exists() and not _is_ours(options.folder):
        hint = "name a folder that does not exist yet, or one of an earlier comparison"
        raise UsageError(f"{options.folder} exists already, and is no comparison", hint, field="output")
    with stopping_at_once("nothing was written"):
        found = compared(options.runs, settings, output.onlookers(), measure=options.measure, sort=options.sort)
        output.note(*found.notes)
        folder = options.folder or usual_folder(found)
        _print(found, folder, settings.top, output)
        place = next(each for each in (folder.parent, *folder.parent.parents) if each.exists())
        if options.folder or os.access(place, os.W_OK):
            _write(found, folder, output)
        else:
            output.note(f"Nothing is saved: {place} is read-only; `output=` names another folder.")


def usual_folder(found: Comparison) -> Path:
    """Return where a comparison is written: beside the first of the runs as they are shown, called as all of them.

    Where another comparison is called so, of runs of the same names or on other images, it gets a name of its own.
    """
    runs = [side.entry.run.path for side in found.sides]
    whole = "-".join(sorted(side.name.replace(os.sep, "_") for side in found.sides))
    name = shortened(whole, most=_LONGEST, digest=found.id)
    folder = sorted(runs)[0].parent / FOLDER / name
    return folder if _id_in(folder) in ("", found.id) else folder.with_name(f"{name}-{found.id[:6]}")


def _id_in(folder: Path) -> str:
    """Return which comparison a folder has, empty if it has none, or an early one that does not say."""
    try:
        return str(json.loads((folder / RECORD).read_text(encoding="utf-8")).get("id", ""))
    except (OSError, ValueError, AttributeError):
        return ""


def _is_ours(folder: Path) -> bool:
    return folder.is_dir() and ((folder / RECORD).is_file() or not any(folder.iterdir()))


def _print(found: Comparison, folder: Path, top: int, output: Output) -> None:
    from clfctl.display.compare_text import plain_lines, print_comparison

    def tables(console: "Console") -> None:
        print_comparison(found, top, console, output.spelled)

    output.result(
        json=lambda: [{**found.as_record(), "folder": str(folder)}],
        plain=lambda: plain_lines(found, top, output.spelled),
        rich=tables,
    )


def _write(found: Comparison, folder: Path, output: Output) -> None:
    from clfctl.display.compare_report import save_comparison

    written = save_comparison(folder, found, output.spelled)
    output.note(f"Wrote {folder / written[0]}", f"  and beside it {', '.join(written[1:])}")
