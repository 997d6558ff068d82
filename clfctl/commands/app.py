"""clfctl app: the models and runs of a folder in the browser, until Ctrl-C."""

import importlib.util

from clfctl.display.output import Output
from clfctl.errors import UsageError
from clfctl.settings.groups import AppSettings
from clfctl.storage.names import shell

NEEDED = "streamlit"
# Runs that cannot be asked, of which the start says so one by one.
MOST_TOLD = 5
INSTALL = "install it with: pip install 'clfctl[app]'"


def app(settings: AppSettings, output: Output) -> None:
    """Serve the pages of a folder of runs, of one run or ensemble, or of a file of a model."""
    source = settings.runs_dir
    if importlib.util.find_spec(NEEDED) is None:
        raise UsageError(f"the app needs the package {NEEDED}, which is not installed", INSTALL)
    if not source.exists():
        raise UsageError(f"{source} does not exist", f"{shell('train')} makes runs; name the folder that has them")
    from clfctl.inference.open import check_model

    if not source.is_dir():
        check_model(source)
    from clfctl.app.known import models_in, why_not

    known = models_in(source)
    if not known:
        raise UsageError(f"there are no runs in {source}", f"{shell('train')} makes one; name the folder that has them")
    bad = [f"{path} cannot be asked: {why}" for path in known.values() if (why := why_not(path))]
    output.note(*bad[:MOST_TOLD])
    if len(bad) > MOST_TOLD:
        output.note(f"… and {len(bad) - MOST_TOLD} more cannot be asked.")
    from clfctl.app.place import Place
    from clfctl.app.server import is_local, serve
    from clfctl.inference.sent_images import MILLION
    from clfctl.inference.uploads import Limits

    limits = Limits(
        image_bytes=settings.max_megabytes * MILLION,
        model_bytes=settings.max_model_megabytes * MILLION,
        pixels=settings.max_megapixels * MILLION,
    )
    if not (settings.token or is_local(settings.host)):
        output.note("Whoever reaches this machine may look: `token=` asks them for a word.")
    serve(Place(source, limits, output.spelled), settings.host, settings.port, output.note, settings.token)
