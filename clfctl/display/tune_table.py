"""What a study found, as a table on a terminal and as lines elsewhere: the best trials, and what matters."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from clfctl.display.epochs import format_time
from clfctl.display.wrapping import print_sentence
from clfctl.evaluation.epoch_metrics import METRICS
from clfctl.tuning.found import TrialFound, Tuned
from clfctl.tuning.space import MOST_DIGITS, Value

if TYPE_CHECKING:
    from rich.console import Console

N_SHOWN = 10
# Columns of a terminal below which a trial's settings get a line of their own.
WIDE = 110
LEAST_IMPORTANCE = 0.01


def print_table(tuned: Tuned, console: "Console", spelled: Callable[[str], str] = str) -> None:
    """Print the best trials as a table, the best in green, and the summary below it; `spelled` writes settings."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    is_wide = console.width >= WIDE
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for title in _titles(tuned, is_wide):
        table.add_column(title, justify="left" if title == "settings" else "right", overflow="fold")
    for each in tuned.ranked()[:N_SHOWN]:
        style = "green" if tuned.best and each.number == tuned.best.number else None
        table.add_row(*map(Text, _cells(tuned, each, is_wide)), style=style)
    if table.row_count:
        console.print(table)
    for line in summary_lines(tuned):
        print_sentence(console, spelled(line))


def plain_lines(tuned: Tuned) -> Iterator[str]:
    """Yield a line a trial, the best first, and the summary."""
    for each in tuned.ranked()[:N_SHOWN]:
        cells = zip(_titles(tuned, True), _cells(tuned, each, True), strict=True)
        yield "  ".join(f"{title} {cell}" for title, cell in cells if cell)
    yield from summary_lines(tuned)


def summary_lines(tuned: Tuned) -> Iterator[str]:
    """Yield how many trials there were, the best with its settings, how it fares with other seeds, and what matters."""
    words = ("complete", "pruned", "failed", "running", "waiting")
    counts = [f"{n} {state}" for state in words if (n := tuned.n(state))]  # type: ignore[arg-type]  # its own states
    yield f"{len(tuned.trials)} {'trial' if len(tuned.trials) == 1 else 'trials'}: {', '.join(counts)}."
    if same := sum(each.same_as is not None for each in tuned.trials):
        yield f"{same} had the settings of an earlier one, and {'was' if same == 1 else 'were'} not trained again."
    best = tuned.best
    if not best or best.value is None:
        yield "None came to its end."
        return
    yield f"Best: trial {best.number}, {tuned.monitor} {in_words(tuned, best.value)}: {settings_words(best)}"
    if (again := tuned.confirmed) and again.failed:
        n = len(again.failed)
        yield f"With {n} of {n + len(again.values)} other seeds its settings could not be trained: they are at an edge."
    if again and again.values:
        seeds = f"{len(again.values)} other {'seed' if len(again.values) == 1 else 'seeds'}"
        line = f"With {seeds}: {tuned.monitor} {in_words(tuned, again.mean)}"
        if limits := again.interval:
            line += f", 95 % interval of the mean {in_words(tuned, limits[0])} to {in_words(tuned, limits[1])}"
        yield f"{line}. That is what to expect: the best of many trials was lucky too."
        if len(again.values) == 2:
            yield "Two seeds say next to nothing of how far seeds differ; `confirm=3` is the least that does."
    elif not again:
        yield "The best of many is lucky too: what it is worth with other seeds is told with `confirm=3`."
    if shares := [f"{name} {100 * each:.0f} %" for name, each in tuned.importance.items() if each >= LEAST_IMPORTANCE]:
        yield f"What matters, of how the trials differ: {', '.join(shares)}."


def summary_record(tuned: Tuned) -> dict[str, Any]:
    """Return the study as a whole, as JSON can hold it."""
    again = tuned.confirmed
    return {
        "study": str(tuned.study),
        "monitor": tuned.monitor,
        "mode": tuned.mode,
        "best": tuned.best.number if tuned.best else None,
        "importance": dict(tuned.importance),
        "confirmed": {
            "trial": again.trial,
            "seeds": list(again.seeds),
            "values": list(again.values),
            "failed": list(again.failed),
            "mean": again.mean if again.values else None,
            "interval": list(again.interval) if again.interval else None,
        }
        if again
        else None,
    }


def in_words(tuned: Tuned, value: float) -> str:
    """Return a value of the monitored metric: a share in percent, a loss as it is."""
    return f"{100 * value:.2f} %" if METRICS[tuned.monitor].kind == "share" else f"{value:.4f}"


def settings_words(trial: TrialFound) -> str:
    """Return what was drawn for a trial."""
    return ", ".join(f"{name} {value_words(each)}" for name, each in trial.settings.items())


def value_words(value: Value) -> str:
    """Return what was drawn of a setting, with the digits that it has."""
    if value is None:
        return "none"
    return f"{value:.{MOST_DIGITS}g}" if isinstance(value, float) else str(value)


def accuracy_words(trial: TrialFound) -> str:
    """Return the accuracy of a trial with its interval, empty where it is not known."""
    if trial.top1 is None:
        return ""
    if not trial.top1_interval:
        return f"{100 * trial.top1:.1f} %"
    low, high = trial.top1_interval
    return f"{100 * trial.top1:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def _titles(tuned: Tuned, is_wide: bool) -> list[str]:
    accuracy = [] if tuned.monitor == "val_top1" and not is_wide else ["accuracy (95 %)"]
    return ["trial", tuned.monitor, *accuracy, "epochs", *(["time"] if is_wide else []), "settings"]


def _cells(tuned: Tuned, trial: TrialFound, is_wide: bool) -> list[str]:
    value = "" if trial.value is None else in_words(tuned, trial.value)
    accuracy = [] if tuned.monitor == "val_top1" and not is_wide else [accuracy_words(trial)]
    time = [format_time(trial.seconds)] if is_wide else []
    epochs = f"{trial.epochs}{' pruned' if trial.state == 'pruned' else ''}"
    return [str(trial.number), value, *accuracy, epochs, *time, settings_words(trial)]
