"""Preprocessing inside the graph: a model.onnx that takes whole pictures of any size, and cuts and scales them."""

import math
from collections.abc import Sequence

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, version_converter

from clfctl.data.pixels.fit import Scaling
from clfctl.data.pixels.transform import Preprocess
from clfctl.inference.onnx_file import INPUT, input_names
from clfctl.inference.onnx_nodes import Nodes, Value
from clfctl.inference.onnx_resize import COLUMNS, ROWS, Size, resized

OPSET = 18  # whose Resize is the first with antialias
IR_VERSION = 8  # that goes with it
PREPARED = "prepared"  # what the model itself gets
_SIDES = ("batch", "height", "width", 3)


def bake(model: ModelProto, views: Sequence[Preprocess]) -> ModelProto:
    """Return a model of prepared pixels, one input (B, H, W, 3) for each view, as one of whole pictures of any size.

    A batch is of pictures of one size. Raises whatever onnx does where the model's operators cannot be written in the
    opset that has what is needed.
    """
    baked = ModelProto()
    baked.CopyFrom(model if _opset_of(model) >= OPSET else version_converter.convert_version(model, OPSET))
    graph, own, names = baked.graph, [*baked.graph.node], input_names(len(views))
    del graph.node[:]
    for name, view in zip(names, views, strict=True):
        nodes = preparing(view, f"{PREPARED}_{name}")
        for node in own:
            _rename_inputs(node, name, f"{PREPARED}_{name}")
        graph.node.extend(nodes.nodes)
        graph.initializer.extend(nodes.constants)
    graph.node.extend(own)
    others = [each for each in graph.input if each.name not in names]
    del graph.input[:]
    graph.input.extend([helper.make_tensor_value_info(INPUT, TensorProto.UINT8, _SIDES), *others])
    return baked


def preparing_alone(preprocess: Preprocess) -> ModelProto:
    """Return a model that only prepares pixels, from `INPUT` to `PREPARED`: what it makes can be looked at."""
    nodes = preparing(preprocess, PREPARED)
    given = helper.make_tensor_value_info(INPUT, TensorProto.UINT8, _SIDES)
    made = helper.make_tensor_value_info(PREPARED, TensorProto.UINT8, (_SIDES[0], *preprocess.size, 3))
    graph = helper.make_graph(nodes.nodes, "prepare", [given], [made], nodes.constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def preparing(preprocess: Preprocess, output: Value) -> Nodes:
    """Return nodes that do what `to_pixels` does, from `INPUT` (B, any, any, 3) to `output` (B, H, W, 3), uint8."""
    g, scaling = Nodes(f"prepare/{output}"), preprocess.scaling
    middle, before = _middle(g, scaling)
    after = _size_of(g, scaling, before)
    pixels = resized(g, middle, before, after, scaling.interpolation)
    places = [_places(g, preprocess, n, side) for n, side in zip(after, preprocess.size, strict=True)]
    for axis, (place, _) in zip((ROWS, COLUMNS), places, strict=True):
        pixels = g.add("Gather", pixels, place, axis=axis)
    if preprocess.frame is None:
        g.add("Identity", pixels, output=output)
        return g
    (_, row_is_there), (_, column_is_there) = places
    rows = g.add("Reshape", row_is_there, g.whole(1, -1, 1, 1))
    columns = g.add("Reshape", column_is_there, g.whole(1, 1, -1, 1))
    colour = g.constant([[[preprocess.frame]]], np.uint8)
    g.add("Where", g.add("And", rows, columns), pixels, colour, output=output)
    return g


def _middle(g: Nodes, scaling: Scaling) -> tuple[Value, Size]:
    """Return what of the pictures is scaled, and its (height, width): see `Scaling.middle`."""
    shape = g.add("Shape", INPUT)
    height, width = (g.add("Gather", shape, g.whole(axis)) for axis in (ROWS, COLUMNS))
    if scaling.fit != "crop":
        return INPUT, (height, width)
    times = 4 * math.ceil(max(scaling.width / scaling.height, scaling.height / scaling.width))
    longest = g.add("Mul", g.whole(times), g.add("Min", height, width))
    none, two = g.whole(0), g.whole(2)
    starts = [g.add("Div", g.add("Max", none, g.add("Sub", side, longest)), two) for side in (height, width)]
    ends = [g.add("Sub", side, start) for side, start in zip((height, width), starts, strict=True)]
    start, end = (g.add("Concat", *each, axis=0) for each in (starts, ends))
    part = g.add("Slice", INPUT, start, end, g.whole(ROWS, COLUMNS))
    top, left = (g.add("Sub", end, start) for start, end in zip(starts, ends, strict=True))
    return part, (top, left)


def _size_of(g: Nodes, scaling: Scaling, before: Size) -> Size:
    """Return (height, width) of what becomes of the middle: see `Scaling.size_of`."""
    wanted = scaling.height, scaling.width
    if scaling.fit == "stretch":
        return g.whole(wanted[0]), g.whole(wanted[1])
    if scaling.fit == "crop" and scaling.height == scaling.width:
        smallest = g.add("Min", *before)
        rows, columns = (g.add("Div", g.add("Mul", side, g.whole(wanted[0])), smallest) for side in before)
        return rows, columns
    sides = [g.to_real(side) for side in before]
    ratios = [g.add("Div", side, g.real(each)) for side, each in zip(sides, wanted, strict=True)]
    ratio = g.add("Min" if scaling.fit == "crop" else "Max", *ratios)
    rounded = (g.to_whole(g.add("Round", g.add("Div", side, ratio))) for side in sides)  # to even, as Python does
    rows, columns = (g.add("Max", g.whole(1), side) for side in rounded)
    return rows, columns


def _places(g: Nodes, preprocess: Preprocess, n: Value, wanted: int) -> tuple[Value, Value]:
    """Return which of n pixels of a side is seen in each of `wanted` places, and in which of these is the picture.

    Of a longer side the middle is seen; a shorter one is in the middle of a frame, which goes on mirrored or has a
    colour: see `to_pixels` and `framed`.
    """
    last, side, none = g.add("Sub", n, g.whole(1)), g.whole(wanted), g.whole(0)
    more = g.to_real(g.add("Max", none, g.add("Sub", n, side)))
    first = g.to_whole(g.add("Round", g.add("Mul", more, g.real(0.5))))
    before = g.add("Div", g.add("Max", none, g.add("Sub", side, n)), g.whole(2))
    place = g.add("Add", g.constant(np.arange(wanted), np.int64), g.add("Sub", first, before))
    there = g.add("And", g.add("Not", g.add("Less", place, none)), g.add("Less", place, n))
    if preprocess.frame is None:
        period = g.add("Max", g.whole(1), g.add("Mul", g.whole(2), last))
        place = g.add("Mod", g.add("Abs", place), period)
        return g.add("Min", place, g.add("Sub", period, place)), there
    return g.add("Min", g.add("Max", place, none), last), there


def _opset_of(model: ModelProto) -> int:
    return max((int(each.version) for each in model.opset_import if each.domain in ("", "ai.onnx")), default=0)


def _rename_inputs(node: NodeProto, old: str, new: str) -> None:
    """Let a node, and what is inside of it, read another value than before."""
    for place, name in enumerate(node.input):
        if name == old:
            node.input[place] = new
    for attribute in node.attribute:
        for inner in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else ())):
            for each in inner.node:
                _rename_inputs(each, old, new)
