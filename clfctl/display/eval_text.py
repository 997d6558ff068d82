"""An evaluation as tables for the terminal, and as plain lines for files and pipes; worst classes first."""

from collections.abc import Sequence

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from clfctl.display.ensemble_table import members_table, plain_members, verdict
from clfctl.display.epochs import WIDE
from clfctl.evaluation.intervals import Interval
from clfctl.evaluation.metrics import ClassMetrics, Confusion, Metrics
from clfctl.evaluation.record import Evaluation

NONE = "–"
# Below these an F1 is shown as one to look at.
_BAD, _POOR = 0.5, 0.8
_GAP = 2


def print_evaluation(evaluation: Evaluation, top: int, console: Console) -> None:
    """Print the tables, with at most `top` classes and `top` confused pairs."""
    console.print(evaluation_view(evaluation, top, console.width))


def evaluation_view(evaluation: Evaluation, top: int, width: int) -> RenderableType:
    """Return the tables for a terminal of `width` columns: numbers, the worst classes, the most confused pairs.

    Only names are ever cut.
    """
    metrics = evaluation.metrics
    parts: list[RenderableType] = [Text(headline(evaluation), "bold"), Text(), _numbers(metrics), Text()]
    if evaluation.members:
        title = Text("The members alone, on the same images", "bold")
        parts += [title, members_table(evaluation, width), Text(verdict(evaluation.members)), Text()]
    worst = metrics.worst_classes()
    shown = worst[:top]
    what = f"The {len(shown)} worst of {len(worst)} classes" if len(shown) < len(worst) else "Classes, the worst first"
    parts += [Text(what, "bold"), _classes(shown, _first_confusions(metrics), width)]
    if pairs := metrics.confused(top):
        n_all = int((metrics.confusion > 0).sum() - (metrics.confusion.diagonal() > 0).sum())
        what = f"The {len(pairs)} most frequent of {n_all} confusions" if len(pairs) < n_all else "Confusions"
        parts += [Text(), Text(what, "bold"), _confusions(pairs, width)]
    return Group(*parts)


def headline(evaluation: Evaluation) -> str:
    """Return what was measured: `runs/x, best.safetensors of epoch 7: 359 val images of digits, 10 classes`."""
    subject, n = evaluation.subject, len(evaluation.metrics.classes)
    views = f", {subject.n_views} views each" if subject.n_views > 1 else ""
    which = "" if subject.split == "all" else f"{subject.split} "
    images = f"{evaluation.metrics.n_images:,} {which}images of {subject.data}{views}"
    return f"{subject.run}, {subject.state}: {images}, {n} classes"


def number_rows(metrics: Metrics) -> list[tuple[str, str, str]]:
    """Return (name, value, what else there is to know) of every number that is one for all classes."""
    too = "over" if metrics.mean_confidence > metrics.top1 else "under"
    confidence = f"mean confidence {percent(metrics.mean_confidence)}: {too}confident"
    rows = [
        ("accuracy (top 1)", percent(metrics.top1), interval_words(metrics.top1_interval)),
        ("top 5", percent(metrics.top5), interval_words(metrics.top5_interval)),
        ("loss", f"{metrics.loss:.4f}", "mean cross-entropy"),
        ("balanced accuracy", percent(metrics.balanced_accuracy), "mean recall of the classes"),
        ("Cohen's kappa", share(metrics.kappa), "0 is chance, 1 is no mistake"),
        ("ROC AUC, macro", share(metrics.macro.auc), "each class against the rest"),
        ("ROC AUC, weighted", share(metrics.weighted.auc), "by images"),
        ("calibration error", percent(metrics.calibration.ece), f"ECE; {confidence}"),
    ]
    for name, average in (("macro", metrics.macro), ("weighted", metrics.weighted)):
        values = f"precision {share(average.precision)}, recall {share(average.recall)}"
        rows.append((f"F1, {name}", share(average.f1), values))
    return [row for row in rows if not (row[0] == "top 5" and metrics.top5 is None)]


