"""From Python: a trained model as one ONNX file."""

from pathlib import Path
from typing import TYPE_CHECKING

from clfctl.api.named import Named, model_named
from clfctl.api.notes import Notes
from clfctl.inference.rework_options import Rework, wanted_rework

if TYPE_CHECKING:
    from clfctl.data.onlookers import Onlookers
    from clfctl.inference.write_onnx import Exported


def export(
    run: Named,
    output: Path | str | None = None,
    *,
    ensemble: str | None = None,
    int8: bool = False,
    max_loss: float | None = None,
    calibrate: int | None = None,
    bake_preprocessing: bool = False,
) -> "Exported":
    """Write the model of a run, of a checkpoint file or of an ensemble as ONNX, if that gives what torch gives.

    Several runs become one file, `output`, that answers by the rule `ensemble`, as in `predict`. With `int8` one model
    computes in whole numbers of 8 bits, calibrated on `calibrate` (128) training images, and is refused if it loses
    more than the share `max_loss` (0.01) of the validation images; an ensemble cannot. With `bake_preprocessing` the
    file takes whole pictures.
    """
    wanted = wanted_rework(int8=int8, max_loss=max_loss, calibrate=calibrate, bake_preprocessing=bake_preprocessing)
    return exported(run, output, ensemble, wanted, Notes().onlookers())


def exported(
    run: Named, output: Path | str | None, ensemble: str | None, wanted: Rework, to: "Onlookers"
) -> "Exported":
    """Write a model as ONNX, as it is wanted, and show what takes long."""
    from clfctl.runs.ensemble import ensemble_in

    model, target = model_named(run, ensemble), None if output is None else Path(output)
    if found := ensemble_in(model):
        from clfctl.inference.write_whole import export_ensemble

        return export_ensemble(found, target, wanted)
    from clfctl.inference.write_onnx import export_model

    assert isinstance(model, Path)
    return export_model(model, target, wanted, to)
