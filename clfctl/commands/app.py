"""clfctl app: the models and runs of a folder in the browser, until Ctrl-C."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from clfctl.display.output import Output
from clfctl.errors import UsageError
from clfctl.storage.names import shell

NEEDED = "streamlit"
INSTALL = "install it with: pip install 'clfctl[app]'"


@dataclass(frozen=True)
class AppOptions:
    """Where the app listens, and what it takes: bytes and pixels in millions."""

    host: str
    port: int
    max_megabytes: int
    max_megapixels: int
    max_model_megabytes: int


def app(source: Path, options: AppOptions, output: Output) -> None:
    """Serve the pages of a folder of runs, of one run or ensemble, or of a file of a model."""
    if importlib.util.find_spec(NEEDED) is None:
        raise UsageError(f"the app needs the package {NEEDED}, which is not installed", INSTALL)
    if not source.exists():
        raise UsageError(f"{source} does not exist", f"{shell('train')} makes runs; name the folder that has them")
    from clfctl.app.known import models_in

    if not models_in(source):
        raise UsageError(f"there are no runs in {source}", f"{shell('train')} makes one; name the folder that has them")
    from clfctl.app.place import Place
    from clfctl.app.server import serve
    from clfctl.inference.uploads import MEGA, Limits

    limits = Limits(*(MEGA * n for n in (options.max_megabytes, options.max_model_megabytes, options.max_megapixels)))
    serve(Place(source, limits, output.spelled), options.host, options.port, output.note)
