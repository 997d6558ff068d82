"""The library's face of a probe; see `clfctl.api`."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from clfctl.api.notes import Notes
from clfctl.settings.probing import ProbeSettings
from clfctl.settings.sources import from_fields

if TYPE_CHECKING:
    from clfctl.data.onlookers import Onlookers
    from clfctl.probing.found import Probing


def probe(settings: ProbeSettings | None = None, **fields: Any) -> "Probing":
    """Fit a logistic regression on the features of one or more frozen networks, and write the best as a run.

    `fields` are settings by name (`data="photos", model=["resnet18", "convnext_atto"]`), on top of `settings`.
    """
    stated = settings.model_dump(exclude_unset=True) if settings else {}
    notes = Notes()
    found = run_probe(from_fields(ProbeSettings, {**stated, **fields}).settings, notes.onlookers())
    return replace(found, notes=tuple(notes.lines))


def run_probe(settings: ProbeSettings, to: "Onlookers") -> "Probing":
    """Check all that needs no torch, then probe; see `probe`."""
    from clfctl.probing.check import check_probe

    data = check_probe(settings, to.tell)
    from clfctl.engine.as_it_was import as_it_was
    from clfctl.probing.run import probe_networks

    with as_it_was(settings.device):
        return probe_networks(settings, data, to)
