"""What lr-preview shows: a track is one course that a learning rate may take or has taken. No torch, no rich."""

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from clfctl.errors import DataError, UsageError, nearest
from clfctl.planning.changes import change_settings, stated_in
from clfctl.planning.plan import Plan, keep_fitting, make_plan
from clfctl.runs.folder import RunFolder, open_run
from clfctl.runs.header import Header, last_or_previous, read_last
from clfctl.runs.history import check_measured, read_history
from clfctl.schedules import Rate, Schedule, Segment, Span, before, parse_expression, sample_curve
from clfctl.schedules.cautions import Course, cautions
from clfctl.schedules.sampling import rates_of
from clfctl.settings.groups import PlanSettings
from clfctl.settings.older import read_older, read_older_config
from clfctl.settings.optimization import MAX_EPOCHS
from clfctl.settings.sources import Resolved
from clfctl.storage.json_lines import read_json_lines

# So far apart that every threshold counts them as an improvement.
STRIDE = 10**6
# Batches whose rates are held at a time.
MOST_BATCHES = 4096


@dataclass(frozen=True)
class Track:
    """The learning rate of a subject over `epochs`.

    `used` holds (start, end) of the learning rate of each epoch that was trained already; training goes on at `begins`,
    in epochs, after a step with the rate `last_lr`. `metrics` are the monitored metric of the epochs where it
    is known or assumed; `case` says what is assumed. `notes` are sentences about a run that another
    version of clfctl wrote.
    """

    subject: str
    plan: Plan
    epochs: int
    metrics: Sequence[float] = ()
    used: tuple[tuple[float, float], ...] = ()
    begins: float = 0.0
    last_lr: float = 0.0
    segments: tuple[Segment, ...] = ()
    case: str = ""
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The subject, and which case of it this is."""
        return f"{self.subject}, {self.case}" if self.case else self.subject

    @property
    def done(self) -> int:
        """Epochs that were trained."""
        return len(self.used)

    def points(self, per_epoch: int = 0) -> list[tuple[float, float]]:
        """Return (time in epochs, learning rate) for drawing, or of every batch if `per_epoch` says how many."""
        curve = sample_curve(self.plan.schedule, self.plan.base_lr, self.epochs, self.metrics, per_epoch)
        if not self.begins:
            return curve
        trained = [p for n, (start, end) in enumerate(self.used) for p in ((float(n), start), (n + 1.0, end))]
        if self.begins > self.done:
            trained.append((self.begins, self.last_lr))
        return [*trained, *self._seam_point(), *(point for point in curve if point[0] > self.begins)]

    def rates(
        self, steps_per_epoch: int | None = None, epochs: Sequence[int] | None = None
    ) -> Iterator[tuple[int, float, float]]:
        """Yield (epoch, learning rate of its first step, of its last); without batches, at its very end.

        `epochs` (from 0, ascending) are those asked for, None: all.
        """
        for epoch, rate in self._by_epoch(range(self.epochs) if epochs is None else epochs):
            if epoch < self.done:
                yield epoch + 1, *self.used[epoch]
                continue
            last = epoch + (steps_per_epoch - 1) / steps_per_epoch if steps_per_epoch else before(epoch + 1)
            yield epoch + 1, rate(max(epoch, self.begins)), rate(last)

    def batches(self, steps_per_epoch: int) -> Iterator[tuple[int, int, list[float]]]:
        """Yield (epoch, first batch, the learning rates of it and of those that follow), counted from 1."""
        for epoch, rate in self._by_epoch(range(self.epochs)):
            for first in range(0, steps_per_epoch, MOST_BATCHES):
                some = range(first, min(steps_per_epoch, first + MOST_BATCHES))
                yield epoch + 1, first + 1, [rate(epoch + batch / steps_per_epoch) for batch in some]

    def seam(self) -> tuple[float, float] | None:
        """Return the learning rate before and after the place from which training goes on; None without one."""
        if not 0 < self.begins < self.epochs:
            return None
        return self.last_lr, self.plan.values(self.begins, self.metrics[: self.done]).lr

    def _by_epoch(self, epochs: Sequence[int]) -> Iterator[tuple[int, Rate]]:
        return rates_of(self.plan.schedule, self.plan.base_lr, epochs, self.metrics)

    def _seam_point(self) -> list[tuple[float, float]]:
        seam = self.seam()
        return [(self.begins, seam[1])] if seam else []


def tracks_of(
    resolved: Resolved[PlanSettings],
    subjects: Sequence[str],
    metrics: Sequence[float] | None,
    steps_per_epoch: int | None,
) -> list[Track]:
    """Return the tracks of expressions and run folders; raises UsageError for what is neither."""
    folders = [each for each in subjects if is_folder(each)]
    texts = [each for each in subjects if each not in folders]
    if texts and resolved.ranks["scheduler"] == 0:
        hint = "give each as an argument"
        raise UsageError(f"{texts[0]!r} is given as a schedule already", hint, field="scheduler")
    if folders and metrics is not None:
        hint = "give them with a schedule, not with a run"
        raise UsageError(f"{folders[0]} has metrics of its own", hint, field="metrics")
    tracks = [track for folder in folders for track in _of_run(resolved, Path(folder))]
    if texts or not folders:
        fitting = keep_fitting(resolved, texts)
        for text in texts or [fitting.settings.scheduler]:
            tracks += _of_expression(fitting, text, metrics, steps_per_epoch)
    return tracks


def track_of(
    schedule: Schedule, settings: PlanSettings, metrics: Sequence[float], steps_per_epoch: int | None
) -> Track:
    """Return the track of a schedule as it is. Raises UsageError if it goes by a metric and there is none."""
    plan = make_plan(settings, steps_per_epoch)
    fitted = schedule.fitted(Span(settings.epochs, 0.0, steps_per_epoch, plan.mode))
    found = cautions(Course(fitted, settings.lr, plan.epochs, settings.early_stopping))
    plan = replace(plan, schedule=fitted, cautions=tuple(found))
    if fitted.follows_metrics and not metrics:
        hint = "say with `metrics=` what it is to see, a number for each epoch"
        raise UsageError(f"{fitted.name} goes by a metric, and none is given", hint)
    segments = tuple(fitted.segments(plan.epochs))
    return Track(fitted.name, plan, plan.last_epoch(metrics), tuple(metrics), segments=segments)


def is_folder(subject: str) -> bool:
    """Return whether a subject is meant as a run folder: it is one, or looks like a path."""
    return (bool(subject) and Path(subject).exists()) or ("/" in subject and "(" not in subject and ">" not in subject)


def _of_expression(
    resolved: Resolved[PlanSettings], text: str, metrics: Sequence[float] | None, steps_per_epoch: int | None
) -> Iterator[Track]:
    settings = resolved.settings
    if resolved.ranks["epochs"] and resolved.origins["epochs"].startswith("default"):
        length = len(metrics) if metrics else _natural_length(settings, text)
        settings = settings.model_copy(update={"epochs": length or settings.epochs})
    plan = make_plan(settings, steps_per_epoch, text)
    segments = tuple(plan.schedule.segments(plan.epochs))
    if metrics is not None:
        yield Track(text, plan, plan.last_epoch(metrics), metrics, segments=segments)
    elif not plan.schedule.follows_metrics:
        yield Track(text, plan, plan.epochs, segments=segments)
    else:
        never, always = worsening(plan), improving(plan)
        yield Track(text, plan, plan.last_epoch(never), never, segments=segments, case="never improving")
        yield Track(text, plan, plan.last_epoch(always), always, segments=segments, case="improving every epoch")


def improving(plan: Plan) -> range:
    """Return a metric that improves every epoch by more than any threshold, relative or absolute."""
    # Below 0 a relative threshold asks for nothing: the bar lies on the other side of the best value.
    worst = STRIDE if plan.mode == "min" else STRIDE * plan.epochs
    step = -STRIDE if plan.mode == "min" else STRIDE
    return range(-worst, -worst + step * plan.epochs, step)


def worsening(plan: Plan) -> range:
    """Return a metric that is best in the first epoch."""
    return range(1, 1 + plan.epochs) if plan.mode == "min" else range(-1, -1 - plan.epochs, -1)


def _natural_length(settings: PlanSettings, text: str) -> int:
    """Return the epochs that a schedule needs to come to its end, where it says so; else 0."""
    expression = parse_expression(text)
    lengths = [call.length for call in expression.calls]
    if all(each and each.unit == "epochs" for each in lengths):
        return math.ceil(min(sum(each.value for each in lengths if each), MAX_EPOCHS + 1))
    if not expression.kind:
        return 0
    stated = expression.calls[0].arguments.get("t_max") or settings.model_dump().get("t_max")
    return math.ceil(min(stated or 0, MAX_EPOCHS + 1))


def _of_run(resolved: Resolved[PlanSettings], folder: Path) -> Iterator[Track]:
    """Yield what a run has used and what is to come; changed options show what resuming with them would do."""
    run = open_run(folder)
    header = _header_of(run)
    saved = header.going_on() if header else None
    before, notes = read_older(header.settings, run.last) if header else read_older_config(run.config)
    stated = stated_in(resolved)
    where = next((resolved.origins[name] for name in stated), "")
    settings, _ = change_settings(before, stated, where)
    # A run that is not saved at every epoch has a history that is newer than its checkpoint.
    history = max(read_history(read_json_lines(run.history), run.history), header.history if header else [], key=len)
    if settings.monitor != before.monitor:
        check_measured(history, settings.monitor)
        if history and all(math.isnan(result.metric(settings.monitor)) for result in history):
            hint = "it has no validation images, or too few classes for it; `clfctl resume` refuses it too"
            raise UsageError(f"no epoch of {folder} has a {settings.monitor}", hint, field="monitor")
    metrics = tuple(result.metric(settings.monitor) for result in history)
    used = tuple((result.lr_start, result.lr) for result in history)
    begins, last_lr = float(len(used)), used[-1][1] if used else 0.0
    if saved and saved.position.epoch == len(used) and saved.position.batch:
        begins += saved.position.batch / saved.position.n_batches
        last_lr = saved.lr
    plan = make_plan(settings, saved.position.n_batches if saved else None)
    epochs = max(len(used), plan.last_epoch(metrics))
    segments = tuple(plan.schedule.segments(plan.epochs))
    yield Track(str(folder), plan, epochs, metrics, used, begins, last_lr, segments, notes=notes)


def _header_of(run: RunFolder) -> Header | None:
    """Return what the last checkpoint says, or its predecessor; None if neither can be read: its plan still can."""
    try:
        return last_or_previous(run.last, read_last, (OSError, ValueError))[0]
    except (OSError, ValueError):
        return None


def read_metrics(text: str, monitor: str) -> tuple[float, ...]:
    """Return the metric of every epoch: numbers `0.9,0.7`, a run folder, or `FILE.csv:COLUMN`.

    Raises UsageError for what is none of these, DataError for a file without numbers in that column.
    """
    try:
        return tuple(float(each) for each in text.replace(",", " ").split())
    except ValueError:
        pass
    if Path(text).is_dir():
        history = read_history(read_json_lines(open_run(Path(text)).history))
        check_measured(history, monitor)
        return tuple(result.metric(monitor) for result in history)
    path, _, column = text.partition(":") if not Path(text).exists() else (text, "", "")
    if not Path(path).is_file():
        hint = "give numbers (0.9,0.7,0.7), a run folder, or a file and a column (losses.csv:val_loss)"
        raise UsageError(f"{text!r} is neither numbers nor a file", hint, field="metrics")
    return _read_column(Path(path), column or monitor)


def _read_column(path: Path, column: str) -> tuple[float, ...]:
    if path.suffix == ".jsonl":
        records = [{name: str(value) for name, value in record.items()} for record in read_json_lines(path)]
    else:
        delimiter = "\t" if path.suffix == ".tsv" else ","
        try:
            # Spreadsheets put a byte order mark first.
            with path.open(encoding="utf-8-sig", newline="") as file:
                records = [*csv.DictReader(file, delimiter=delimiter, skipinitialspace=True)]
        except (UnicodeDecodeError, csv.Error) as error:
            reason = str(error) if isinstance(error, csv.Error) else "it is not UTF-8 text"
            raise DataError(f"{path} cannot be read: {reason}", field="metrics") from None
    names = [*records[0]] if records else []
    if column not in names:
        hint = nearest(column, names) or ("it has " + ", ".join(names) if names else "it is empty")
        raise DataError(f"{path} has no column {column!r}", hint, field="metrics")
    try:
        return tuple(float(record[column]) for record in records)
    except (TypeError, ValueError):
        raise DataError(f"the column {column} of {path} holds more than numbers", field="metrics") from None
