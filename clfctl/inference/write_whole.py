"""An ensemble as one model.onnx, kept only if it gives what torch gives."""

from pathlib import Path
from typing import TYPE_CHECKING

from clfctl.errors import ModelError, UsageError
from clfctl.inference.rework_options import Rework
from clfctl.inference.write_onnx import NOBODY, PLAIN, Exported, check_target, data_of, some_pixels
from clfctl.runs.ensemble import Ensemble, checkpoint_of
from clfctl.storage.files import explained, replace_file

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clfctl.inference.predictor import Seen
    from clfctl.inference.trained import TrainedModel
    from clfctl.inference.whole import BuiltWhole


def export_ensemble(ensemble: Ensemble, output: Path | None = None, wanted: Rework = PLAIN) -> Exported:
    """Write an ensemble as one ONNX file; by default into its folder. Raises ClfctlError; the old file stays then."""
    if wanted.int8:
        raise UsageError("int8 is for one model, not for several", "export without `int8=True`", field="int8")
    if output is None and ensemble.folder is None:
        hint = "`output=FILE.onnx`, or make one that has: clfctl ensemble RUN RUN"
        raise UsageError("several runs have no folder of their own: say where to write", hint, field="output")
    target = output or (ensemble.folder.onnx if ensemble.folder else Path())
    check_target(target)
    from clfctl.engine.as_it_was import as_it_was

    with as_it_was():
        return write_whole(ensemble, target, wanted)


def write_whole(ensemble: Ensemble, target: Path, wanted: Rework = PLAIN) -> Exported:
    """Export an ensemble as one graph, compare it with torch on real images, and write it if both say the same."""
    import torch

    from clfctl.inference.export import TOLERANCE, whole_difference, whole_to_onnx
    from clfctl.inference.onnx_predictor import start_onnx
    from clfctl.inference.trained import load_trained
    from clfctl.inference.whole import build_whole

    places = [checkpoint_of(each) for each in ensemble.members]
    trained = [load_trained(run, file, "cpu", run if ensemble.folder else None) for run, file in places]
    built = build_whole(ensemble, trained)
    batch = torch.export.Dim("batch")
    content = whole_to_onnx(built.module, built.info, (tuple({0: batch} for _ in built.info.views),))
    seen, images = _some_seen(built, trained[0])
    found = whole_difference(start_onnx(target, content, n_threads=1), built.module, seen)
    if not found <= TOLERANCE:  # nor if it is not a number
        what = f"{built.info.name} gives other probabilities as ONNX: one differs by {found:.2g}"
        raise ModelError(f"{what}, more than {TOLERANCE:g}", "it was not kept; clfctl predict asks each member")
    whole = None
    if not wanted.is_plain:
        from clfctl.inference.rework import rework

        data = data_of(places[0][0], trained[0], wanted, NOBODY.tell)
        reworked = rework(content, built.info, data, wanted, target, NOBODY)
        content, whole = reworked.content, reworked.agreement
    with explained(target):
        replace_file(target, [content])
    return Exported(target, len(content), found, len(seen), images, whole=whole)


def _some_seen(built: "BuiltWhole", first: "TrainedModel") -> "tuple[Sequence[Seen], str]":
    """Return real images in all views, and where they are from; of votes those that no rounding can turn."""
    import numpy as np
    import torch

    found = [some_pixels(None, first.settings, view) for view in built.info.views]
    seen = [*zip(*(pixels for pixels, _ in found), strict=False)]
    views = [torch.from_numpy(np.stack(each)) for each in zip(*seen, strict=True)]
    clear = built.module.is_clear(views)
    return [each for each, is_clear in zip(seen, clear, strict=True) if is_clear] or seen, found[0][1]
