"""clfctl export: a trained model as model.onnx, kept only if it gives what torch gives."""

from collections.abc import Sequence
from pathlib import Path

from clfctl import api
from clfctl.display.output import Output
from clfctl.engine.signals import stopping_at_once
from clfctl.settings.ensembles import Rule


def export(paths: Sequence[Path], rule: Rule | None, target: Path | None, output: Output) -> None:
    """Write the model of a run, a checkpoint or an ensemble as ONNX; print what it is and how far from torch."""
    with stopping_at_once("nothing was written"):
        exported = api.export(paths, target, ensemble=rule)
    output.result(json=lambda: [vars(exported) | {"file": str(exported.file)}], plain=lambda: [str(exported)])
