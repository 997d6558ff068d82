"""The library's face: train, resume, evaluate, predict, export and preview, as the commands do, from Python.

Nothing here prints, and nothing of the process is changed for good: signals, threads, random state and environment are
as they were afterwards. What is worth knowing comes back in records, or is told to watchers. Every error is a
`ClfctlError`. What needs torch waits for what another thread does with it: a second training for the end of the first.
Only what is passed counts: neither the environment nor `.env` or `clfctl.toml` is read.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clfctl.api.exporting import export as export
from clfctl.api.measuring import measured as measured
from clfctl.api.named import Named, model_named
from clfctl.api.notes import Notes
from clfctl.api.previewing import Preview as Preview
from clfctl.api.previewing import preview as preview
from clfctl.planning.changes import stated_in
from clfctl.planning.plan import keep_fitting
from clfctl.planning.start import taken_over
from clfctl.planning.time_limit import within_time
from clfctl.runs.folder import RunFolder, open_run
from clfctl.runs.header import read_last
from clfctl.runs.relaunch import run_to_go_on_with
from clfctl.settings.groups import EvalSettings, ResumeSettings, TrainSettings
from clfctl.settings.launch import launch
from clfctl.settings.processes import WAIT_LIMIT
from clfctl.settings.sources import PASSED, TYPED, from_fields

if TYPE_CHECKING:
    from clfctl.data.onlookers import Onlookers
    from clfctl.data.sources.base import Data
    from clfctl.engine.debug_batch import Replay
    from clfctl.engine.session import Session
    from clfctl.engine.watching import Watcher
    from clfctl.engine.world import World
    from clfctl.evaluation.record import Evaluation
    from clfctl.inference.prediction import Prediction
    from clfctl.inference.write_onnx import Exported
    from clfctl.runs.history import EpochResult


@dataclass(frozen=True)
class Trained:
    """A training that has ended.

    `run` is its folder; `history` has a record an epoch, of `planned_epochs`; `best` is the one that best.safetensors
    has the weights of, by `best_metric`; early stopping and plateau go by `monitor`. `bad_images` could not be read, by
    name, with the reason; `exported` is the model.onnx that was written, None where none was. `notes` are sentences:
    warnings, and what was found on the way.
    """

    run: Path
    history: tuple["EpochResult", ...]
    best: "EpochResult | None"
    monitor: str
    best_metric: str
    planned_epochs: int
    stopped_early: bool
    bad_images: Mapping[str, str]
    exported: "Exported | None"
    notes: tuple[str, ...]


def train(
    settings: TrainSettings | None = None,
    *,
    watchers: Sequence["Watcher"] = (),
    stop_signals: bool = False,
    **fields: Any,
) -> Trained:
    """Train a classifier and return how that went.

    `fields` are settings by name (`data="digits", epochs=3`), on top of `settings` or of the defaults of the data set,
    and of a recipe if one is named. With `stop_signals`, SIGINT, SIGTERM and SIGHUP end the training after the running
    batch, with its state saved, and raise Interrupted; without, a KeyboardInterrupt leaves the state of the last save.
    """
    notes = Notes()
    wanted = _training_settings(settings, fields) if launch().n_restarts else None
    if wanted and (begun := run_to_go_on_with(wanted.runs_dir)):
        return resume(begun.path, watchers=watchers, stop_signals=stop_signals)
    with begin(_training_settings(settings, fields), notes.onlookers()) as session:
        notes.lines += [*session.chosen, *session.cautions()]
        return to_the_end(session, watchers, notes, stop_signals=stop_signals)


def resume(
    run: Path | str,
    *,
    allow_data_change: bool = False,
    watchers: Sequence["Watcher"] = (),
    stop_signals: bool = False,
    **changes: Any,
) -> Trained:
    """Go on with a run exactly where it was stopped, with `changes` of its settings from there on.

    With more `epochs=`, `extend=` says how the rate goes on: `"stretch"`, `"hold"`, `"rewarm"` or `"anneal"`.
    With `allow_data_change` it goes on although image files were added, removed or replaced. A run with nothing left to
    train is returned as it is.
    """
    notes = Notes()
    stated = stated_in(from_fields(ResumeSettings, changes))
    with reopen(open_run(Path(run)), stated, PASSED, allow_data_change=allow_data_change) as session:
        extension = [session.reopened.extension] if session.reopened and session.reopened.extension else []
        notes.lines += [*session.warnings, *extension, *session.cautions()]
        session.keep_changes(notes.onlookers())
        return to_the_end(session, watchers, notes, stop_signals=stop_signals)


def evaluate(
    run: Named,
    *,
    ensemble: str | None = None,
    data: str | Path | None = None,
    split: str = "val",
    checkpoint: str | Path = "best",
    tta: int = 1,
    device: str | None = None,
    batch_size: int | None = None,
) -> "Evaluation":
    """Measure a trained model and return the numbers; nothing is written.

    `data` is other data than the run's own, `split` val or test, `checkpoint` best, last or a file; `tta` is the number
    of views of each image. Several runs are measured as one, by the rule `ensemble`, and each beside the whole:
    `"mean"`, `"vote"`, `"weighted"` or `"geometric"`.
    """
    stated = {"data": data, "split": split, "checkpoint": checkpoint, "tta": tta, "device": device}
    stated = {name: str(value) if isinstance(value, Path) else value for name, value in stated.items()}
    options = from_fields(EvalSettings, {**stated, "batch_size": batch_size}).settings
    return measured(model_named(run, ensemble, fits=True), options, Notes().onlookers()).evaluation


def predict(
    model: Named,
    images: Any,
    *,
    ensemble: str | None = None,
    top_k: int = 3,
    threshold: float = 0.0,
    batch_size: int = 0,
    workers: int = 0,
) -> "list[Prediction]":
    """Return what a trained model says of images, in their order.

    `model` is a run folder, a checkpoint, an .onnx file or an ensemble; several of the first three answer as one, by
    the rule `ensemble`: `"mean"`, `"vote"` or `"geometric"`. `images` is one or several of: paths of files or folders
    (their images take the folder's place), Pillow images, and uint8 arrays (H, W, 3) RGB or (H, W) grey. `top_k`
    classes are named, none less likely than `threshold`; `batch_size` and `workers` 0 choose. An image that cannot be
    read has an `error` and no classes.
    """
    from clfctl.inference.from_python import predict_images
    from clfctl.inference.prediction import Choice

    return predict_images(model_named(model, ensemble), images, Choice(top_k, threshold), batch_size, workers)


@contextmanager
def begin(settings: TrainSettings, to: "Onlookers") -> Iterator["Session"]:
    """Check all that needs no torch, make the run, and yield its training; see `engine.session.begin`."""
    from clfctl.engine.check import check_training

    with _joined(settings.device, settings.wait_limit) as world:

        def check() -> "Data":
            return check_training(settings, to.tell)[0]

        # In turn: the first may download or unpack what the others find then.
        data = world.in_turn(check) if world else check()
        from clfctl.engine import session
        from clfctl.engine.as_it_was import as_it_was

        with as_it_was(settings.device), session.begin(settings, data, to, world) as begun:
            yield begun


@contextmanager
def reopen(
    run: RunFolder, stated: Mapping[str, Any], where: str = TYPED, *, allow_data_change: bool
) -> Iterator["Session"]:
    """Yield the training of a run, where it was stopped; see `session.reopen`."""
    from clfctl.engine import session
    from clfctl.engine.as_it_was import as_it_was

    # Its own settings are read when the processes are together, for which two of them are needed.
    own: Mapping[str, Any] = {}
    if launch().size > 1:
        with suppress(OSError, ValueError):
            own = read_last(run.last).settings
    device = stated.get("device", "auto")
    wait_limit = stated.get("wait_limit", own.get("wait_limit", WAIT_LIMIT))
    with (
        _joined(str(own.get("device", "auto")) if device == "auto" else device, str(wait_limit)) as world,
        as_it_was(device),
        session.reopen(run, stated, where, allow_data_change=allow_data_change, world=world) as reopened,
    ):
        yield reopened


@contextmanager
def _joined(device: str, wait_limit: str) -> "Iterator[World | None]":
    """Yield the processes that torchrun started with this one, None if it is alone: then torch is not needed yet."""
    if launch().size == 1:
        yield None
        return
    from clfctl.engine.world import joined

    with joined(device, wait_limit) as world:
        yield world


def finish(session: "Session", watchers: Sequence["Watcher"], to: "Onlookers") -> Trained:
    """Train to the end, export the model if that is wanted and possible, and return the record of it all.

    A run that is finished already gets what it lacks because it was stopped after its last save.
    """
    from clfctl.inference.write_onnx import export_after_training, is_exported

    run, was_finished = session.run, session.trainer.is_finished()
    if session.parts.settings.track and session.trainer.world.is_first:
        from clfctl.tracking.attach import trackers_for

        watchers = [*watchers, *trackers_for(session, to.tell)]
    (session.complete if was_finished else session.train)(watchers, to)
    if not session.trainer.world.is_first:
        return _record(session, None)
    wants_export = session.parts.settings.export and not (was_finished and is_exported(run))
    return _record(session, export_after_training(run, session.held_out(), to.tell) if wants_export else None)


def debug_batch(run: RunFolder, to: "Onlookers", *, exact: bool) -> "Replay":
    """Compute the batch again whose loss was not finite; see `debug_batch.replay`."""
    from clfctl.engine.as_it_was import as_it_was
    from clfctl.engine.debug_batch import replay

    with as_it_was():
        return replay(run, to, exact=exact)


def to_the_end(session: "Session", watchers: Sequence["Watcher"], notes: Notes, *, stop_signals: bool) -> Trained:
    """Train to the end, and return the record of it with what was told."""
    session.trainer.signals.listens = stop_signals
    return replace(finish(session, watchers, notes.onlookers()), notes=tuple(notes.lines))


def _record(session: "Session", exported: "Exported | None") -> Trained:
    trainer = session.trainer
    history, bad = tuple(trainer.state.cursor.history), dict(trainer.train_loader.bad_images.found)
    early, epochs = trainer.stopped_early(), trainer.plan.epochs
    monitor, best_metric = trainer.state.settings.monitor, trainer.criterion().metric
    best = session.best()
    return Trained(session.run.path, history, best, monitor, best_metric, epochs, early, bad, exported, ())


def _training_settings(settings: TrainSettings | None, fields: Mapping[str, Any]) -> TrainSettings:
    stated = {} if settings is None else settings.model_dump(exclude_unset=True)
    return within_time(taken_over(keep_fitting(from_fields(TrainSettings, {**stated, **fields})))).settings
