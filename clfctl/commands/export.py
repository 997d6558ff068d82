"""clfctl export: a trained model as model.onnx, kept only if it gives what torch gives."""

from pathlib import Path

from clfctl import api
from clfctl.display.output import Output
from clfctl.engine.signals import stopping_at_once


def export(path: Path, target: Path | None, output: Output) -> None:
    """Write the model of a run or of a checkpoint file as ONNX; print what it is and how far from torch."""
    with stopping_at_once("nothing was written"):
        exported = api.export(path, target)
    output.result(json=lambda: [vars(exported) | {"file": str(exported.file)}], plain=lambda: [str(exported)])
