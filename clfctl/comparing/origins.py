"""Whether what a run began with, or learned from, was trained on images that the run itself holds out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from clfctl.data.sources.labelled import is_held_out_by_us
from clfctl.data.sources.names import is_named
from clfctl.errors import ClfctlError
from clfctl.planning.place import place_of
from clfctl.runs.folder import CHECKPOINT_SUFFIX, RunFolder, open_run, run_of
from clfctl.runs.header import read_header
from clfctl.settings.groups import TrainSettings
from clfctl.settings.older import read_older


@dataclass(frozen=True)
class _Trained:
    """A model as its checkpoint tells: its settings, and the folder that relative paths in them start from."""

    settings: TrainSettings
    given_in: Path

    @property
    def data(self) -> str:
        """Which data it was trained on."""
        name, folder = self.settings.data, self.settings.data_dir
        return name if is_named(name, folder, self.given_in) else str((self.given_in / name).resolve())

    @property
    def split(self) -> tuple[object, ...]:
        """What says which images of the data it holds out."""
        settings = self.settings.model_copy(update={"data": self.data})
        chosen = (settings.val_split, settings.group_by, settings.seed) if is_held_out_by_us(settings) else ()
        return (self.data, *chosen)

    def origins(self) -> Iterator[tuple[str, Path]]:
        """Yield what it began with or learned from, each with the words for that."""
        settings = self.settings
        teacher = settings.distill if settings.distill_weight else None
        of = {"began with the weights of": settings.start_from or settings.weights, "learned from": teacher}
        for how, path in of.items():
            if path is not None:
                there = self.given_in / path
                is_elsewhere = there.exists() and there.resolve() != path.resolve()
                yield how, there if is_elsewhere else path


def suspects(runs: Sequence[RunFolder], names: Sequence[str]) -> list[str]:
    """Return a sentence about each run that may know images which all of them hold out, through another run.

    That is so where it goes back to a run of the same data, and none of those compared holds out what that one does.
    What other data, and weights of others, were made of is not known here, and nothing is said of them.
    """
    trained = [_trained(each.last) for each in runs]
    apart = {each.split for each in trained if each}
    found = []
    for name, each in zip(names, trained, strict=True):
        if each and (origin := _suspect(each, apart)):
            found.append(f"Warning: {name} {origin}: some of these images may have been trained on there.")
    return found


def _suspect(trained: _Trained, apart: set[tuple[object, ...]]) -> str:
    """Return the first of its origins that saw other images of the same data, in words; an empty text: none."""
    waiting, seen = [*trained.origins()], set[Path]()
    while waiting:
        how, path = waiting.pop(0)
        if path.resolve() in seen:
            continue
        seen.add(path.resolve())
        origin = _trained(path)
        if origin is None:
            continue
        if origin.data == trained.data and origin.split not in apart:
            return f"{how} {path}, which holds out other images of {trained.settings.data}"
        waiting += [(f"goes back, by {path}, to", further) for _, further in origin.origins()]
    return ""


def _trained(path: Path) -> _Trained | None:
    """Read the checkpoint that a path stands for; None if it is not one of ours, or not there any more."""
    try:
        file = path if path.is_file() else open_run(path).chosen
        if file.suffix != CHECKPOINT_SUFFIX:
            return None
        header = read_header(file)
        return _Trained(read_older(header.settings, file)[0], place_of(run_of(file.absolute()), header).given_in)
    except (OSError, ValueError, ClfctlError):
        return None
