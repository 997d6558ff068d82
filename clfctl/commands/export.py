"""clfctl export: a trained model as model.onnx, kept only if it gives what torch gives; also in int8."""

from collections.abc import Sequence
from pathlib import Path

from clfctl.api.exporting import exported as write
from clfctl.display.output import Output
from clfctl.engine.signals import stopping_at_once
from clfctl.inference.rework_options import Rework
from clfctl.settings.ensembles import Rule


def export(paths: Sequence[Path], rule: Rule | None, target: Path | None, wanted: Rework, output: Output) -> None:
    """Write the model of a run, a checkpoint or an ensemble as ONNX; print what it is and how far from torch."""
    with stopping_at_once("nothing was written"):
        exported = write(paths, target, rule, wanted, output.onlookers())
    output.result(json=lambda: [exported.as_record()], plain=exported.lines)
