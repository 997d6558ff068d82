"""Nodes of an ONNX graph, written as formulas: what is needed to scale pictures whose size the graph is not told."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

Value = str  # the name of what a node gives, or of a constant


@dataclass
class Nodes:
    """Nodes and constants of a graph, in the order in which they were added; their names begin with `prefix`."""

    prefix: str
    nodes: list[NodeProto] = field(default_factory=list)
    constants: list[TensorProto] = field(default_factory=list)

    def add(self, operator: str, *inputs: Value, output: Value = "", **attributes: Any) -> Value:
        """Add a node of one output, and return the name of that."""
        name = output or f"{self.prefix}/{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], f"{self.prefix}/{len(self.nodes)}", **attributes))
        return name

    def constant(self, values: Any, dtype: Any) -> Value:
        """Return a constant of the shape and values of an array."""
        name = f"{self.prefix}/constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def whole(self, *values: int) -> Value:
        """Return a constant of int64 numbers, (n,)."""
        return self.constant(values, np.int64)

    def real(self, *values: float) -> Value:
        """Return a constant of float64 numbers, (n,): sizes are computed as Python does."""
        return self.constant(values, np.float64)

    def to_real(self, value: Value) -> Value:
        """Return numbers as float64."""
        return self.add("Cast", value, to=TensorProto.DOUBLE)

    def to_whole(self, value: Value) -> Value:
        """Return numbers as int64, without what stands behind the point."""
        return self.add("Cast", value, to=TensorProto.INT64)

    def scalar(self, value: Value) -> Value:
        """Return a value of the shape (1,) as one of no dimensions."""
        return self.add("Squeeze", value)

    def first(self, n: Value) -> Value:
        """Return the numbers 0, 1, … as int64 (n,), for n of the shape (1,)."""
        zero, one = self.constant(0, np.int64), self.constant(1, np.int64)
        return self.add("Range", zero, self.scalar(n), one)
