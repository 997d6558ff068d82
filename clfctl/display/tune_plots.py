"""Pictures of a study: how the best value fell, what each setting had to do with it, and how much each matters."""

import math
from collections.abc import Callable, Iterator
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter, PercentFormatter

from clfctl.display.eval_plots import drawing, save_figure
from clfctl.display.tune_table import value_words
from clfctl.evaluation.epoch_metrics import METRICS
from clfctl.tuning.folder import StudyFolder
from clfctl.tuning.found import TrialFound, Tuned
from clfctl.tuning.space import Dimension, Space, Value

# Blue, vermilion and green of Okabe and Ito, which stay apart for every kind of colour vision.
BLUE, VERMILION, GREEN = "#0072B2", "#D55E00", "#009E73"
_COLUMNS = 3
_LONGEST_LABEL = 18


def save_pictures(tuned: Tuned, space: Space, folder: StudyFolder) -> None:
    """Write the pictures of a study as PNG files into its folder. Raises WriteError."""
    with drawing():
        for name, _, figure in figures(tuned, space):
            save_figure(folder.picture(name), figure)


def figures(tuned: Tuned, space: Space) -> Iterator[tuple[str, str, Figure]]:
    """Yield name, title and figure of each picture that there is enough for."""
    if tuned.ranked():
        yield "history", "Trials", _history(tuned)
        yield "slices", "Settings", _slices(tuned, space)
    if tuned.importance:
        yield "importance", "What matters", _importance(tuned)


def _figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), layout="constrained")


def _history(tuned: Tuned) -> Figure:
    figure = _figure(7.2, 3.6)
    axes = figure.subplots()
    _scatter(axes, tuned, lambda each: each.number)
    better, best, numbers, values = (min if tuned.mode == "min" else max), None, list[int](), list[float]()
    for each in tuned.trials:
        if each.state == "complete" and each.value is not None:
            best = each.value if best is None else better(best, each.value)
            numbers.append(each.number)
            values.append(best)
    axes.step(numbers, values, where="post", color=GREEN, label="best so far")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("trial")
    _dress(axes, tuned)
    axes.set_ylabel(tuned.monitor)
    axes.legend(frameon=False)
    return figure


def _slices(tuned: Tuned, space: Space) -> Figure:
    n_rows = math.ceil(len(space) / _COLUMNS)
    n_columns = min(_COLUMNS, len(space))
    figure = _figure(2.4 * n_columns + 0.6, 2.4 * n_rows)
    grid = figure.subplots(n_rows, n_columns, sharey=True, squeeze=False)
    for number, axes in enumerate(grid.flat):
        if number >= len(space):
            axes.set_visible(False)
            continue
        _slice(axes, tuned, space[number])
        if number % n_columns == 0:
            axes.set_ylabel(tuned.monitor)
    return figure


def _slice(axes: Axes, tuned: Tuned, dimension: Dimension) -> None:
    name = dimension.name
    if dimension.choices:
        places: dict[Value, float] = {choice: float(place) for place, choice in enumerate(dimension.choices)}
        _scatter(axes, tuned, lambda each: places.get(each.settings.get(name), math.nan))
        labels = [value_words(each) for each in dimension.choices]
        labels = [each if len(each) <= _LONGEST_LABEL else f"{each[: _LONGEST_LABEL - 1]}…" for each in labels]
        axes.set_xticks(range(len(labels)), labels, rotation=30 if max(map(len, labels)) > 5 else 0)
        axes.set_xlim(-0.5, len(labels) - 0.5)
    else:
        _scatter(axes, tuned, lambda each: _as_number(each.settings.get(name)))
        if dimension.is_log:
            _by_log(axes, "x")
    axes.set_xlabel(name)
    _dress(axes, tuned)


def _as_number(value: Value) -> float:
    return math.nan if value is None else float(value)


def _scatter(axes: Axes, tuned: Tuned, x: Callable[[TrialFound], float]) -> None:
    for state, color, label in (("complete", BLUE, "to its end"), ("pruned", "#999999", "pruned")):
        found = [each for each in tuned.ranked() if each.state == state]
        if found:
            values = [math.nan if each.value is None else each.value for each in found]
            axes.plot([x(each) for each in found], values, "o", color=color, markersize=4, alpha=0.8, label=label)
    if tuned.best and tuned.best.value is not None:
        axes.plot([x(tuned.best)], [tuned.best.value], "*", color=VERMILION, markersize=11, zorder=3, label="best")


def _importance(tuned: Tuned) -> Figure:
    names = [*reversed([*tuned.importance])]
    figure = _figure(7.2, 0.8 + 0.34 * len(names))
    axes = figure.subplots()
    axes.barh(names, [tuned.importance[name] for name in names], color=BLUE)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
    axes.set_xlabel(f"share in how {tuned.monitor} differs between trials (fANOVA)")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _dress(axes: Axes, tuned: Tuned) -> None:
    if METRICS[tuned.monitor].kind == "share":
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
    elif (values := [each.value for each in tuned.ranked() if each.value]) and max(values) > 20 * min(values) > 0:
        _by_log(axes, "y")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def _by_log(axes: Axes, which: Literal["x", "y"]) -> None:
    """Give an axis a logarithmic scale, its numbers as text: formulas are not drawn."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    axes.set(**{f"{which}scale": "log"})
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
