"""What quantisation costs and brings, way by way: the table of docs/decisions/0255-int8.md.

    python -m benchmarks.int8 RUN [image size to time at] [validation images] [calibration images]

RUN is a trained run whose images are still there. Accuracy is measured at the run's own image size, the time of one
image in one thread at the size given (224), float32 and int8 in turn. Ends with status 1 if the way that clfctl uses is
not the fastest of those within a point of float32, to a tenth.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import onnx

from clfctl.data.loader import BadImages
from clfctl.data.onlookers import no_step
from clfctl.data.sources.base import Part
from clfctl.data.sources.open import open_data
from clfctl.data.workers import n_cores
from clfctl.inference.export import finished, to_onnx
from clfctl.inference.judge import Speed, differences, speed_of
from clfctl.inference.onnx_predictor import start_onnx
from clfctl.inference.outputs import outputs_of
from clfctl.inference.predictor import Seen
from clfctl.inference.quantise import Quantise, by_channel, to_int8
from clfctl.inference.rework import in_batches, some_of, thinned
from clfctl.inference.trained import load_trained
from clfctl.models.card import Card
from clfctl.runs.folder import open_run

FILE = Path("int8.onnx")
WITHIN, AS_FAST = 0.01, 0.9
Bits = Literal["int8", "uint8"]
DEPTHWISE = "depthwise"


@dataclass(frozen=True)
class Way:
    """How a model is quantised, by default as `clfctl export` does it.

    `activations` and `weights` are the kinds of numbers, with a scale a channel of the weights where `per_channel`, of
    7 bits of them where `reduce_range`, and with zero in the middle of the activations where `symmetric`. `calibration`
    chooses the range of the activations; operators of the types in `in_float` are not quantised (DEPTHWISE are the
    convolutions with groups). `folded` lets ONNX Runtime fold what it can before.
    """

    activations: Bits = "uint8"
    weights: Bits = "int8"
    per_channel: bool = True
    reduce_range: bool = True
    symmetric: bool = False
    calibration: Literal["MinMax", "Entropy", "Percentile"] = "MinMax"
    in_float: tuple[str, ...] = ()
    folded: bool = True

    def __call__(self, given: str, made: str, reader: Any) -> None:
        """Write the model of a file into another one, quantised."""
        from onnxruntime import quantization as q
        from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry
        from onnxruntime.quantization.shape_inference import quant_pre_process

        prepared = str(Path(given).with_name("prepared.onnx"))
        quant_pre_process(given, prepared, skip_optimization=not self.folded, skip_symbolic_shape=True)
        kinds = {"int8": q.QuantType.QInt8, "uint8": q.QuantType.QUInt8}
        q.quantize_static(
            prepared,
            made,
            reader,
            quant_format=q.QuantFormat.QDQ,
            op_types_to_quantize=sorted({*QDQRegistry, *QLinearOpsRegistry} - {*self.in_float}),
            per_channel=self.per_channel,
            reduce_range=self.reduce_range,
            activation_type=kinds[self.activations],
            weight_type=kinds[self.weights],
            calibrate_method=q.CalibrationMethod[self.calibration],
            nodes_to_exclude=named_depthwise(prepared) if DEPTHWISE in self.in_float else [],
            extra_options={"ActivationSymmetric": self.symmetric},
        )


def named_depthwise(file: str) -> list[str]:
    """Return the names of the convolutions in a file that have groups; those without a name get one."""
    model = onnx.load(file)
    found = list[str]()
    for number, node in enumerate(model.graph.node):
        if node.op_type == "Conv" and any(each.name == "group" and each.i > 1 for each in node.attribute):
            node.name = node.name or f"depthwise_{number}"
            found.append(node.name)
    onnx.save(model, file)
    return found


USUAL, OURS = Way(), "as clfctl does it"
# Everything else is as in the first, which is `quantise.by_channel` itself.
WAYS: dict[str, Quantise] = {
    OURS: by_channel,
    "not folded before": replace(USUAL, folded=False),
    "weights of 8 bits": replace(USUAL, reduce_range=False),
    "int8 × int8": replace(USUAL, activations="int8"),
    "int8 × int8, symmetric": replace(USUAL, activations="int8", symmetric=True),
    "uint8 × uint8": replace(USUAL, weights="uint8", reduce_range=False),
    "one scale a tensor": replace(USUAL, per_channel=False),
    "calibrated by percentile": replace(USUAL, calibration="Percentile"),
    "calibrated by entropy": replace(USUAL, calibration="Entropy"),
    "depthwise in float32": replace(USUAL, in_float=(DEPTHWISE,)),
    "SiLU in float32": replace(USUAL, in_float=("Sigmoid", "Mul")),
    "only convolutions and the head": replace(USUAL, in_float=("Sigmoid", "Mul", "Add", "GlobalAveragePool")),
}


def made(content: bytes, card: Card, way: Quantise, seen: Sequence[Seen]) -> bytes:
    """Return a model in int8, calibrated on images."""
    proto = to_int8(onnx.load_from_string(content), in_batches(seen, no_step), way)
    return finished(proto, card)


def timed(large: bytes, card: Card, way: Quantise, seen: Sequence[Seen]) -> Speed:
    """Return the speed of a way at another image size: it is calibrated there, which costs no accuracy to speak of."""
    before, after = (start_onnx(FILE, each, n_threads=1) for each in (large, made(large, card, way, seen[:8])))
    return speed_of(before, after, seen[0])


def main() -> int:
    run, words = open_run(Path(sys.argv[1])), [int(word) for word in sys.argv[2:]]
    size, n_judged, n_calibrated = (*words, *(224, 1000, 128)[len(words) :])
    trained = load_trained(run, run.chosen)
    model, card = trained.model.to("cpu").float(), trained.info
    data = open_data(trained.settings, trained.settings.seed)
    content = to_onnx(model, card)
    large_card = replace(card, preprocess=replace(card.preprocess, image_size=size))
    large = to_onnx(model, large_card)
    part: Part = thinned(data.val, n_judged)
    float32 = start_onnx(FILE, content, n_threads=1)
    seen = some_of(data.train, n_calibrated, float32)
    large_seen = some_of(data.train, 8, start_onnx(FILE, large, n_threads=1))
    losses, times = dict[str, float](), dict[str, float]()
    print(f"{card.name}, {len(part)} images of {trained.settings.data}, calibrated on {len(seen)}; {size} px timed")
    for name, way in WAYS.items():
        after = start_onnx(FILE, made(content, card, way, seen), n_threads=1)
        bad = BadImages("skip", len(part))
        outputs = outputs_of([float32, after], part, bad, n_cores(), no_step)
        exact, coarse, low, high = differences(outputs[0], outputs[1])
        speed = timed(large, large_card, way, large_seen)
        losses[name], times[name] = exact - coarse, speed.times
        limits = f"{100 * (coarse - exact):+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"
        ms = f"{speed.ms_before:.1f} → {speed.ms_after:.1f} ms"
        print(f"| {name:32} | {exact:.1%} → {coarse:.1%} | {limits} | {ms} | {speed.times:.2f} |", flush=True)
    fastest = max(times[name] for name, loss in losses.items() if loss <= WITHIN)
    return int(times[OURS] < AS_FAST * fastest)


if __name__ == "__main__":
    sys.exit(main())
