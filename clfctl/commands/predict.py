"""clfctl predict: the classes of images, in a table or for another program; without torch where a model.onnx is."""

import os
import sys
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from clfctl.commands.predict_options import Format, PredictOptions, choose_format
from clfctl.data.workers import n_cores
from clfctl.display.output import Output, no_bar
from clfctl.engine.signals import EXIT_CODES, StopSignals, stopping_at_once
from clfctl.errors import DataError, Interrupted, UsageError
from clfctl.inference.inputs import Inputs, find_inputs, why_no_path
from clfctl.inference.open import check_model, named_models, open_predictor
from clfctl.inference.sorted_copies import SortedCopies, check_folder
from clfctl.runs.ensemble import Model, model_from
from clfctl.settings.ensembles import Rule
from clfctl.storage.files import explained, replace_file
from clfctl.storage.names import plain

if TYPE_CHECKING:
    from clfctl.inference.prediction import Choice, Prediction
    from clfctl.inference.predictor import Predictor

# The first images, whose names decide the width of the table's first column.
N_MEASURED = 200
# Seconds between two writes to a terminal or a pipe.
FLUSH_S = 0.1


@dataclass
class Tally:
    """What has been answered so far; `bad` has the first names that could not be read."""

    n_images: int = 0
    n_bad: int = 0
    bad: list[str] = field(default_factory=list)

    def add(self, prediction: "Prediction") -> None:
        """Count a prediction."""
        self.n_images += 1
        if prediction.error:
            self.n_bad += 1
            if len(self.bad) < 3:
                self.bad.append(prediction.name)


def predict_or_warm(
    first: Path, words: Sequence[str], rule: Rule | None, options: PredictOptions, output: Output, *, warm: bool
) -> bool:
    """Name the classes of images that are named now, or line by line; return whether all of the former were read.

    The words are images, and before them the models that answer as one with the first, by the rule.
    """
    paths, words = named_models(first, words)
    model = model_from(paths, rule)
    check_model(model)
    if warm and words:
        raise UsageError("the paths come on standard input", f"leave {words[0]} out", field="warm")
    if warm:
        answer_lines(model, options, output)
        return True
    if not words:
        raise UsageError("there is no image to look at", "give image files, folders of images, or - for standard input")
    return predict(model, words, options, output)


def predict(model: Model, words: Sequence[str], options: PredictOptions, output: Output) -> bool:
    """Name the classes of images; return whether all of them could be read."""
    style = choose_format(options, as_json=output.as_json)
    inputs = find_inputs(words)
    if options.copy_to:
        check_folder(options.copy_to, inputs)
    with stopping_at_once("no image was read yet"):
        is_one = len(list(islice(inputs, 2))) == 1
        predictor = open_predictor(model, n_cores() if is_one else 1, output.note)
    tally, started = Tally(), time.perf_counter()
    copies = SortedCopies(options.copy_to) if options.copy_to else None
    with StopSignals() as signals, warnings.catch_warnings():
        # Of Pillow's, about metadata and large images: an image can be read or it cannot.
        warnings.simplefilter("ignore")
        with _progress(inputs, output, is_one=is_one) as advance:

            def each() -> "Iterator[Prediction]":
                for prediction in _predictions(predictor, inputs, options, is_one=is_one):
                    if copies:
                        copies.add(prediction)
                    tally.add(prediction)
                    yield prediction
                    advance(1)
                    if signals.received:  # what is written ends with a whole row
                        return

            _write(_lines(each(), style, predictor, inputs, options, output), style, options, output)
        if signals.received:
            what = f"Stopped by {signals.received.name} after {tally.n_images} images."
            kept = f"{options.output} has them" if options.output else ""
            raise Interrupted(what, kept, EXIT_CODES[signals.received])
    took_s = time.perf_counter() - started
    output.note(*_summary(tally, predictor, options, copies, took_s, is_one=is_one))
    output.note(*(f"Not searched: {plain(folder)}: {why}" for folder, why in inputs.unlisted.items()))
    return not (tally.n_bad or inputs.unlisted)


