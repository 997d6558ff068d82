"""What the pages draw of schedules: the code of `clfctl lr-preview`, but for the code of others."""

from typing import Any

from clfctl.api import previewing
from clfctl.api.previewing import Preview
from clfctl.schedules.own import importing_nothing


def preview(*subject: Any, **fields: Any) -> Preview:
    """Return what `clfctl.preview` does, and import nothing that a run or a page names. Raises ClfctlError."""
    with importing_nothing():
        return previewing.preview(*subject, **fields)
