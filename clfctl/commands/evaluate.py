"""clfctl eval: how good a trained model is, in numbers, tables, pictures and a report."""

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from clfctl import api
from clfctl.display.output import Output
from clfctl.engine.signals import stopping_at_once
from clfctl.runs.folder import RunFolder, open_run
from clfctl.settings.groups import EvalSettings

if TYPE_CHECKING:
    from rich.console import Console

    from clfctl.inference.evaluate import Measured


def evaluate(path: Path, options: EvalSettings, output: Output) -> None:
    """Measure a checkpoint, print the numbers, and write the files of the evaluation into the run's folder."""
    with stopping_at_once("nothing was written; the results before it are as they were"):
        measured = api.measured(path, options, output.onlookers())
        run = open_run(path)
        folder = run.eval / folder_name(run, measured, options)
        _print(measured, folder, options.top, output)
        if os.access(run.path, os.W_OK):
            _write(run, folder, measured, output)
        else:
            output.note(f"Nothing is saved: {run.path} is read-only.")


def folder_name(run: RunFolder, measured: "Measured", options: EvalSettings) -> str:
    """Return the name of an evaluation's folder: what is measured with what; another data set has another name."""
    chosen, file = measured.chosen, measured.trained.file
    words = [chosen.split]
    if not chosen.is_own:
        words.append(_named(Path(chosen.data)))
    words.append(file.stem if file in (run.best, run.last) else _named(file))
    if options.tta > 1:
        words.append(f"tta{options.tta}")
    return "-".join(words)


def _named(path: Path) -> str:
    """Return a short name of a file or folder that no other has: its own, and a digest of where it lies."""
    place = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:6]
    plain = "".join(each if each.isascii() and (each.isalnum() or each in "._") else "_" for each in path.stem)
    return f"{plain[:40]}-{place}"


def _print(measured: "Measured", folder: Path, top: int, output: Output) -> None:
    from clfctl.display.eval_text import plain_lines, print_evaluation

    evaluation = measured.evaluation

    def tables(console: "Console") -> None:
        print_evaluation(evaluation, top, console)

    output.result(
        json=lambda: [{**evaluation.as_record(), "folder": str(folder)}],
        plain=lambda: plain_lines(evaluation, top),
        rich=tables,
    )


def _write(run: RunFolder, folder: Path, measured: "Measured", output: Output) -> None:
    from clfctl.display.eval_files import save_evaluation

    written = save_evaluation(folder, run, measured)
    output.note(f"Wrote {folder / written[0]}", f"  and beside it {', '.join(written[1:])}")
    if "predictions.csv" in written:
        output.note("  predictions as Parquet need pyarrow: pip install 'clfctl[parquet]'")