def plain_lines(evaluation: Evaluation, top: int) -> list[str]:
    """Return the same as lines of ASCII words, for files and pipes."""
    metrics = evaluation.metrics
    lines = [headline(evaluation)]
    lines += [f"{name}  {value}  {more}" for name, value, more in number_rows(metrics)]
    lines += plain_members(evaluation) if evaluation.members else []
    lines += [
        f"class  {each.name}  images {each.support}  precision {share(each.precision)}  recall {share(each.recall)}"
        f"  F1 {share(each.f1)}  AUC {share(each.auc)}"
        for each in metrics.worst_classes()[:top]
    ]
    pairs = metrics.confused(top)
    lines += [f"confused  {each.true} -> {each.predicted}  {each.n}  {percent(each.share)}" for each in pairs]
    return [line.replace(NONE, "-") for line in lines]


def percent(value: float | None) -> str:
    """Return a share as `96.38 %`."""
    return NONE if value is None else f"{100 * value:.2f} %"


def share(value: float | None) -> str:
    """Return a share as `0.964`; 1 only where it is exactly that."""
    return NONE if value is None else "0.999+" if 0.9995 <= value < 1 else f"{value:.3f}"


def interval_words(interval: Interval | None) -> str:
    """Return an interval as `95.00 to 97.49 % (95 % bootstrap)`."""
    if interval is None:
        return ""
    return f"{100 * interval.low:.2f} to {100 * interval.high:.2f} % (95 %, {interval.method})"


def _table() -> Table:
    return Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")


def _numbers(metrics: Metrics) -> Table:
    table = Table.grid(padding=(0, _GAP, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(style="dim")
    for name, value, more in number_rows(metrics):
        table.add_row(name, Text(value, "bold"), more)
    return table


def _classes(classes: Sequence[ClassMetrics], confusions: dict[str, Confusion], width: int) -> Table:
    table, is_wide = _table(), width >= WIDE
    titles = ("images", "precision", "recall", "F1", "AUC")
    widths = [max(6, len(title)) for title in titles]
    free = width - sum(widths) - _GAP * len(widths)
    table.add_column("class")
    for title, least in zip(titles, widths, strict=True):
        table.add_column(title, justify="right", no_wrap=True, min_width=least)
    if is_wide:
        table.add_column("most often taken for")
    for each in classes:
        f1 = each.f1 or 0.0
        style = "red" if f1 < _BAD else "yellow" if f1 < _POOR else ""
        name = _cut(each.name, free // 2 if is_wide else free)
        numbers = (share(each.precision), share(each.recall), Text(share(f1), style), share(each.auc))
        other = confusions.get(each.name)
        taken_for = _cut(other.predicted, free // 2 - _GAP - 8) + f" ({other.n}×)" if other else Text()
        table.add_row(name, f"{each.support}", *numbers, *([taken_for] if is_wide else []))
    return table


def _first_confusions(metrics: Metrics) -> dict[str, Confusion]:
    """Return for each class the one that it was most often taken for."""
    first: dict[str, Confusion] = {}
    for each in metrics.confused():
        first.setdefault(each.true, each)
    return first


def _confusions(pairs: Sequence[Confusion], width: int) -> Table:
    table, titles = _table(), ("images", "of the class")
    free = width - sum(map(len, titles)) - _GAP * (len(titles) + 1)
    for title in ("true", "taken for"):
        table.add_column(title)
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True, min_width=len(title))
    for each in pairs:
        names = [_cut(name, free // 2) for name in (each.true, each.predicted)]
        table.add_row(*names, f"{each.n}", percent(each.share))
    return table


def _cut(name: str, width: int) -> Text:
    """Return as much of a name as fits into `width` columns, on one line."""
    text = Text(" ".join(name.split()) or name, no_wrap=True)
    text.truncate(max(4, width), overflow="ellipsis")
    return text
