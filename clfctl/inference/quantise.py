"""A model.onnx in whole numbers of 8 bits: ONNX Runtime's static quantisation, calibrated on images."""

import logging
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx

from clfctl.errors import ModelError, first_line
from clfctl.inference.onnx_file import input_names
from clfctl.inference.predictor import Seen

Bits = Literal["int8", "uint8"]
DEPTHWISE = "depthwise"
CALIBRATED_AT_ONCE = 4  # as many images as the exported model is asked about at once


@dataclass(frozen=True)
class Way:
    """How a model is quantised; see docs/decisions/0255-int8.md for what was tried.

    `activations` and `weights` are the kinds of numbers, with a scale a channel of the weights where `per_channel`, of
    7 bits of them where `reduce_range`, and with zero in the middle of the activations where `symmetric`. `calibration`
    chooses the range of the activations; operators of the types in `in_float` are not quantised (DEPTHWISE are the
    convolutions with groups). `optimised` lets ONNX Runtime fold what it can before.
    """

    activations: Bits = "uint8"
    weights: Bits = "int8"
    per_channel: bool = True
    reduce_range: bool = True
    symmetric: bool = False
    calibration: Literal["MinMax", "Entropy", "Percentile"] = "MinMax"
    in_float: tuple[str, ...] = ()
    optimised: bool = True

    def __str__(self) -> str:
        kinds = f"{self.activations} × {self.weights}"
        bits = "7 bits" if self.reduce_range else "8 bits"
        scales = "a scale a channel" if self.per_channel else "one scale"
        return f"{kinds}, {bits}, {scales}, {self.calibration}"


USUAL = Way()


def to_int8(model: onnx.ModelProto, batches: Iterable[Sequence[Seen]], way: Way = USUAL) -> onnx.ModelProto:
    """Return a model whose activations were seen over batches of images as one of 8 bits (QDQ format).

    Raises ModelError where ONNX Runtime cannot.
    """
    with _quiet(), tempfile.TemporaryDirectory(prefix="clfctl-int8-") as place:
        try:
            return _quantised(model, batches, way, Path(place))
        except Exception as error:  # its quantiser raises what any operator of any model does
            hint = "export it without `int8=`"
            raise ModelError(f"this model cannot be quantised: {first_line(error)}", hint, field="int8") from error


def _quantised(model: onnx.ModelProto, batches: Iterable[Sequence[Seen]], way: Way, place: Path) -> onnx.ModelProto:
    from onnxruntime import quantization as q
    from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry
    from onnxruntime.quantization.shape_inference import quant_pre_process

    given, prepared, made = (str(place / f"{name}.onnx") for name in ("given", "prepared", "made"))
    onnx.save(model, given)
    # Symbolic shapes are for transformers whose sizes are free; here only the batch is.
    quant_pre_process(given, prepared, skip_optimization=not way.optimised, skip_symbolic_shape=True)
    depthwise = _named_depthwise(prepared) if DEPTHWISE in way.in_float else []
    kinds = {"int8": q.QuantType.QInt8, "uint8": q.QuantType.QUInt8}
    operators = sorted({*QDQRegistry, *QLinearOpsRegistry} - {*way.in_float})
    q.quantize_static(
        prepared,
        made,
        _Reader(batches),
        quant_format=q.QuantFormat.QDQ,
        op_types_to_quantize=operators,
        per_channel=way.per_channel,
        reduce_range=way.reduce_range,
        activation_type=kinds[way.activations],
        weight_type=kinds[way.weights],
        calibrate_method=q.CalibrationMethod[way.calibration],
        nodes_to_exclude=depthwise,
        extra_options={"ActivationSymmetric": way.symmetric},
    )
    return onnx.load(made)


def _named_depthwise(file: str) -> list[str]:
    """Return the names of the convolutions in a file that have groups; those without a name get one."""
    model = onnx.load(file)
    found = list[str]()
    for number, node in enumerate(model.graph.node):
        if node.op_type == "Conv" and any(each.name == "group" and each.i > 1 for each in node.attribute):
            node.name = node.name or f"depthwise_{number}"
            found.append(node.name)
    onnx.save(model, file)
    return found


class _Reader:
    """Batches as ONNX Runtime's quantiser asks for them."""

    def __init__(self, batches: Iterable[Sequence[Seen]]) -> None:
        self._rest = iter(batches)

    def get_next(self) -> dict[str, Any] | None:
        """Return the next batch by the names of the inputs, None after the last."""
        if (batch := next(self._rest, None)) is None:
            return None
        views = [np.stack(each) for each in zip(*batch, strict=True)]
        return dict(zip(input_names(len(views)), views, strict=True))


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the quantiser has to say about itself from the user, and the root logger as it is: it sets that up."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    root, disabled = logging.getLogger(), logging.root.manager.disable
    handlers, level = [*root.handlers], root.level
    logging.disable(logging.WARNING)
    try:
        with redirect_stdout(StringIO()):
            yield
    finally:
        logging.disable(disabled)
        root.handlers[:] = handlers
        root.setLevel(level)
