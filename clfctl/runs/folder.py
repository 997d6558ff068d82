"""The run folder: its name, its paths, its history and how numbers are written in JSON. No torch here."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from clfctl.errors import ClfctlError, UsageError
from clfctl.storage.names import shell

INGREDIENT, KEPT = "epoch-", "kept-"
CHECKPOINT_SUFFIX, ONNX_SUFFIX = ".safetensors", ".onnx"
ENSEMBLE = "ensemble.json"  # what is in the folder of an ensemble, see `runs/ensemble.py`


@dataclass(frozen=True)
class RunFolder:
    """The files of one run."""

    path: Path

    @property
    def config(self) -> Path:
        """Every setting, as TOML that `--config` reads."""
        return self.path / "config.toml"

    @property
    def classes(self) -> Path:
        """Class names in the order of the model's outputs, a JSON list."""
        return self.path / "classes.json"

    @property
    def history(self) -> Path:
        """One JSON object a line an epoch."""
        return self.path / "history.jsonl"

    @property
    def rates(self) -> Path:
        """Learning rates that the optimizer had, batch by batch, one JSON object a line an epoch."""
        return self.path / "rates.jsonl"

    @property
    def windows(self) -> Path:
        """Mean loss and gradient norm of some batches at a time, one JSON object a line."""
        return self.path / "windows.jsonl"

    @property
    def data(self) -> Path:
        """Names and sizes of the images that it was begun with."""
        return self.path / "data.tsv.gz"

    @property
    def changes(self) -> Path:
        """What was changed when it was resumed, one JSON object a line."""
        return self.path / "changes.jsonl"

    @property
    def environment(self) -> Path:
        """Versions, device and git commit that the run was made with."""
        return self.path / "environment.json"

    @property
    def launch(self) -> Path:
        """Which launch of torchrun began it, a JSON object; what one process began has none."""
        return self.path / "launch.json"

    @property
    def teacher(self) -> Path:
        """Checkpoint that it learns from and the checksum of that, a JSON object."""
        return self.path / "teacher.json"

    @property
    def lock(self) -> Path:
        """Locked by the process that trains the run."""
        return self.path / "lock"

    @property
    def end(self) -> Path:
        """Why the latest process stopped before the run's end, a JSON object."""
        return self.path / "end.json"

    @property
    def bad_images(self) -> Path:
        """Images that could not be read, one JSON object a line."""
        return self.path / "bad_images.jsonl"

    @property
    def bad_batch(self) -> Path:
        """The batch whose loss was not finite, a JSON object."""
        return self.path / "bad_batch.json"

    @property
    def last(self) -> Path:
        """Checkpoint to go on from; its predecessor lies beside it."""
        return self.path / "checkpoints" / f"last{CHECKPOINT_SUFFIX}"

    @property
    def best(self) -> Path:
        """Checkpoint of the best epoch."""
        return self.path / "checkpoints" / f"best{CHECKPOINT_SUFFIX}"

    def ingredient(self, epoch: int) -> Path:
        """Weights of one of the best epochs, from 1, that are kept for a soup."""
        return self.best.with_name(f"{INGREDIENT}{epoch}{CHECKPOINT_SUFFIX}")

    def ingredients(self) -> list[Path]:
        """All weights that are kept for a soup."""
        return sorted(self.best.parent.glob(f"{INGREDIENT}*{CHECKPOINT_SUFFIX}"))

    def kept(self, epoch: int) -> Path:
        """Whole checkpoint of the end of an epoch, from 1, that is kept to branch from."""
        return self.last.with_name(f"{KEPT}{epoch}{CHECKPOINT_SUFFIX}")

    def all_kept(self) -> dict[int, Path]:
        """All whole checkpoints that are kept, by their epochs."""
        found = {path.stem.removeprefix(KEPT): path for path in self.last.parent.glob(f"{KEPT}*{CHECKPOINT_SUFFIX}")}
        return {int(epoch): found[epoch] for epoch in sorted(filter(str.isdecimal, found), key=int)}

    @property
    def branch(self) -> Path:
        """What it is a branch of, a JSON object; a run that is none has none."""
        return self.path / "branch.json"

    @property
    def soup(self) -> Path:
        """What came of the soup, a JSON object."""
        return self.path / "soup.json"

    @property
    def probe(self) -> Path:
        """What a probe found of every network, a JSON list; a run that was trained has none."""
        return self.path / "probe.json"

    @property
    def chosen(self) -> Path:
        """Checkpoint to use: the best, or the last where there is none."""
        return self.best if self.best.is_file() else self.last

    @property
    def onnx(self) -> Path:
        """The checkpoint to use, as it was when this was made, for ONNX Runtime."""
        return self.path / f"model{ONNX_SUFFIX}"

    @property
    def plots(self) -> Path:
        """Folder of the PNG plots."""
        return self.path / "plots"

    @property
    def eval(self) -> Path:
        """Folder of evaluations, one folder each."""
        return self.path / "eval"


