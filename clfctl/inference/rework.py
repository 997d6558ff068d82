"""An exported model in int8, or one that takes whole pictures: measured, and refused if it is worse."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from clfctl.data.loader import BadImages
from clfctl.data.onlookers import Onlookers
from clfctl.data.pixels.decode import see_and_close
from clfctl.data.sources.base import Data, Part
from clfctl.data.workers import n_cores
from clfctl.errors import ModelError, first_line
from clfctl.inference.agreement import Agreement, agreement_of, pictures_of
from clfctl.inference.baking import bake
from clfctl.inference.export import finished
from clfctl.inference.judge import Judged, differences, speed_of
from clfctl.inference.onnx_file import AGREEMENT, INT8
from clfctl.inference.onnx_predictor import OnnxPredictor, start_onnx
from clfctl.inference.outputs import outputs_of
from clfctl.inference.predictor import Seen
from clfctl.inference.quantise import CALIBRATED_AT_ONCE, WAY, to_int8
from clfctl.inference.rework_options import Rework
from clfctl.models.card import Card

# Of more held-out images these many are judged on, evenly chosen: then the interval is about two points wide.
MOST_JUDGED = 2000
CHECK = "clfctl check-data shows what is wrong"
_SEED = 0


@dataclass(frozen=True)
class Reworked:
    """The bytes of a file, what it says of itself, and what was measured of it."""

    content: bytes
    info: Card
    int8: Judged | None
    agreement: Agreement | None


def rework(content: bytes, info: Card, data: Data | None, wanted: Rework, target: Path, to: Onlookers) -> Reworked:
    """Return an exported model as it is wanted. Raises ModelError where it would be worse than it may be, or cannot be.

    `data` is that of the run; without it there is nothing to calibrate on. `target` is what the file will be called.
    """
    proto, judged, records = onnx.load_from_string(content), None, dict[str, Any]()
    if wanted.int8:
        if data is None:
            raise ModelError("int8 is calibrated on the run's images", "export it without `int8=True`", field="int8")
        proto, judged = _in_int8(content, info, data, wanted, target, to)
        records[INT8] = judged.as_record()
        content = finished(proto, info, records)
    if not wanted.bake_preprocessing:
        return Reworked(content, info, judged, None)
    whole = replace(info, takes_whole=True)
    try:
        baked = bake(proto, info.views)
    except Exception as error:  # onnx raises what any operator of any model does
        hint = "export it without `bake_preprocessing=True`"
        what = f"{info.name} cannot be given its preprocessing: {first_line(error)}"
        raise ModelError(what, hint, field="bake_preprocessing") from error
    prepared, ours = (start_onnx(target, each, n_threads=1) for each in (content, finished(baked, whole)))
    part = (data.val or data.train) if data else None
    images = "the data and of scikit-learn" if part else "scikit-learn"
    agreement = agreement_of(prepared, ours, pictures_of(part), images)
    records[AGREEMENT] = agreement.as_record()
    return Reworked(finished(baked, whole, records), whole, judged, agreement)


def _in_int8(
    content: bytes, info: Card, data: Data, wanted: Rework, target: Path, to: Onlookers
) -> tuple[onnx.ModelProto, Judged]:
    held_out, split = _held_out(data)
    before = start_onnx(target, content, n_threads=1)
    seen = some_of(data.train, wanted.calibrate, before)
    with to.bar("Calibrating", len(seen)) as advance:
        proto = to_int8(onnx.load_from_string(content), in_batches(seen, advance))
    after = start_onnx(target, finished(proto, info), n_threads=1)
    part = thinned(held_out, MOST_JUDGED)
    bad = BadImages("skip", len(part))
    with to.bar("Measuring", len(part)) as advance:
        outputs = outputs_of([before, after], part, bad, n_cores(), advance)
    if not len(outputs[0].labels):
        raise ModelError(f"none of the {split} images can be read", CHECK, field="int8")
    judged = Judged(
        WAY,
        len(seen),
        len(outputs[0].labels),
        len(held_out),
        split,
        *differences(outputs[0], outputs[1]),
        speed_of(before, after, seen[0]),
    )
    _check(judged, wanted.max_loss, to)
    return proto, judged


def _check(judged: Judged, max_loss: float, to: Onlookers) -> None:
    """Raise ModelError if int8 loses more than it may; tell if it might, for all that these images can say."""
    shares = f"{judged.after:.1%} of {judged.n_images} {judged.split} images are right, {judged.before:.1%} in float32"
    if judged.loss > max_loss:
        what = f"int8 loses {judged.loss:.1%}, more than `max_loss={max_loss:g}`: {shares}"
        hint = "nothing was written; calibrate on more images, allow more, or leave this model in float32"
        raise ModelError(what, hint)
    if judged.speed.times < 1:
        to.tell("Warning: int8 is smaller, but slower on this processor: see docs/inference.md.")
    if -judged.low > max_loss:
        least = f"on so few images a loss of {-judged.low:.1%} cannot be told from none"
        to.tell(f"Warning: int8 is within `max_loss={max_loss:g}` on {judged.n_images} images, but {least}.")


def _held_out(data: Data) -> tuple[Part, str]:
    """Return images that the model was not fitted to, and what they are called."""
    if len(data.val):
        return data.val, "validation"
    if data.test and len(data.test):
        return data.test, "test"
    hint = "train with `val_split=`, or export without `int8=True`"
    raise ModelError("there are no validation images to judge int8 on", hint, field="int8")


def some_of(part: Part, n: int, predictor: OnnxPredictor) -> list[Seen]:
    """Return at most n images of a part as a model sees them, drawn without replacement, always the same."""
    order = np.random.default_rng(_SEED).permutation(len(part))
    found = list[Seen]()
    for place in order.tolist():
        if len(found) == n:
            break
        with suppress(Exception):  # a bad image: training has told
            image = part.source.open(int(part.indices[place]))
            found.append(see_and_close(image, predictor.look))
    if not found:
        raise ModelError("none of the training images can be read", CHECK, field="int8")
    return found


def in_batches(seen: Sequence[Seen], advance: Callable[[int], object]) -> Iterator[Sequence[Seen]]:
    """Yield some images at a time; `advance` is told of each batch that was used."""
    for first in range(0, len(seen), CALIBRATED_AT_ONCE):
        batch = seen[first : first + CALIBRATED_AT_ONCE]
        yield batch
        advance(len(batch))


def thinned(part: Part, most: int) -> Part:
    """Return at most so many images of a part, evenly chosen."""
    if len(part) <= most:
        return part
    places = np.linspace(0, len(part) - 1, most).round().astype(int)
    return replace(part, indices=[int(part.indices[place]) for place in places])
