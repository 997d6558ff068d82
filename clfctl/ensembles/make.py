"""An ensemble in a folder of its own: its members' checkpoints, how they answer as one, and the whole as model.onnx."""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from clfctl.data.onlookers import Onlookers
from clfctl.engine.device import pick_device
from clfctl.ensembles.evaluate import fit_on
from clfctl.ensembles.members import Answered, ask_members, classes_of_files
from clfctl.errors import ClfctlError, StoppedAtOnce, UsageError
from clfctl.evaluation.record import Fitted
from clfctl.inference.combining import Joined
from clfctl.inference.packages import missing_packages
from clfctl.inference.write_onnx import Exported
from clfctl.inference.write_whole import write_whole
from clfctl.runs.ensemble import (
    Ensemble,
    EnsembleFolder,
    Member,
    as_json,
    checkpoint_of,
    model_from,
    read_ensemble,
)
from clfctl.runs.folder import CHECKPOINT_SUFFIX, RunFolder, check_new_run, names_in
from clfctl.settings.ensembles import USUAL, KeptEnsembleSettings, Rule
from clfctl.settings.groups import EvalSettings
from clfctl.storage.files import explained, keep_beside, numbered, write_text
from clfctl.storage.folders import making_folder
from clfctl.storage.json_lines import dump_json
from clfctl.storage.names import shell, shortened
from clfctl.version import __version__

USUAL_NAME = "ensemble-{n}"
NO_IMAGES = "train them on the same data with one seed, or take equal weights: `ensemble=mean`"


@dataclass(frozen=True)
class MadeEnsemble:
    """An ensemble that was made: its folder, rule and classes, and how much each of its members counts, by name.

    `fitted` says how the weights came about, None where all are the same; `exported` is its model.onnx, if it has one.
    """

    folder: Path
    rule: Rule
    classes: tuple[str, ...]
    members: dict[str, float]
    fitted: Fitted | None
    exported: Exported | None


def make_ensemble(paths: Sequence[Path], options: KeptEnsembleSettings, to: Onlookers) -> MadeEnsemble:
    """Make an ensemble of runs or checkpoints, in a folder of its own, and return what it is.

    The weights of `weighted` are fitted on all validation images that the runs have in common. Nothing is made if a run
    cannot be used. Raises ClfctlError.
    """
    named = model_from(paths, options.ensemble or USUAL, fits=True)
    assert isinstance(named, Ensemble)
    places = [checkpoint_of(each) for each in named.members]
    joined = classes_of_files(named, [file for _, file in places])
    runs_dir = options.runs_dir or places[0][0].path.parent
    check_new_run(runs_dir, options.run_name)
    if runs_dir.exists() and not runs_dir.is_dir():
        raise UsageError(f"{runs_dir} is not a folder", field="runs_dir")
    if options.device:
        pick_device(options.device)  # also where no weights are fitted on it: a slip is told, not passed over
    fitted = None
    if named.rule == "weighted":
        wanted = EvalSettings(data=options.data, device=options.device)
        answered = ask_members(named, wanted, to, instead=NO_IMAGES)
        _check_own(answered, options.data)
        for note in answered.notes:
            to.tell(note)
        fitted = fit_on(answered).fitted
        named = replace(named, weights=fitted.weights, fitted=asdict(fitted))
    folder = _made(runs_dir, options.run_name, partial(_write, named=named, places=places, joined=joined))
    kept = read_ensemble(folder.path)
    try:
        exported = _export(kept, to) if options.export else None
    except StoppedAtOnce as stopped:
        stopped.hint = f"{folder.path} is whole, without {folder.onnx.name}; {shell('export', folder.path)} writes it"
        raise
    members = {each.name: share for each, share in zip(kept.members, kept.shares, strict=True)}
    return MadeEnsemble(folder.path, kept.rule, joined.classes, members, fitted, exported)


def _check_own(answered: Answered, data: str | None) -> None:
    """Raise UsageError if no member held these images out: `eval` of the ensemble would take them for new ones."""
    if not any(each.chosen.is_of_run for each in answered.measured):
        what = f"{data} has not the images of any of these runs, and weights are fitted on what they hold out"
        raise UsageError(what, "leave it out; `clfctl eval` measures an ensemble on other images", field="data")


def _made(runs_dir: Path, name: str, write: Callable[[EnsembleFolder], None]) -> EnsembleFolder:
    """Write a folder under the first name that is free, and return it; another process may take one meanwhile."""
    for path in names_in(runs_dir, name or USUAL_NAME):
        with suppress(FileExistsError):
            if not path.exists():
                write(folder := EnsembleFolder(path))
                return folder
    check_new_run(runs_dir, name)  # the only name is taken, which it says
    raise AssertionError(f"{runs_dir / name} is gone again")


def _write(folder: EnsembleFolder, named: Ensemble, places: Sequence[tuple[RunFolder, Path]], joined: Joined) -> None:
    """Write the folder, whole or not at all. Raises FileExistsError if its name is taken meanwhile, WriteError."""
    with making_folder(folder.path) as new:
        inside = EnsembleFolder(new)
        members = []
        with explained(inside.members):
            inside.members.mkdir()
            for each, (run, file) in zip(named.members, places, strict=True):
                target = next(path for path in numbered(_file_of(inside, each.name)) if not path.exists())
                keep_beside(file, target)
                way = os.path.relpath(run.path.resolve(), folder.path.resolve())
                members.append(Member(target, each.name, Path(way)))
        record = as_json(replace(named, members=tuple(members)), joined.classes, __version__)
        write_text(inside.file, dump_json(record) + "\n")


def _file_of(folder: EnsembleFolder, name: str) -> Path:
    """Return the checkpoint of a member, by its name."""
    plain = name.removesuffix(CHECKPOINT_SUFFIX).replace(os.sep, "_").lstrip(".") or "member"
    return folder.members / f"{shortened(plain)}{CHECKPOINT_SUFFIX}"


def _export(ensemble: Ensemble, to: Onlookers) -> Exported | None:
    """Write the whole as model.onnx if that is possible; what keeps it from being written is told."""
    if missing_packages() or not ensemble.folder:
        return None
    try:
        return write_whole(ensemble, ensemble.folder.onnx)
    except UsageError:
        raise
    except Exception as error:  # the ensemble is whole without it
        what = str(error) if isinstance(error, ClfctlError) else f"{type(error).__name__}: {error}"
        to.tell(f"{ensemble.folder.onnx.name} was not written: {what}. The ensemble is whole without it.")
        return None
