"""Which run a run is a branch of: a file in its folder, and the family that several make."""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from clfctl.runs.folder import RunFolder
from clfctl.storage.files import write_text
from clfctl.storage.json_lines import dump_json


@dataclass(frozen=True)
class Trunk:
    """The run that another was branched from, after `epoch` epochs and `batch` of `n_batches` batches of the next."""

    path: Path
    epoch: int
    batch: int = 0
    n_batches: int = 1

    @property
    def t(self) -> float:
        """When it was, in epochs."""
        return self.epoch + self.batch / self.n_batches


def from_words(trunk: Trunk) -> str:
    """Return where a branch leaves its trunk: `of x after epoch 5`, `of x after 4.3 epochs`."""
    where = f"epoch {trunk.epoch}" if not trunk.batch else f"{trunk.t:.3g} epochs"
    return f"of {trunk.path.name} after {where}"


class Relative(Protocol):
    """What may be a branch of another."""

    @property
    def path(self) -> Path:
        """Its folder."""

    @property
    def trunk(self) -> Trunk | None:
        """What it is a branch of."""


S = TypeVar("S", bound=Relative)


def write_trunk(run: RunFolder, trunk: Trunk) -> None:
    """Write down what a run is a branch of, by the way from its folder. Raises WriteError."""
    try:
        way = os.path.relpath(trunk.path.resolve(), run.path.resolve())
    except ValueError:  # another drive of Windows
        way = str(trunk.path.resolve())
    record = {"trunk": way, "epoch": trunk.epoch, "batch": trunk.batch, "n_batches": trunk.n_batches}
    write_text(run.branch, dump_json(record) + "\n")


def trunk_of(run: RunFolder) -> Trunk | None:
    """Return what a run is a branch of, None if of none; what cannot be read is none."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        found = json.loads(run.branch.read_text(encoding="utf-8"))
        path = (run.path.resolve() / str(found["trunk"])).resolve()
        return Trunk(path, int(found["epoch"]), int(found["batch"]), max(1, int(found["n_batches"])))
    return None


def in_families(states: Sequence[S]) -> Iterator[tuple[S, str]]:
    """Yield each run, a branch after its trunk, with what is drawn before its name: "", `├─ `, `│  └─ `.

    Trunks keep their order; the branches of one are in the order of where they leave it. One whose trunk is not among
    the runs stands by itself.
    """
    found = [(state.path.resolve(), state) for state in states]
    places = {path for path, _ in found}
    trunks = {path: state.trunk for path, state in found if state.trunk and state.trunk.path in places}
    trunks = {path: trunk for path, trunk in trunks.items() if _has_root(path, trunks)}
    below: dict[Path | None, list[tuple[Path, S]]] = {}
    for path, state in sorted(found, key=lambda each: trunks[each[0]].t if each[0] in trunks else 0.0):
        below.setdefault(trunks[path].path if path in trunks else None, []).append((path, state))
    for path, state in below.get(None, []):
        yield state, ""
        yield from _branches(below.pop(path, []), below, "")  # once, where a run has two names


def _has_root(path: Path, trunks: Mapping[Path, Trunk]) -> bool:
    """Return whether the way from trunk to trunk ends: files that were edited may lead round in a circle."""
    seen = {path}
    while trunk := trunks.get(path):
        path = trunk.path
        if path in seen:
            return False
        seen.add(path)
    return True


def _branches(
    found: Sequence[tuple[Path, S]], below: dict[Path | None, list[tuple[Path, S]]], before: str
) -> Iterator[tuple[S, str]]:
    for number, (path, state) in enumerate(found, 1):
        is_last = number == len(found)
        yield state, f"{before}{'└─ ' if is_last else '├─ '}"
        yield from _branches(below.pop(path, []), below, f"{before}{'   ' if is_last else '│  '}")
