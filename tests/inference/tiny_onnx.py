"""A small classifier as an ONNX file, made without torch: what is tested with it takes milliseconds."""

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from clfctl.data.pixels.transform import Preprocess
from clfctl.inference.onnx_file import INPUT, OUTPUT
from clfctl.models.card import Card

CLASSES = ("bright", "dark", "red")


def tiny(preprocess: Preprocess) -> tuple[ModelProto, Card]:
    """Return a convolution, a mean and a head over prepared pixels, with opinions of brightness and colour."""
    draw = np.random.default_rng(0)
    head = np.zeros((8, 3), np.float32)
    weights = draw.normal(0, 0.1, (8, 3, 3, 3)).astype(np.float32)
    weights[:3] = 0
    weights[0, :, 1, 1] = 1  # bright
    weights[1, :, 1, 1] = -1
    weights[2, :, 1, 1] = (1, -1, -1)
    head[:3] = 6 * np.eye(3)
    head[3:] = draw.normal(0, 1, (5, 3))
    bias = np.zeros(8, np.float32)
    bias[:2] = (-1.5, 1.5)
    constants = {"scale": np.float32(1 / 255), "weights": weights, "bias": bias, "head": head}
    nodes = [
        helper.make_node("Cast", [INPUT], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["real", "scale"], ["scaled"]),
        helper.make_node("Transpose", ["scaled"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "weights", "bias"], ["seen"], "conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["seen"], ["kept"]),
        helper.make_node("GlobalAveragePool", ["kept"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("MatMul", ["flat", "head"], ["logits"]),
        helper.make_node("Softmax", ["logits"], [OUTPUT]),
    ]
    given = helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ("batch", *preprocess.size, 3))
    made = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ("batch", len(CLASSES)))
    tensors = [numpy_helper.from_array(np.asarray(each), name) for name, each in constants.items()]
    graph = helper.make_graph(nodes, "tiny", [given], [made], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return model, Card("tiny", CLASSES, preprocess, "ab12")
