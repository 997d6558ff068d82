"""clfctl ensemble: several trained models kept as one, in a folder that every command takes."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clfctl.api.ensembling import made
from clfctl.display.output import Output
from clfctl.engine.signals import stopping_at_once
from clfctl.runs.ensemble import about_idle
from clfctl.settings.ensembles import IN_WORDS, KeptEnsembleSettings
from clfctl.storage.names import shell

if TYPE_CHECKING:
    from clfctl.ensembles.make import MadeEnsemble

# What makes sense for an ensemble that was made, and which of these takes images.
NEXT, OF_IMAGES = ("eval", "predict", "explain", "serve"), ("predict", "explain")


def ensemble(runs: Sequence[Path], options: KeptEnsembleSettings, output: Output) -> None:
    """Make an ensemble, and print what it is and what to do with it."""
    with stopping_at_once("no ensemble was made"):
        found = made(runs, options, output.onlookers())
    output.result(json=lambda: [_record(found)], plain=lambda: _lines(found))
    output.note(*about_idle(found.members))


def _lines(found: "MadeEnsemble") -> list[str]:
    counts = ", ".join(f"{name} {share:.3f}" for name, share in found.members.items())
    what = f"the {IN_WORDS[found.rule]} of {len(found.members)} models"
    lines = [f"{found.folder}: {what} ({counts}), {len(found.classes)} classes"]
    if fitted := found.fitted:
        what = f"The weights were fitted on {fitted.n_images:,} {fitted.split} images of {fitted.data}"
        losses = f"{fitted.loss:.4f}; that of equal weights is {fitted.equal_loss:.4f}"
        lines.append(f"{what}; their log loss on the folds that they were not fitted on is {losses}.")
    if found.exported:
        lines.append(f"Exported {found.exported}.")
    commands = (f"  {shell(each, found.folder)}{' IMAGE' if each in OF_IMAGES else ''}" for each in NEXT)
    return [*lines, "Next:", *commands]


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
