"""Arguments and options that several commands have and that are not settings."""

from pathlib import Path
from typing import Annotated

import typer

from clfctl.cli import completion

RunArgument = Annotated[Path, typer.Argument(help="Run folder.", metavar="RUN", autocompletion=completion.runs)]
ShowBatch = Annotated[
    Path | None,
    typer.Option(
        "--show-batch", help="Save a picture of the first batch as the model sees it, and stop.", metavar="FILE"
    ),
]
