"""clfctl ensemble: several trained models kept as one, in a folder that every command takes."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clfctl.api.ensembling import made
from clfctl.display.output import Output
from clfctl.engine.signals import stopping_at_once
from clfctl.settings.ensembles import KeptEnsembleSettings
from clfctl.storage.names import shell

if TYPE_CHECKING:
    from clfctl.ensembles.make import MadeEnsemble


def ensemble(runs: Sequence[Path], options: KeptEnsembleSettings, output: Output) -> None:
    """Make an ensemble, and print what it is and what to do with it."""
    with stopping_at_once("no ensemble was made"):
        found = made(runs, options, output.onlookers())
    output.result(json=lambda: [_record(found)], plain=lambda: _lines(found))


def _lines(found: "MadeEnsemble") -> list[str]:
    counts = ", ".join(f"{name} {share:.3f}" for name, share in found.members.items())
    lines = [
        f"{found.folder}: the {found.rule} of {len(found.members)} models ({counts}), {len(found.classes)} classes"
    ]
    if fitted := found.fitted:
        what = f"The weights were fitted on {fitted.n_images:,} {fitted.split} images of {fitted.data}"
        losses = f"{fitted.loss:.4f}; that of equal weights is {fitted.equal_loss:.4f}"
        lines.append(f"{what}; their log loss on the folds that they were not fitted on is {losses}.")
    if found.exported:
        lines.append(f"Exported {found.exported}.")
    return [*lines, "Next:", f"  {shell('eval', found.folder)}", f"  {shell('predict', found.folder)} IMAGE"]


def _record(found: "MadeEnsemble") -> dict[str, Any]:
    exported = vars(found.exported) | {"file": str(found.exported.file)} if found.exported else None
    return {
        "folder": str(found.folder),
        "rule": found.rule,
        "classes": list(found.classes),
        "members": found.members,
        "fitted": asdict(found.fitted) if found.fitted else None,
        "exported": exported,
    }
