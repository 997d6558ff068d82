"""From a trained model to the bytes of a model.onnx, by torch's exporter, and the proof that both say the same."""

import logging
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from clfctl.data.pixels.decode import Pixels
from clfctl.data.pixels.transform import Preprocess
from clfctl.errors import ModelError, first_line
from clfctl.inference.onnx_file import OUTPUT, input_names, to_metadata, with_checksum
from clfctl.inference.onnx_predictor import OnnxPredictor
from clfctl.inference.predictor import Seen
from clfctl.models.card import Card
from clfctl.version import __version__

# Largest difference of any probability that is taken for rounding.
TOLERANCE = 1e-4
# Of the older exporter: enough for attention, and no more than it knows in torch 2.6.
TRACED_OPSET = 17
LARGEST_BYTES = 2**31 - 1  # of a message of protocol buffers


class FromPixels(nn.Module):
    """A classifier that takes pixels as they are decoded and gives probabilities."""

    scale: torch.Tensor
    shift: torch.Tensor

    def __init__(self, model: nn.Module, preprocess: Preprocess) -> None:
        super().__init__()
        self.model = model
        mean, std = (torch.tensor(each).view(3, 1, 1) for each in (preprocess.mean, preprocess.std))
        self.register_buffer("scale", 1 / (255 * std))
        self.register_buffer("shift", -mean / std)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return (B, n_classes) float32, each row of sum 1, of images (B, H, W, 3) uint8."""
        images = pixels.permute(0, 3, 1, 2).to(torch.float32)
        logits: torch.Tensor = self.model(images * self.scale + self.shift)
        return logits.softmax(1)


def to_onnx(model: nn.Module, info: Card) -> bytes:
    """Return a model, on the CPU and in evaluation mode, as the bytes of a model.onnx. Raises ModelError."""
    return whole_to_onnx(FromPixels(model, info.preprocess).eval(), info, ({0: torch.export.Dim("batch")},))


def whole_to_onnx(whole: nn.Module, info: Card, shapes: Any) -> bytes:
    """Return a module that takes pixels, in each of the card's views, and gives probabilities, as `to_onnx` does.

    `shapes` are the dynamic shapes of its inputs, as torch.export takes them. torch has two exporters: the newer is
    tried first, the older where it fails.
    """
    import onnx

    example = tuple(torch.zeros(2, *view.size, 3, dtype=torch.uint8) for view in info.views)
    errors: list[Exception] = []
    for export in (_by_graph, _by_trace):
        try:
            with _quiet():
                proto = onnx.load_from_string(export(whole, example, shapes))
            _forget_sources(proto)
            content = finished(proto, info)
        except ModelError:
            raise
        except Exception as error:  # an exporter raises what any operator of any model does
            errors.append(error)
        else:
            return content
    reasons = " and ".join(dict.fromkeys(first_line(_root(error)) for error in errors))
    raise ModelError(f"{info.name} cannot be exported as ONNX: {reasons}", "use the checkpoint itself") from errors[-1]


def finished(proto: Any, info: Card, records: Mapping[str, Any] | None = None) -> bytes:
    """Return the bytes of a file, with its metadata and its checksum; `records` as in `to_metadata`."""
    del proto.metadata_props[:]
    for key, text in to_metadata(info, __version__, records).items():
        proto.metadata_props.add(key=key, value=text)
    content: bytes = proto.SerializeToString()
    return with_checksum(content)


def _forget_sources(proto: Any) -> None:
    """Take out what the exporters note of where each node comes from: paths and lines of this machine's code."""
    for graph in (proto.graph, *proto.functions):
        for each in (graph, *graph.node, *graph.value_info):
            each.doc_string = ""
            del each.metadata_props[:]
    for each in (*proto.graph.input, *proto.graph.output, *proto.graph.initializer):
        each.doc_string = ""
        del each.metadata_props[:]


def _by_graph(whole: nn.Module, example: tuple[torch.Tensor, ...], shapes: Any) -> bytes:
    """Export by torch.export, which follows the code of the model."""
    program = torch.onnx.export(
        whole,
        example,
        input_names=input_names(len(example)),
        output_names=[OUTPUT],
        dynamic_shapes=shapes,
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    assert program is not None  # it is only where a file was given
    proto = program.model_proto
    if proto.ByteSize() > LARGEST_BYTES:
        raise ModelError("the model is too large for one ONNX file", "use the checkpoint itself")
    content: bytes = proto.SerializeToString()
    return content


def _by_trace(whole: nn.Module, example: tuple[torch.Tensor, ...], shapes: Any) -> bytes:  # noqa: ARG001 (as above)
    """Export by a trace of what the model does with an example, as versions of torch before 2.5 did."""
    file: Any = BytesIO()  # this exporter writes to one, though it is typed for paths alone
    torch.onnx.export(
        whole,
        example,
        file,
        input_names=input_names(len(example)),
        output_names=[OUTPUT],
        dynamic_axes={name: {0: "batch"} for name in (*input_names(len(example)), OUTPUT)},
        opset_version=TRACED_OPSET,
        dynamo=False,
        verbose=False,
    )
    content: bytes = file.getvalue()
    return content


def _root(error: BaseException) -> BaseException:
    """Return what an error began with: an exporter wraps it in pages of advice."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def difference(exported: OnnxPredictor, model: nn.Module, info: Card, pixels: Pixels) -> float:
    """Return by how much at most the probabilities of two models differ over images (B, H, W, 3) uint8."""
    return whole_difference(exported, FromPixels(model, info.preprocess).eval(), [(each,) for each in pixels])


@torch.inference_mode()
def whole_difference(exported: OnnxPredictor, whole: nn.Module, seen: Sequence[Seen]) -> float:
    """Return by how much at most the probabilities differ of images that were seen in all views.

    They are asked for all at once, and for one alone: an exported model may have learned the number by heart.
    """
    differences: list[NDArray[np.float32]] = []
    for images in (seen, seen[:1]):
        views = [torch.from_numpy(np.stack(each)) for each in zip(*images, strict=True)]
        expected: NDArray[np.float32] = whole(*views).numpy()
        found = exported.probabilities(images)
        if found.shape != expected.shape:
            return math.inf
        differences.append(np.abs(found - expected))
    return float(np.concatenate(differences).max())  # NaN if one is


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the exporter has to say about itself from the user: what counts is checked afterwards."""
    logs = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [each.level for each in logs]
    for each in logs:
        each.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for each, level in zip(logs, levels, strict=True):
            each.setLevel(level)
