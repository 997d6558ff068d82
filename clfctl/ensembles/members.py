"""What the members of an ensemble say of the same images, in the classes that all of them know."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from clfctl.comparing.images import common_images
from clfctl.comparing.origins import suspects
from clfctl.data.onlookers import Onlookers
from clfctl.data.sources.groups import groups_of
from clfctl.data.sources.labelled import RenumberedImages
from clfctl.errors import CheckpointError, DataError, UsageError
from clfctl.evaluation.metrics import Metrics, compute_metrics
from clfctl.evaluation.outputs import Numbers, Outputs
from clfctl.evaluation.predictions import readable
from clfctl.inference.combining import Joined, floored, join_classes, losses_of
from clfctl.inference.evaluate import Measured, evaluate_checkpoint
from clfctl.runs.ensemble import Ensemble, checkpoint_of
from clfctl.runs.header import read_header
from clfctl.settings.groups import EvalSettings
from clfctl.storage.files import reason_of

CHECKPOINTS = ("best", "last")


@dataclass(frozen=True)
class Answered:
    """The members' answers for the images that all of them hold out, in the `joined` classes.

    `outputs` has the same images of each member, in the same order, with labels (N,) and probabilities (N, C) of these
    classes. `notes` are sentences.
    """

    measured: tuple[Measured, ...]
    joined: Joined
    outputs: tuple[Outputs, ...]
    notes: tuple[str, ...]

    @property
    def groups(self) -> Numbers | None:
        """Which images belong together (N,), None if the settings of the first member do not say.

        Raises DataError where they say it of other images.
        """
        first = self.measured[0]
        source = first.chosen.part.source
        found = groups_of(source.source if isinstance(source, RenumberedImages) else source, first.trained.settings)
        return None if found is None else found[self.outputs[0].indices]

    @property
    def labels(self) -> Numbers:
        """The classes (N,) of the images."""
        return self.outputs[0].labels

    @property
    def metrics(self) -> tuple[Metrics, ...]:
        """The metrics of each member alone."""
        return tuple(compute_metrics(each, self.joined.classes) for each in self.outputs)


def ask_members(ensemble: Ensemble, options: EvalSettings, to: Onlookers, *, instead: str = "") -> Answered:
    """Measure each member, and return what they say of the images that all of them hold out.

    `instead` is what to do where they have none in common, if not to name others.
    Raises ClfctlError: UsageError if they have no classes in common, DataError if they have no images.
    """
    if options.checkpoint not in CHECKPOINTS:
        hint = "name a checkpoint file in the place of its run"
        raise UsageError(f"{options.checkpoint!r} is not best or last", hint, field="checkpoint")
    if ensemble.folder and options.checkpoint != "best":
        what = f"{ensemble.folder.path} is an ensemble, which keeps one checkpoint of each member"
        raise UsageError(what, "leave it out", field="checkpoint")
    places = [checkpoint_of(each, options.checkpoint) for each in ensemble.members]
    classes_of_files(ensemble, [file for _, file in places])
    said: dict[str, None] = {}

    def tell_once(line: str) -> None:
        if line not in said:
            said[line] = None
            to.tell(line)

    measured = []
    for run, file in places:
        home = run if ensemble.folder else None
        measured.append(evaluate_checkpoint(run, file, options, replace(to, tell=tell_once), home))
    answered = _joined(ensemble, measured, instead)
    if not all(each.chosen.is_of_run and each.chosen.split == "val" for each in measured):
        return answered
    warnings = suspects([run for run, _ in places], [each.name for each in ensemble.members])
    return replace(answered, notes=(*answered.notes, *warnings))


def classes_of_files(ensemble: Ensemble, files: Sequence[Path]) -> Joined:
    """Return the classes that all members know, of their checkpoints' headers.

    Raises UsageError if there are none, CheckpointError if a checkpoint cannot be read.
    """
    known = []
    for file in files:
        try:
            known.append(read_header(file).classes)
        except (OSError, ValueError) as error:
            reason = reason_of(error) if isinstance(error, OSError) else str(error)
            raise CheckpointError(f"{file} cannot be read: {reason}", "leave the run out") from None
    return join_classes(known, [each.name for each in ensemble.members])


def _joined(ensemble: Ensemble, measured: Sequence[Measured], instead: str) -> Answered:
    classes = [[readable(name) for name in each.trained.info.classes] for each in measured]
    joined = join_classes(classes, [each.name for each in ensemble.members])
    common, notes = common_images(measured)
    if common is None:
        what, hint = _split_hint(notes[0])
        raise DataError(what, instead or hint, field="" if instead else "data")
    if joined.left_out:
        listed = ", ".join(joined.left_out[:5]) + (", …" if len(joined.left_out) > 5 else "")
        what = f"Not every member knows {listed}: they answer only which of the other {len(joined.classes)} it is"
        notes.append(f"{what}, and each is measured so.")
    number_of = {name: number for number, name in enumerate(joined.classes)}
    labels = np.array([number_of[name] for name in common.true], np.int64)
    outputs = [_in_joined(joined, place, each, labels) for place, each in enumerate(common.outputs)]
    return Answered(tuple(measured), joined, tuple(outputs), tuple(notes))


def _split_hint(note: str) -> tuple[str, str]:
    """Return a note about images that are not common as a message and its hint."""
    what, _, hint = note.partition(", so their answers are not compared: ")
    return what[0].lower() + what[1:], hint.rstrip(".")


def _in_joined(joined: Joined, place: int, outputs: Outputs, labels: Numbers) -> Outputs:
    taken = joined.take(place, outputs.probabilities)
    losses = floored(outputs.losses) if taken is outputs.probabilities else losses_of(taken, labels)
    return Outputs(outputs.indices, labels, taken, losses)
