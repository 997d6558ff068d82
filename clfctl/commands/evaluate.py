"""clfctl eval: how good a trained model is, in numbers, tables, pictures and a report."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clfctl import api
from clfctl.display.output import Output
from clfctl.engine.signals import stopping_at_once
from clfctl.runs.ensemble import EnsembleFolder, Model, model_from
from clfctl.runs.folder import RunFolder, open_run
from clfctl.settings.ensembles import Rule
from clfctl.settings.groups import EvalSettings, ReportSettings
from clfctl.storage.names import shortened

if TYPE_CHECKING:
    from rich.console import Console

    from clfctl.inference.evaluate import Measured


FOLDER = "ensembles"
_LONGEST = 80


def evaluate(paths: Sequence[Path], rule: Rule | None, options: ReportSettings, output: Output) -> None:
    """Measure a checkpoint, or several as one, print the numbers, and write the files of the evaluation.

    They go into the run's folder, or that of an ensemble; where several runs are named, into one beside the first.
    """
    model = model_from(paths, rule, fits=True)
    with stopping_at_once("nothing was written; the results before it are as they were"):
        measured = api.measured(model, options, output.onlookers())
        run = None if measured.evaluation.members else open_run(paths[0])
        folder = folder_of(model, run, measured, options)
        _print(measured, folder, options.top, output)
        place = run.path if run else next(each for each in folder.absolute().parents if each.is_dir())
        if os.access(place, os.W_OK):
            _write(run, folder, measured, options.explain, output)
        else:
            output.note(f"Nothing is saved: {place} is read-only.")


def folder_of(model: Model, run: RunFolder | None, measured: "Measured", options: EvalSettings) -> Path:
    """Return the folder of an evaluation's files."""
    if run:
        return run.eval / folder_name(run, measured, options)
    words = [measured.chosen.split, *_of_other_data(measured)]
    if isinstance(model, Path):
        return EnsembleFolder(model).eval / "-".join([*words, *_views(options)])
    if options.checkpoint != "best":
        words.append(options.checkpoint)
    whole = "-".join(sorted(each.name.replace(os.sep, "_") for each in model.members))
    digest = hashlib.sha256("\0".join(sorted(str(each.path.resolve()) for each in model.members)).encode()).hexdigest()
    name = shortened(whole, most=_LONGEST, digest=digest)
    first = measured.evaluation.members[0]
    return Path(first.run).parent / FOLDER / "-".join([name, model.rule, *words, *_views(options)])


def folder_name(run: RunFolder, measured: "Measured", options: EvalSettings) -> str:
    """Return the name of an evaluation's folder: what is measured with what; another data set has another name."""
    file = measured.trained.file
    words = [measured.chosen.split, *_of_other_data(measured)]
    words.append(file.stem if file in (run.best, run.last) else _named(file))
    return "-".join([*words, *_views(options)])


def _of_other_data(measured: "Measured") -> list[str]:
    return [] if measured.chosen.is_own else [_named(Path(measured.chosen.data))]


def _views(options: EvalSettings) -> list[str]:
    return [f"tta{options.tta}"] if options.tta > 1 else []


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


def _write(run: RunFolder | None, folder: Path, measured: "Measured", n_explained: int, output: Output) -> None:
    from clfctl.display.eval_files import save_evaluation

    written = save_evaluation(folder, run, measured, n_explained, output.note)
    output.note(f"Wrote {folder / written[0]}", f"  and beside it {', '.join(written[1:])}")
    if "predictions.csv" in written:
        output.note("  predictions as Parquet need pyarrow: pip install 'clfctl[parquet]'")
