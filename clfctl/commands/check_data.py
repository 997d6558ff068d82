"""clfctl check-data: what is wrong with the images of a folder or a table, before training meets it. No torch."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from clfctl.data.check import check_files
from clfctl.data.findings import HARMLESS, Finding
from clfctl.data.quarantine import LIST_NAME, carry_out, plan_moves, put_back
from clfctl.data.sources.manifest import is_manifest
from clfctl.data.sources.names import about_name, is_named
from clfctl.data.subject import Subject, of_folder, of_table
from clfctl.data.workers import n_cores
from clfctl.display.output import Output
from clfctl.errors import UsageError
from clfctl.settings.data import DataSettings
from clfctl.settings.running import RunsDirSettings

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class CheckOptions:
    """What is to be done: `quarantine` is a folder for what is found, `workers` 0 is one a core."""

    quarantine: Path | None
    undo: bool
    min_size: int
    workers: int


def check_data(root: Path, options: CheckOptions, output: Output) -> bool:
    """Decode every image of a folder, or of a table, and print what is wrong; return whether anything is."""
    _check_usage(root, options)
    if options.undo and options.quarantine:
        return _undo(root, options.quarantine, output)
    started = time.perf_counter()
    subject = of_table(root) if is_manifest(str(root)) else of_folder(root, RunsDirSettings().runs_dir)
    notes = (*about_name(str(root), DataSettings().data_dir), *subject.notes)
    output.note(*(f"Note   {each}" for each in notes))
    findings = [*subject.links, *_check(subject, options, output)]
    moves = plan_moves(root, findings, options.quarantine) if options.quarantine else []
    moved: dict[str, Path] = {}
    try:
        if options.quarantine:
            carry_out(root, moves, options.quarantine)
            moved = {each.finding.file: each.target for each in moves}
    finally:
        _print(findings, moved, output)
        took = f"{len(subject.names)} images checked in {time.perf_counter() - started:.1f} s"
        output.note(f"{took}: {_counted(findings)}.")
        if moved:
            back = f"clfctl check-data {quote(str(root))} `quarantine={options.quarantine}` `undo=True`"
            output.note(f"{len(moved)} files moved to {options.quarantine}. To move them back: {back}")
    return any(each.kind != HARMLESS for each in findings)


def _check_usage(root: Path, options: CheckOptions) -> None:
    if options.undo and not options.quarantine:
        raise UsageError("needs `quarantine=`", "give the folder that the files were moved to", field="undo")
    if is_manifest(str(root)):
        if options.quarantine and not options.undo:
            hint = "take the rows out of the table instead; `json_lines=True` names the files"
            raise UsageError("is for folders: a table would still list what was moved", hint, field="quarantine")
    elif not root.is_dir():
        if is_named(str(root), DataSettings().data_dir):
            raise UsageError(f"{root} is a data set known by name, without files to check", "give a folder of images")
        reason = "is not a folder" if root.exists() else "does not exist"
        raise UsageError(f"{root} {reason}", "give a folder of images")
    elif options.quarantine and options.quarantine.resolve().is_relative_to(root.resolve()):
        hint = "choose a folder outside of it: in the data folder its files would still be trained on"
        raise UsageError(f"{options.quarantine} lies in the data folder", hint, field="quarantine")


def _check(subject: Subject, options: CheckOptions, output: Output) -> list[Finding]:
    with output.bar("Checking images", len(subject.names)) as advance:
        return check_files(
            subject.root,
            subject.names,
            subject.place_of,
            subject.file_of,
            workers=options.workers or n_cores(),
            min_size=options.min_size,
            on_files=advance,
        )


def _print(findings: list[Finding], moved: dict[str, Path], output: Output) -> None:
    def record(each: Finding) -> dict[str, object]:
        return asdict(each) | ({"moved_to": str(moved[each.file])} if each.file in moved else {})

    def table(console: "Console") -> None:
        from clfctl.display.check_table import print_findings

        print_findings(findings, console)

    output.result(
        json=lambda: map(record, findings),
        plain=lambda: (f"{each.kind}  {each.file}  {each.reason}" for each in findings),
        rich=table if findings else None,
    )


def _counted(findings: list[Finding]) -> str:
    n_beside = sum(each.kind == HARMLESS for each in findings)
    n_wrong = len(findings) - n_beside
    words = f"{n_wrong} with something wrong" if n_wrong else "nothing is wrong"
    return f"{words}; {n_beside} beside the data are copies, and stay there" if n_beside else words


def _undo(root: Path, folder: Path, output: Output) -> bool:
    """Move everything back; return whether something stayed."""
    n_back, n_left = 0, 0
    for place, reason in put_back(root, folder):
        n_back, n_left = n_back + (not reason), n_left + bool(reason)
        if reason:
            output.note(f"{place} was not moved back: {reason}")
    output.note(f"{n_back} files moved back" + (f", {n_left} left; see {folder / LIST_NAME}" if n_left else ""))
    return n_left > 0
