"""clfctl check-data: what is wrong with the images of a folder or a table, before training meets it. No torch."""

import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from clfctl.data.check import Finding, Place, check_files, place_in_folder
from clfctl.data.quarantine import LIST_NAME, put_back, quarantine
from clfctl.data.sources.index import Paths
from clfctl.data.sources.manifest import is_manifest, read_manifest
from clfctl.data.sources.names import about_name, is_named
from clfctl.data.sources.walk import image_names
from clfctl.data.workers import n_cores
from clfctl.display.output import Output
from clfctl.errors import DataError, UsageError
from clfctl.settings.groups import DataSettings

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Subject:
    """The images to check: `names` relative to `root`, and where each belongs."""

    root: str
    names: Sequence[str]
    place_of: Callable[[int], Place]


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
        return _undo(options.quarantine, output)
    output.note(*(f"Note   {each}" for each in about_name(str(root), DataSettings().data_dir)))
    started = time.perf_counter()
    subject = _of_table(root) if is_manifest(str(root)) else _of_folder(root)
    findings = _check(subject, options, output)
    moved: dict[str, Path] = {}
    try:
        if options.quarantine:
            for each in findings:
                moved[each.file] = quarantine(root, each, options.quarantine)
    finally:
        _print(findings, moved, output)
        took = f"{len(subject.names)} images checked in {time.perf_counter() - started:.1f} s"
        output.note(f"{took}: {_counted(findings)}.")
        if moved:
            back = f"clfctl check-data {quote(str(root))} `quarantine={quote(str(options.quarantine))}` `undo=True`"
            output.note(f"{len(moved)} files moved to {options.quarantine}. To move them back: {back}")
    return bool(findings)


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


def _of_folder(root: Path) -> Subject:
    names = list(image_names(str(root)))
    if not names:
        raise DataError(f"{root} has no images", "image files are recognized by their endings, such as .jpg and .png")
    has_parts = (root / "train").is_dir()
    return Subject(str(root), names, lambda index: place_in_folder(names[index], has_parts))


def _of_table(path: Path) -> Subject:
    found = read_manifest(path)
    parts = list(found.parts.items())
    ends = list(accumulate(len(images.paths) for _, images in parts))

    def place_of(number: int) -> Place:
        which = bisect_right(ends, number)
        name, images = parts[which]
        return Place(name, found.classes[images.labels[number - ends[which] + len(images.paths)]])

    names = [each for _, images in parts if isinstance(images.paths, Paths) for each in images.paths.names]
    return Subject(str(path.parent), names, place_of)


def _check(subject: Subject, options: CheckOptions, output: Output) -> list[Finding]:
    with output.bar("Checking images", len(subject.names)) as advance:
        return check_files(
            subject.root,
            subject.names,
            subject.place_of,
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
    return f"{len(findings)} with something wrong" if findings else "nothing is wrong"


def _undo(folder: Path, output: Output) -> bool:
    """Move everything back; return whether something stayed."""
    n_back, n_left = 0, 0
    for place, reason in put_back(folder):
        n_back, n_left = n_back + (not reason), n_left + bool(reason)
        if reason:
            output.note(f"{place} was not moved back: {reason}")
    output.note(f"{n_back} files moved back" + (f", {n_left} left; see {folder / LIST_NAME}" if n_left else ""))
    return n_left > 0