def _nothing(folder: Path) -> Sequence[Path]:  # noqa: ARG001 (what stands in for it takes one)
    return ()


def run_of(checkpoint: Path) -> RunFolder:
    """Return the run that a checkpoint lies in, if it lies where a run has its checkpoints."""
    return RunFolder(checkpoint.parent.parent)


def checkpoint_file(run: RunFolder, which: str) -> Path:
    """Return the file of `best`, `last` or a path. Raises UsageError if there is no such file."""
    match which:
        case "best":
            # A run without validation has no best one: its last answers.
            return run.chosen
        case "last":
            return run.last
    file = Path(which)
    if not file.is_file():
        what = "is not a file" if file.exists() else "does not exist"
        hint = "give best, last, or a checkpoint file (.safetensors)"
        raise UsageError(f"{file} {what}", hint, field="checkpoint")
    return next((each for each in (run.best, run.last) if each.is_file() and each.samefile(file)), file)


def open_run(path: Path, others: Callable[[Path], Sequence[Path]] = _nothing) -> RunFolder:
    """Return an existing run, or the one that a file lies in. Raises UsageError if there is none.

    `others` finds what else in a folder could have been named, for the hint.
    """
    run = RunFolder(path)
    if not run.config.is_file() and path.exists():
        # What lies in a run, such as its checkpoint, stands for it.
        run = next((each for each in map(RunFolder, path.parents) if each.config.is_file()), run)
    if not run.config.is_file():
        if (path / ENSEMBLE).is_file():
            hint = "`clfctl eval`, predict, explain, export, compare, serve and app take it; its members are runs"
            raise UsageError(f"{path} is an ensemble, not a run", hint)
        if run.last.parent.is_dir():
            hint = "it ended while it was being made: remove it and train again"
            raise UsageError(f"{path} is not a whole run folder: it has no {run.config.name}", hint)
        place = path if path.is_dir() else Path("runs") if path.parent == Path() else path.parent
        found = [str(each) for each in (*find_runs(place)[:3], *others(place)[:3])]
        hint = "there are: " + ", ".join(found) if found else "`clfctl train` makes one"
        raise UsageError(f"{path} is not a run folder: it has no {run.config.name}", hint)
    return run


def create_run(runs_dir: Path, name: str, made_from: str) -> RunFolder:
    """Make a new run folder called `name`; `{n}` in it becomes the first unused number, an empty name is made up.

    Raises UsageError if the name is taken or not a file name, ClfctlError if the folder cannot be made.
    """
    check_new_run(runs_dir, name)
    pattern = name or made_from.replace("/", "-") + "-{n}"
    try:
        runs_dir.mkdir(parents=True, exist_ok=True)
        for path in names_in(runs_dir, pattern):
            try:
                path.mkdir()
            except FileExistsError:
                continue
            RunFolder(path).last.parent.mkdir()
            return RunFolder(path)
    except OSError as error:
        what = f"cannot make a run folder in {runs_dir}: {error.strerror}"
        raise ClfctlError(what, "choose another folder with `runs_dir=`", field="runs_dir") from None
    raise _taken(runs_dir / name)  # made by another process since the check


def discard_run(run: RunFolder) -> None:
    """Remove a run folder that could not be finished, as far as that goes."""
    shutil.rmtree(run.path, ignore_errors=True)


def check_new_run(runs_dir: Path, name: str) -> None:
    """Raise UsageError if a run cannot be called `name`: it is not a file name, or taken. Nothing is made."""
    if name and (name.strip(". ") == "" or "/" in name or "\\" in name):
        hint = "`runs_dir=` chooses the folder that it is made in"
        raise UsageError(f"{name!r} cannot be the name of a folder", hint, field="run_name")
    if name and "{n}" not in name and (runs_dir / name).exists():
        raise _taken(runs_dir / name)


def _taken(path: Path) -> UsageError:
    numbered = f"let clfctl number it (`run_name={path.name}-{{n}}`)"
    going_on = f", or go on with: {shell('resume', path)}" if RunFolder(path).config.is_file() else ""
    hint = f"choose another name, or {numbered}" if not going_on else f"choose another name, {numbered}{going_on}"
    return UsageError(f"{path} exists already", hint, field="run_name")


def names_in(runs_dir: Path, pattern: str) -> Iterator[Path]:
    """Yield the folders that a pattern names, with each number where it has `{n}`, whether or not they are there."""
    if "{n}" not in pattern:
        yield runs_dir / pattern
        return
    n = 1
    while True:
        yield runs_dir / pattern.replace("{n}", str(n))
        n += 1


def find_runs(folder: Path) -> list[Path]:
    """Return the run folders in `folder`, newest first."""
    try:
        found = [entry for entry in folder.iterdir() if RunFolder(entry).config.is_file()]
        return sorted(found, key=lambda run: RunFolder(run).config.stat().st_mtime, reverse=True)
    except OSError:
        return []
