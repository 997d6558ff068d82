"""clfctl eval: how good a trained model is, in numbers, tables, pictures and a report."""

import hashlib
import os
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from clfctl.display.notes import note
from clfctl.errors import DataError, UsageError
from clfctl.runs.folder import RunFolder, open_run
from clfctl.settings.groups import EvalSettings, OutputSettings
from clfctl.storage.json_lines import dump_json

if TYPE_CHECKING:
    from clfctl.data.loader import BadImages
    from clfctl.evaluation.outputs import Outputs
    from clfctl.evaluation.record import Evaluation, Mistake
    from clfctl.inference.eval_images import Chosen
    from clfctl.inference.trained import Trained

N_MISTAKES = 24


def evaluate(path: Path, options: EvalSettings, output: OutputSettings) -> None:
    """Measure a checkpoint, print the numbers, and write the files of the evaluation into the run's folder."""
    run = open_run(path)
    file = _checkpoint_file(run, options.checkpoint)
    from clfctl.engine.signals import stopping_at_once

    with stopping_at_once("nothing was written; the results before it are as they were"):
        _evaluate(run, file, options, output)


def _evaluate(run: RunFolder, file: Path, options: EvalSettings, output: OutputSettings) -> None:
    from clfctl.data.loader import BadImages
    from clfctl.display.eval_files import pictures_of, save_evaluation
    from clfctl.inference.eval_images import choose_data
    from clfctl.inference.trained import load_trained

    trained = load_trained(run, file, options.device)
    chosen = choose_data(run, trained, options.data, options.split)
    note(output, *chosen.notes)
    bad = BadImages(trained.settings.on_bad_image, len(chosen.part))
    outputs = _measure(trained, chosen, bad, options, output)
    evaluation = _evaluation(run, trained, chosen, outputs, bad, options)
    note(output, *evaluation.notes[len(chosen.notes) :])
    folder = run.eval / folder_name(run, file, chosen, options)
    _print(evaluation, folder, options.top, output)
    if not os.access(run.path, os.W_OK):
        note(output, f"Nothing is saved: {run.path} is read-only.")
        return
    pictures = pictures_of(trained, chosen.part.source, outputs.indices[outputs.worst(N_MISTAKES)])
    written = save_evaluation(folder, run, evaluation, outputs, chosen.part.source, pictures)
    note(output, f"Wrote {folder / written[0]}", f"  and beside it {', '.join(written[1:])}")
    if "predictions.csv" in written:
        note(output, "  predictions as Parquet need pyarrow: pip install 'clfctl[parquet]'")


def _checkpoint_file(run: RunFolder, which: str) -> Path:
    """Return the file of `best`, `last` or a path. Raises UsageError if there is no such file."""
    match which:
        case "best":
            # A run without validation has no best one: its last answers.
            return run.chosen
        case "last":
            return run.last
    file = Path(which).expanduser()
    if not file.is_file():
        what = "is no file" if file.exists() else "does not exist"
        raise UsageError(f"--checkpoint: {file} {what}", "give best, last, or a checkpoint file (.safetensors)")
    return next((each for each in (run.best, run.last) if each.is_file() and each.samefile(file)), file)


def folder_name(run: RunFolder, file: Path, chosen: "Chosen", options: EvalSettings) -> str:
    """Return the name of an evaluation's folder: what is measured with what; another data set has another name."""
    words = [chosen.split]
    if not chosen.is_own:
        words.append(_named(Path(chosen.data)))
    words.append(file.stem if file in (run.best, run.last) else _named(file))
    if options.tta > 1:
        words.append(f"tta{options.tta}")
    return "-".join(words)


def _named(path: Path) -> str:
    """Return a short name of a file or folder that no other has: its own, and a digest of where it lies."""
    place = hashlib.sha256(os.fsencode(path.expanduser().resolve())).hexdigest()[:6]
    plain = "".join(each if each.isascii() and (each.isalnum() or each in "._") else "_" for each in path.stem)
    return f"{plain[:40]}-{place}"


def _measure(
    trained: "Trained", chosen: "Chosen", bad: "BadImages", options: EvalSettings, output: OutputSettings
) -> "Outputs":
    from clfctl.data.pixels.views import views
    from clfctl.display.progress import progress_bar
    from clfctl.engine.assemble import make_loader
    from clfctl.engine.measure import measure
    from clfctl.engine.step import Normalize

    preprocess, device = trained.info.preprocess, trained.precision.device
    settings = trained.settings.model_copy(update={"batch_size": options.batch_size or trained.settings.batch_size})
    loader = make_loader(settings, chosen.part, preprocess, bad, device)
    loaders = [(replace(loader, crop=crop), mirrored) for crop, mirrored in views(options.tta)]
    normalize = Normalize(preprocess, device)
    with ExitStack() as stack:
        bar = progress_bar("Measuring", options.tta * len(chosen.part), hidden=output.quiet)
        outputs = measure(trained.model, loaders, trained.precision, normalize, stack.enter_context(bar))
    if not len(outputs.labels):
        hint = f"look at them: clfctl check-data {chosen.data}"
        raise DataError(f"--data: no image of {chosen.data} can be read", hint)
    return outputs


def _evaluation(
    run: RunFolder,
    trained: "Trained",
    chosen: "Chosen",
    outputs: "Outputs",
    bad: "BadImages",
    options: EvalSettings,
) -> "Evaluation":
    from clfctl.evaluation.metrics import compute_metrics
    from clfctl.evaluation.predictions import readable
    from clfctl.evaluation.record import Evaluation, Subject

    classes = [readable(name) for name in trained.info.classes]
    notes = list(chosen.notes)
    if bad.found:
        first = ", ".join(map(readable, list(bad.found)[:3]))
        notes.append(f"Bad images left out: {len(bad.found)} ({first})")
    return Evaluation(
        subject=Subject(
            run=readable(str(run.path)),
            checkpoint=readable(str(trained.file)),
            epoch=trained.n_epochs,
            model=trained.info.name,
            data=readable(chosen.data),
            split=chosen.split,
            n_views=options.tta,
            image_size=trained.info.preprocess.image_size,
        ),
        metrics=compute_metrics(outputs, classes),
        unknown={readable(name): n for name, n in chosen.unknown.items()},
        absent=tuple(map(readable, chosen.absent)),
        bad={readable(name): readable(reason) for name, reason in bad.found.items()},
        notes=tuple(map(readable, notes)),
        mistakes=_mistakes(outputs, chosen, classes),
    )


def _mistakes(outputs: "Outputs", chosen: "Chosen", classes: list[str]) -> "tuple[Mistake, ...]":
    from clfctl.evaluation.predictions import readable
    from clfctl.evaluation.record import Mistake

    found = []
    for place in outputs.worst(N_MISTAKES).tolist():
        row, true = outputs.probabilities[place], int(outputs.labels[place])
        predicted = int(row.argmax())
        file = readable(chosen.part.source.name(int(outputs.indices[place])))
        values = float(row[predicted]), float(row[true]), float(outputs.losses[place])
        found.append(Mistake(file, classes[true], classes[predicted], *values))
    return tuple(found)


def _print(evaluation: "Evaluation", folder: Path, top: int, output: OutputSettings) -> None:
    if output.json_lines:
        print(dump_json({**evaluation.as_record(), "folder": str(folder)}))
    elif output.quiet:
        return
    elif sys.stdout.isatty():
        from clfctl.display.eval_text import print_evaluation

        print_evaluation(evaluation, top)
    else:
        from clfctl.display.eval_text import plain_lines

        print(*plain_lines(evaluation, top), sep="\n")
