"""An ensemble: several models that answer as one, named on a command line or kept in a folder of their own. No torch.

The folder holds its members' checkpoints, so that what becomes of their runs does not change it:

    ensemble.json             how they answer as one, and where each of them is from
    members/NAME.safetensors  the checkpoint of each
    model.onnx                the whole, for ONNX Runtime
    eval/                     evaluations, one folder each
"""

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import xxhash

from clfctl.errors import CheckpointError, DamagedError, UsageError
from clfctl.runs.folder import (
    CHECKPOINT_SUFFIX,
    ENSEMBLE,
    ONNX_SUFFIX,
    RunFolder,
    checkpoint_file,
    open_run,
    run_of,
)
from clfctl.runs.header import checksum_of
from clfctl.settings.ensembles import RULES, USUAL, Rule
from clfctl.storage.files import reason_of
from clfctl.storage.names import shell

MEMBERS, FORMAT = "members", 1
# A curve or a column has a letter to be told by, and there are so many.
MOST = 26


@dataclass(frozen=True)
class Member:
    """A model of an ensemble: the run, checkpoint or .onnx file at `path`, called `name`.

    `run` is the run that the checkpoint is from, where that is another place; it may be gone.
    """

    path: Path
    name: str
    run: Path | None = None


@dataclass(frozen=True)
class Ensemble:
    """Models that answer as one, by a rule. `weights` are those of `weighted`, of sum 1, in the members' order.

    `folder` is where it is kept, None: nowhere. `fitted` says how the weights came about, as JSON.
    """

    members: tuple[Member, ...]
    rule: Rule = USUAL
    weights: tuple[float, ...] = ()
    folder: "EnsembleFolder | None" = None
    fitted: Mapping[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """What it is called: its folder, or its members."""
        return str(self.folder.path) if self.folder else ", ".join(each.name for each in self.members)

    @property
    def shares(self) -> tuple[float, ...]:
        """How much each member counts: the weights, or all the same."""
        return self.weights or (1 / len(self.members),) * len(self.members)

    def made_of(self) -> str:
        """Return what tells it from every other: a digest of its rule, its weights and its members' checkpoints.

        Raises OSError or ValueError if a member's checkpoint has no checksum, UsageError if it is no checkpoint.
        """
        files = [checkpoint_of(each)[1] for each in self.members]
        parts = [self.rule, *map(repr, self.weights), *map(checksum_of, files)]
        return xxhash.xxh3_128_hexdigest("\n".join(parts).encode())


# Whatever can be asked about images: a run, a checkpoint, an .onnx file, the folder of an ensemble, or several of them.
Model = Path | Ensemble


@dataclass(frozen=True)
class EnsembleFolder:
    """The files of an ensemble that is kept."""

    path: Path

    @property
    def file(self) -> Path:
        """What it is made of, a JSON object."""
        return self.path / ENSEMBLE

    @property
    def members(self) -> Path:
        """Folder of the members' checkpoints."""
        return self.path / MEMBERS

    @property
    def onnx(self) -> Path:
        """The whole, as it was when this was made, for ONNX Runtime."""
        return self.path / f"model{ONNX_SUFFIX}"

    @property
    def eval(self) -> Path:
        """Folder of evaluations, one folder each."""
        return self.path / "eval"


def is_ensemble(path: Path) -> bool:
    """Return whether a path is the folder of an ensemble."""
    return EnsembleFolder(path).file.is_file()


def read_ensemble(path: Path) -> Ensemble:
    """Return the ensemble that a folder keeps. Raises DamagedError if it cannot be read or lacks a member."""
    folder = EnsembleFolder(path)
    again = f"make it again with: {shell('ensemble')} RUN RUN"
    try:
        found = json.loads(folder.file.read_text(encoding="utf-8"))
        if found["format"] > FORMAT:
            raise CheckpointError(f"{path} was written by a newer clfctl (format {found['format']})", "update clfctl")
        ensemble = _ensemble_of(folder, found)
    except OSError as error:
        raise DamagedError(f"{folder.file} cannot be read: {reason_of(error)}", again) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedError(f"{folder.file} is not what clfctl ensemble wrote: {error}", again) from None
    for each in ensemble.members:
        if not each.path.is_file():
            raise DamagedError(f"{path} lacks the checkpoint of one of its members, {each.path}", again)
    return ensemble


def ensemble_in(model: Model) -> Ensemble | None:
    """Return the ensemble that was named or that a folder keeps, None for a single model. Raises DamagedError."""
    if isinstance(model, Ensemble):
        return model
    return read_ensemble(model) if is_ensemble(model) else None


def as_json(ensemble: Ensemble, classes: Sequence[str], version: str) -> dict[str, Any]:
    """Return what `read_ensemble` reads. `classes` are for people: what all members know."""
    return {
        "format": FORMAT,
        "clfctl": version,
        "rule": ensemble.rule,
        "weights": list(ensemble.weights),
        "fitted": dict(ensemble.fitted),
        "classes": list(classes),
        "members": [
            {"name": each.name, "checkpoint": f"{MEMBERS}/{each.path.name}", "run": str(each.run) if each.run else ""}
            for each in ensemble.members
        ],
    }


def _ensemble_of(folder: EnsembleFolder, found: Mapping[str, Any]) -> Ensemble:
    members = []
    for each in found["members"]:
        # No path of the file leads anywhere but into the folder: it may be a stranger's.
        file = folder.members / Path(each["checkpoint"]).name
        if file.suffix != CHECKPOINT_SUFFIX:
            raise ValueError(f"{each['checkpoint']!r} is not a checkpoint")
        run = str(each.get("run", ""))
        members.append(Member(file, str(each["name"]), folder.path / run if run else None))
    weights = tuple(float(each) for each in found.get("weights", ()))
    rule = found["rule"]
    if rule not in RULES:
        raise ValueError(f"its rule is {rule!r}, which this version of clfctl does not know")
    if len(members) < 2:
        raise ValueError("it has fewer than two members")
    if len(weights) != (len(members) if rule == "weighted" else 0):
        raise ValueError(f"it has {len(members)} members and {len(weights)} weights")
    if weights and not (min(weights) >= 0 and math.isclose(sum(weights), 1, abs_tol=1e-6)):
        raise ValueError("its weights are no shares")
    return Ensemble(tuple(members), rule, weights, folder, dict(found.get("fitted", {})))


def model_from(paths: Sequence[Path], rule: Rule | None = None, *, fits: bool = False) -> Model:
    """Return what one or several paths name: that path itself, or an ensemble of all of them.

    Who `fits` the weights that `weighted` needs is given an ensemble without them.
    Raises UsageError for a rule without several models, for one that is named twice, and for more than are allowed.
    """
    if len(paths) == 1:
        if rule is not None:
            have = f"{paths[0]} is an ensemble, and keeps how its members answer as one"
            what = have if is_ensemble(paths[0]) else f"one model, {paths[0]}, is no ensemble"
            raise UsageError(what, "name two or more runs", field="ensemble")
        return paths[0]
    check_members(paths)
    if rule == "weighted" and not fits:
        hint = f"{shell('ensemble')} RUN RUN `ensemble=weighted` fits them on validation images, and keeps them"
        raise UsageError("runs that are named have no weights", hint, field="ensemble")
    return Ensemble(tuple(map(Member, paths, names_of(paths))), rule or USUAL)


def checkpoint_of(member: Member, which: str = "best") -> tuple[RunFolder, Path]:
    """Return the run of a member, and its checkpoint: `which` of the run, best or last, unless it is a file itself.

    The run of a member that an ensemble keeps may be gone: it is then as if it had lain where the ensemble does. Raises
    UsageError if the member has no checkpoint, as an .onnx file.
    """
    if member.path.suffix == CHECKPOINT_SUFFIX and member.path.is_file():
        for place in filter(None, (member.run, member.path)):
            with suppress(UsageError):
                return open_run(place), member.path
        return run_of(member.path.absolute()), member.path
    if member.path.suffix == ONNX_SUFFIX:
        what = f"{member.path} is no run and no checkpoint"
        raise UsageError(what, "an .onnx file can only be asked, with clfctl predict")
    run = open_run(member.path)
    return run, checkpoint_file(run, which)


def check_members(paths: Sequence[Path]) -> None:
    """Raise UsageError if these cannot be the members of an ensemble, without reading them."""
    if not 2 <= len(paths) <= MOST:
        what = f"{len(paths)} model{'' if len(paths) == 1 else 's'} for an ensemble"
        raise UsageError(f"{what}; it must be 2 to {MOST}", f"{shell('runs')} lists the runs that there are")
    seen = set[Path]()
    for path in paths:
        if path.resolve() in seen:
            raise UsageError(f"{path} is named twice", "name another run, or another checkpoint of the same one")
        if is_ensemble(path):
            hint = "name its members' runs, or ask it alone"
            raise UsageError(f"{path} is an ensemble, and cannot be a member of one", hint)
        seen.add(path.resolve())


def names_of(paths: Sequence[Path]) -> list[str]:
    """Return a name of each model that no other has: that of its folder or file, with as much before it as it takes."""
    wholes = [path.resolve() for path in paths]
    for n in range(1, max(len(whole.parts) for whole in wholes) + 1):
        short = [str(Path(*whole.parts[-n:])) for whole in wholes]
        if len({*short}) == len(short):
            return short
    return [str(path) for path in paths]


def about_idle(shares: Mapping[str, float]) -> list[str]:
    """Return a warning of the members that hardly count, by their share in the whole; none where there are none."""
    idle = [name for name, share in shares.items() if round(share, 3) == 0]
    if not idle:
        return []
    others = [name for name in shares if name not in idle]
    instead = f"use {others[0]} alone" if len(others) == 1 else "leave out what does not count"
    have = "has" if len(idle) == 1 else "have"
    return [f"Warning: {' and '.join(idle)} {have} a weight of 0.000, which costs time for nothing: {instead}."]


def find_ensembles(folder: Path) -> list[Path]:
    """Return the ensembles in `folder`, newest first."""
    try:
        found = [entry for entry in folder.iterdir() if is_ensemble(entry)]
        return sorted(found, key=lambda each: EnsembleFolder(each).file.stat().st_mtime, reverse=True)
    except OSError:
        return []