def answer_lines(model: Model, options: PredictOptions, output: Output) -> None:
    """Answer each line of standard input, the path of an image, with a line of JSON, at once; until its end."""
    if options.format or options.output:
        given = "format" if options.format else "output"
        hint = f"leave `{given}=` out"
        raise UsageError("`warm=True` answers in JSON lines on standard output", hint, field=given)
    with stopping_at_once("no more lines are answered"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        predictor = open_predictor(model, n_cores(), output.note)
        from clfctl.display.predictions import json_lines
        from clfctl.inference.prediction import Prediction
        from clfctl.inference.stream import predict_one

        choice = _choice(options)
        copies = SortedCopies(options.copy_to) if options.copy_to else None
        output.note(f"Ready: {predictor.title}. Send one path a line.")
        for line in sys.stdin.buffer:
            name = os.fsdecode(line.rstrip(b"\n").removesuffix(b"\r"))
            why = why_no_path(name) or ("standard input has the paths" if name == "-" else "")
            answer = Prediction(name, error=why) if why else predict_one(predictor, name, choice)
            if copies:
                copies.add(answer)
            output.stream(json_lines([answer]))


def _choice(options: PredictOptions) -> "Choice":
    from clfctl.inference.prediction import Choice

    return Choice(options.top_k, options.threshold)


def _predictions(
    predictor: "Predictor", inputs: Inputs, options: PredictOptions, *, is_one: bool
) -> "Iterator[Prediction]":
    from clfctl.inference.stream import predict_one, predictions

    choice = _choice(options)
    if is_one:
        return (predict_one(predictor, name, choice) for name in inputs)
    workers = options.workers or n_cores()
    return predictions(predictor, inputs, choice, batch_size=options.batch_size, workers=workers)


def _lines(
    predictions: "Iterable[Prediction]",
    style: Format,
    predictor: "Predictor",
    inputs: Inputs,
    options: PredictOptions,
    output: Output,
) -> Iterator[str]:
    from clfctl.display import predictions as text

    match style:
        case "json":
            return text.json_array(predictions)
        case "jsonl":
            return text.json_lines(predictions)
        case "csv":
            return text.csv_lines(predictions, min(options.top_k, len(predictor.info.classes)))
    width = output.width() if output.on_terminal and not options.output else None
    columns = text.columns_for(islice(inputs, N_MEASURED), predictor.info.classes, options.top_k, width)
    return text.table_lines(predictions, columns, color=output.has_color and not options.output)


def _write(lines: Iterator[str], style: Format, options: PredictOptions, output: Output) -> None:
    """Write the lines as they come, to the file or to standard output; a file is there when it is whole."""
    if options.output:
        with explained(options.output):
            replace_file(options.output, (plain(line).encode() for line in lines))
    elif output.is_quiet and style == "table":
        deque(lines, maxlen=0)
    else:
        # What is copied is asked for whether or not anyone reads on.
        output.stream(lines, keeps_on=options.copy_to is not None)


def _progress(inputs: Inputs, output: Output, *, is_one: bool) -> AbstractContextManager[Callable[[int], None]]:
    return no_bar() if is_one else output.bar_below_rows(lambda: sum(1 for _ in inputs))


def _summary(
    tally: Tally,
    predictor: "Predictor",
    options: PredictOptions,
    copies: SortedCopies | None,
    took_s: float,
    *,
    is_one: bool,
) -> Iterator[str]:
    if tally.n_images == 0:
        raise DataError("the images are gone")
    if not is_one:
        rate = f"{tally.n_images / took_s:.0f} images/s" if took_s else ""
        yield f"{tally.n_images} images in {took_s:.1f} s ({rate}; {predictor.title})"
    if tally.n_bad:
        more = f" and {tally.n_bad - len(tally.bad)} more" if tally.n_bad > len(tally.bad) else ""
        yield f"Not read: {tally.n_bad} ({plain(', '.join(tally.bad))}{more})"
    if copies:
        yield copies.summary()
    if options.output:
        yield f"Wrote {options.output}"
