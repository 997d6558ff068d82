"""Pillow's resize as nodes of an ONNX graph, for sizes that are known when the graph runs.

ONNX's Resize has antialias since opset 18: ONNX Runtime's is Pillow's filter, in whole numbers, where `exclude_outside`
leaves out what is beyond the edge. Of the filters that ONNX does not have the weights are computed and multiplied.
Columns come before rows, as in torch and ONNX Runtime; Pillow 13 begins with the rows of a picture that loses many.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import TensorProto

from clfctl.inference.onnx_nodes import Nodes, Value
from clfctl.settings.data import Interpolation

ROWS, COLUMNS = 1, 2  # axes of (B, H, W, 3)
_CUBIC = -0.5  # the coefficient of Pillow's


Size = tuple[Value, Value]  # height and width, each of the shape (1,)


def resized(g: Nodes, pixels: Value, before: Size, after: Size, by: Interpolation) -> Value:
    """Return (B, *after, 3) uint8 of (B, *before, 3) uint8."""
    if by == "bilinear":
        return _by_onnx(g, pixels, after, mode="linear")
    if by == "bicubic":
        return _by_onnx(g, pixels, after, mode="cubic", cubic_coeff_a=_CUBIC)
    if by == "nearest":
        wide = g.add("Gather", pixels, _nearest(g, before[1], after[1]), axis=COLUMNS)
        return g.add("Gather", wide, _nearest(g, before[0], after[0]), axis=ROWS)
    return _by_weights(g, pixels, before, after, by)


def _by_onnx(g: Nodes, pixels: Value, size: Size, **how: Any) -> Value:
    sizes = g.add("Concat", *size, axis=0)
    how |= {"antialias": 1, "exclude_outside": 1, "coordinate_transformation_mode": "half_pixel"}
    return g.add("Resize", pixels, "", "", sizes, axes=[ROWS, COLUMNS], **how)


def _nearest(g: Nodes, n_before: Value, n_after: Value) -> Value:
    """Return which of `n_before` pixels each of `n_after` is: that of its middle.

    Pillow adds up the steps, so where a middle falls between two pixels that sum decides: CumSum adds the same.
    """
    step = g.add("Div", g.to_real(n_before), g.to_real(n_after))
    half = g.add("Mul", step, g.real(0.5))
    others = g.add("Expand", step, g.add("Sub", n_after, g.whole(1)))
    middles = g.add("CumSum", g.add("Concat", half, others, axis=0), g.constant(0, np.int64))
    return g.add("Min", g.to_whole(middles), g.add("Sub", n_before, g.whole(1)))


def _by_weights(g: Nodes, pixels: Value, before: Size, after: Size, by: Interpolation) -> Value:
    planes = g.add("Transpose", g.add("Cast", pixels, to=TensorProto.FLOAT), perm=[0, 3, 1, 2])
    of_columns = g.add("Transpose", _weights(g, before[1], after[1], by), perm=[1, 0])
    wide = _rounded(g, g.add("MatMul", planes, of_columns))
    high = _rounded(g, g.add("MatMul", _weights(g, before[0], after[0], by), wide))
    return g.add("Transpose", g.add("Cast", high, to=TensorProto.UINT8), perm=[0, 2, 3, 1])


def _rounded(g: Nodes, values: Value) -> Value:
    """Return float32 as Pillow writes it down between its two passes: whole, of ties the larger, from 0 to 255."""
    half, least, most = (g.constant(value, np.float32) for value in (0.5, 0, 255))
    return g.add("Clip", g.add("Floor", g.add("Add", values, half)), least, most)


def _weights(g: Nodes, n_before: Value, n_after: Value, by: Interpolation) -> Value:
    """Return float32 (n_after, n_before), how much of each pixel goes into each new one, as Pillow computes it."""
    support, curve = _FILTERS[by]
    step = g.add("Div", g.to_real(n_before), g.to_real(n_after))
    scale = g.add("Max", step, g.real(1.0))
    middle = g.add("Mul", g.add("Add", g.to_real(g.first(n_after)), g.real(0.5)), step)
    middle = g.add("Unsqueeze", middle, g.whole(1))
    reach = g.add("Mul", scale, g.real(support))
    place = g.to_real(g.first(n_before))
    begin = g.add("Floor", g.add("Add", g.add("Sub", middle, reach), g.real(0.5)))
    end = g.add("Floor", g.add("Add", g.add("Add", middle, reach), g.real(0.5)))
    near = g.add("And", g.add("Not", g.add("Less", place, begin)), g.add("Less", place, end))
    distance = g.add("Div", g.add("Add", g.add("Sub", place, middle), g.real(0.5)), scale)
    shares = g.add("Where", near, curve(g, distance), g.real(0.0))
    total = g.add("ReduceSum", shares, g.whole(1), keepdims=1)
    return g.add("Cast", g.add("Div", shares, total), to=TensorProto.FLOAT)


def _box(g: Nodes, x: Value) -> Value:
    """Return 1 for -0.5 < x <= 0.5."""
    inside = g.add("And", g.add("Less", g.real(-0.5), x), g.add("Not", g.add("Less", g.real(0.5), x)))
    return g.to_real(inside)


def _hamming(g: Nodes, x: Value) -> Value:
    """Return sinc(x) (0.54 + 0.46 cos(pi x)) for |x| < 1."""
    turned = g.add("Add", g.add("Mul", x, g.real(math.pi)), g.real(math.pi / 2))
    cosine = g.add("Sin", turned)  # ONNX Runtime has no Cos of float64
    window = g.add("Add", g.add("Mul", cosine, g.real(0.46)), g.real(0.54))
    inside = g.add("Less", g.add("Abs", x), g.real(1.0))
    return g.add("Where", inside, g.add("Mul", _sinc(g, x), window), g.real(0.0))


def _lanczos(g: Nodes, x: Value) -> Value:
    """Return sinc(x) sinc(x / 3) for |x| < 3."""
    inside = g.add("Less", g.add("Abs", x), g.real(3.0))
    curve = g.add("Mul", _sinc(g, x), _sinc(g, g.add("Div", x, g.real(3.0))))
    return g.add("Where", inside, curve, g.real(0.0))


def _sinc(g: Nodes, x: Value) -> Value:
    """Return sin(pi x) / (pi x), 1 for 0."""
    is_zero, angle = g.add("Equal", x, g.real(0.0)), g.add("Mul", x, g.real(math.pi))
    safe = g.add("Where", is_zero, g.real(1.0), angle)
    return g.add("Where", is_zero, g.real(1.0), g.add("Div", g.add("Sin", safe), safe))


_FILTERS: dict[Interpolation, tuple[float, Callable[[Nodes, Value], Value]]] = {
    "box": (0.5, _box),
    "hamming": (1.0, _hamming),
    "lanczos": (3.0, _lanczos),
}
