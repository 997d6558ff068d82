"""How good a trained model is: its checkpoint, the images, the measurement, and the record of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from clfctl.data.loader import BadImages
from clfctl.data.onlookers import Onlookers
from clfctl.data.pixels.views import views
from clfctl.engine.assemble import make_loader
from clfctl.engine.measure import measure
from clfctl.engine.step import Normalize
from clfctl.errors import DataError
from clfctl.evaluation.metrics import compute_metrics
from clfctl.evaluation.outputs import Outputs
from clfctl.evaluation.predictions import readable
from clfctl.evaluation.record import Evaluation, Mistake, Subject
from clfctl.inference.eval_images import Chosen, choose_data
from clfctl.inference.trained import TrainedModel, load_trained
from clfctl.runs.folder import RunFolder
from clfctl.settings.groups import EvalSettings
from clfctl.settings.image_size import as_json
from clfctl.storage.names import shell

N_MISTAKES = 24


@dataclass(frozen=True)
class Measured:
    """An evaluation, and what it was made of: the model, the images and the model's answer for each of them.

    Of an ensemble `trained` is the first member, under the ensemble's name and classes, and `others` are the rest.
    """

    evaluation: Evaluation
    trained: TrainedModel
    chosen: Chosen
    outputs: Outputs
    others: tuple[TrainedModel, ...] = ()


def evaluate_checkpoint(
    run: RunFolder, file: Path, options: EvalSettings, to: Onlookers, home: RunFolder | None = None
) -> Measured:
    """Measure a checkpoint of a run as the settings say; see `load_trained` for `home`. Raises ClfctlError."""
    trained = load_trained(run, file, options.device, home)
    chosen = choose_data(run, trained, options.data, options.split, to.tell)
    for note in (*trained.notes, *chosen.notes):
        to.tell(note)
    bad = BadImages(trained.settings.on_bad_image, len(chosen.part))
    outputs = _measure(trained, chosen, bad, options, to)
    left_out = _left_out(bad)
    for note in left_out:
        to.tell(note)
    classes = [readable(name) for name in trained.info.classes]
    evaluation = Evaluation(
        subject=_subject(run, trained, chosen, options.tta),
        metrics=compute_metrics(outputs, classes),
        unknown={readable(name): n for name, n in chosen.unknown.items()},
        absent=tuple(map(readable, chosen.absent)),
        bad={readable(name): readable(reason) for name, reason in bad.found.items()},
        notes=tuple(map(readable, (*chosen.notes, *left_out))),
        mistakes=mistakes_in(outputs, chosen, classes),
    )
    return Measured(evaluation, trained, chosen, outputs)


def _measure(trained: TrainedModel, chosen: Chosen, bad: BadImages, options: EvalSettings, to: Onlookers) -> Outputs:
    preprocess, device = trained.info.preprocess, trained.precision.device
    settings = trained.settings.model_copy(update={"batch_size": options.batch_size or trained.settings.images_at_once})
    loader = make_loader(settings, chosen.part, preprocess, bad, device)
    loaders = [(replace(loader, crop=crop), mirrored) for crop, mirrored in views(options.tta)]
    with to.bar("Measuring", options.tta * len(chosen.part)) as advance:
        outputs = measure(trained.model, loaders, trained.precision, Normalize(preprocess, device), advance)
    if not len(outputs.labels):
        hint = f"look at them: {shell('check-data', chosen.data)}"
        raise DataError(f"no image of {chosen.data} can be read", hint, field="data")
    return outputs


def _left_out(bad: BadImages) -> Sequence[str]:
    """Return a sentence about the images that could not be read, none if all could."""
    first = ", ".join(map(readable, [*bad.found][:3]))
    return [f"Bad images left out: {len(bad.found)} ({first})"] if bad.found else []


def _subject(run: RunFolder, trained: TrainedModel, chosen: Chosen, n_views: int) -> Subject:
    return Subject(
        run=readable(str(run.path)),
        checkpoint=readable(str(trained.file)),
        epoch=trained.n_epochs,
        model=trained.info.name,
        data=readable(chosen.data),
        split=chosen.split,
        n_views=n_views,
        image_size=as_json(trained.info.preprocess.image_size),
    )


def mistakes_in(outputs: Outputs, chosen: Chosen, classes: Sequence[str]) -> tuple[Mistake, ...]:
    """Return the worst mistakes, the worst first."""
    found = []
    for place in outputs.worst(N_MISTAKES).tolist():
        row, true = outputs.probabilities[place], int(outputs.labels[place])
        predicted = int(row.argmax())
        file = readable(chosen.part.source.name(int(outputs.indices[place])))
        values = float(row[predicted]), float(row[true]), float(outputs.losses[place])
        found.append(Mistake(file, classes[true], classes[predicted], *values))
    return tuple(found)
