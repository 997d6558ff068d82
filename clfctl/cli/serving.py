"""The command that answers over HTTP: name, help and options only."""

from typing import TYPE_CHECKING

from clfctl.cli.trained import ModelArgument

if TYPE_CHECKING:
    from clfctl.display.output import Output
    from clfctl.settings.groups import ServeSettings
    from clfctl.settings.sources import Resolved


def serve(settings: "Resolved[ServeSettings]", output: "Output", *, run: ModelArgument) -> None:
    """Answer over HTTP: POST images to /predict; /health, /metrics for Prometheus, /model, /docs."""
    from clfctl.commands.serve import serve as command

    command(run, settings.settings, output)
