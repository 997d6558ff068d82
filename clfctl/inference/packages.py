"""Which packages of the extra `onnx` there are; none is imported to find out."""

import importlib.util

NEEDED = ("onnx", "onnxscript", "onnxruntime")


def missing_packages() -> list[str]:
    """Return which packages an export needs and cannot find."""
    return [name for name in NEEDED if importlib.util.find_spec(name) is None]


def has_runtime() -> bool:
    """Return whether an exported model can be computed."""
    return importlib.util.find_spec("onnxruntime") is not None
