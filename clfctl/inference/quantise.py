"""A model.onnx in whole numbers of 8 bits: ONNX Runtime's static quantisation, calibrated on images."""

import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from clfctl.errors import ModelError, first_line
from clfctl.inference.onnx_file import input_names
from clfctl.inference.predictor import Seen

CALIBRATED_AT_ONCE = 4  # as many images as the exported model is asked about at once
# What the files say of themselves; see docs/decisions/0255-int8.md for what else was tried.
WAY = "uint8 × int8, 7 bits, a scale a channel, MinMax"
# Writes the model of a file into another one, quantised; the last argument is ONNX Runtime's reader of batches.
Quantise = Callable[[str, str, Any], None]


def by_channel(given: str, made: str, reader: Any) -> None:
    """Quantise what can be, with a scale for each channel of the weights."""
    from onnxruntime import quantization as q
    from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared = str(Path(given).with_name("prepared.onnx"))
    # Symbolic shapes are for transformers whose sizes are free; here only the batch is.
    quant_pre_process(given, prepared, skip_symbolic_shape=True)
    q.quantize_static(
        prepared,
        made,
        reader,
        quant_format=q.QuantFormat.QDQ,
        op_types_to_quantize=sorted({*QDQRegistry, *QLinearOpsRegistry}),
        per_channel=True,
        reduce_range=True,
        activation_type=q.QuantType.QUInt8,
        weight_type=q.QuantType.QInt8,
        calibrate_method=q.CalibrationMethod.MinMax,
    )


def to_int8(
    model: onnx.ModelProto, batches: Iterable[Sequence[Seen]], quantise: Quantise = by_channel
) -> onnx.ModelProto:
    """Return a model whose activations were seen over batches of images as one of 8 bits (QDQ format).

    Raises ModelError where ONNX Runtime cannot.
    """
    with _quiet(), tempfile.TemporaryDirectory(prefix="clfctl-int8-") as place:
        try:
            given, made = (str(Path(place) / f"{name}.onnx") for name in ("given", "made"))
            onnx.save(model, given)
            quantise(given, made, _Reader(batches))
            return onnx.load(made)
        except Exception as error:  # its quantiser raises what any operator of any model does
            hint = "export it without `int8=`"
            raise ModelError(f"this model cannot be quantised: {first_line(error)}", hint, field="int8") from error


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
