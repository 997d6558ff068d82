"""An epoch as columns: title, table cell and word of a plain line. The metrics bring their own."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from clfctl.display.curve import format_lr
from clfctl.evaluation.epoch_metrics import METRICS, Metric
from clfctl.runs.history import START, EpochResult

WIDE = 120
"""Terminal columns from which on there is room for the long forms."""


@dataclass(frozen=True)
class Column:
    """A column of the table of epochs.

    `cell` returns its text, `wide_cell` the longer one for wide terminals; `word` returns what stands for it in a plain
    line (ASCII; empty for nothing). All get the result and the number of epochs planned. One that `may_lack` is left
    out where no epoch has anything in it.
    """

    title: str
    cell: Callable[[EpochResult, int], str]
    word: Callable[[EpochResult, int], str]
    wide_cell: Callable[[EpochResult, int], str] | None = None
    may_lack: bool = False

    def text(self, result: EpochResult, total_epochs: int, wide: bool) -> str:
        """Return the cell of a result."""
        cell = self.wide_cell if wide and self.wide_cell else self.cell
        return cell(result, total_epochs)


def plain_line(result: EpochResult, total_epochs: int) -> str:
    """Return an epoch as one line of ASCII, `epoch 3/25  lr 1e-04  train_loss 0.1234 …`."""
    return "  ".join(word for column in columns() if (word := column.word(result, total_epochs)))


def format_time(time_s: float) -> str:
    """Return seconds as `12.3 s`, `1:02 min` or `1:02:03 h`."""
    if not math.isfinite(time_s):
        return "–"
    if round(time_s, 1) < 60:
        return f"{time_s:.1f} s"
    minutes, seconds = divmod(round(time_s), 60)
    if minutes < 60:
        return f"{minutes}:{seconds:02} min"
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02} h"


def format_rate(images_per_s: float) -> str:
    """Return images per second without a unit: `130`, `4.2`."""
    return _number(images_per_s, ".0f" if images_per_s >= 10 else ".1f")


def _number(value: float, spec: str) -> str:
    return format(value, spec) if math.isfinite(value) else str(value)


def _loss(loss: float) -> str:
    return _number(loss, ".4f" if abs(loss) < 1000 else ".3g")


def _metric_column(name: str, metric: Metric) -> Column:
    def text(result: EpochResult) -> str:
        value = result.metric(name)
        # A loss that is NaN beside a finite accuracy is one that diverged, and must be seen to have.
        if math.isnan(value) and (metric.kind == "share" or _has_none_of(result, metric.part)):
            return "–"
        return f"{100 * value:.2f} %" if metric.kind == "share" else _loss(value)

    def word(result: EpochResult) -> str:
        shown = text(result)
        return shown if metric.kind == "loss" or shown == "–" else f"{result.metric(name):.4f}"

    return Column(metric.title, lambda r, _: text(r), lambda r, _: f"{name} {_ascii(word(r))}")


def _has_none_of(result: EpochResult, part: str) -> bool:
    """Return whether an epoch has no metric of its training or its validation images."""
    return all(math.isnan(result.metric(name)) for name, metric in METRICS.items() if metric.part == part)


def _lr_range(result: EpochResult, _: int) -> str:
    start, end = format_lr(result.lr_start), format_lr(result.lr)
    return end if start == end else f"{start} → {end}"


def _moved_column(name: str, title: str) -> Column:
    """Return the column of a value that a schedule may move beside the learning rate."""

    def cell(result: EpochResult, _: int) -> str:
        return f"{result.moved[name]:.4g}" if name in result.moved else ""

    def wide_cell(result: EpochResult, total_epochs: int) -> str:
        start, end = result.moved.get(name + START), cell(result, total_epochs)
        return end if start is None or f"{start:.4g}" == end else f"{start:.4g} → {end}"

    def word(result: EpochResult, total_epochs: int) -> str:
        return f"{name} {shown}" if (shown := cell(result, total_epochs)) else ""

    return Column(title, cell, word, wide_cell, may_lack=True)


def _ascii(text: str) -> str:
    return text.replace("–", "-")


def columns() -> list[Column]:
    """Return the columns of the table of epochs; those of the metrics are the ones that are declared to be shown."""
    return [
        Column("epoch", lambda r, n: f"{r.epoch}/{n}", lambda r, n: f"epoch {r.epoch}/{n}"),
        Column("LR", lambda r, _: format_lr(r.lr), lambda r, _: f"lr {format_lr(r.lr)}", _lr_range),
        _moved_column("momentum", "momentum"),
        _moved_column("weight_decay", "decay"),
        *(_metric_column(name, metric) for name, metric in METRICS.items() if metric.is_shown),
        Column("best", lambda r, _: "★" if r.is_best else "", lambda r, _: "best" if r.is_best else ""),
        Column(
            "images/s", lambda r, _: format_rate(r.images_per_s), lambda r, _: f"{format_rate(r.images_per_s)} images/s"
        ),
        Column("time", lambda r, _: format_time(r.time_s), lambda r, _: _ascii(format_time(r.time_s))),
    ]
