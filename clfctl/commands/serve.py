"""clfctl serve: a trained model that answers over HTTP until it is told to stop."""

import atexit
import importlib.util
import os
import sys
from contextlib import suppress
from pathlib import Path

from clfctl.data.workers import n_cores
from clfctl.display.output import Output
from clfctl.engine.signals import EXIT_CODES, StopSignals, stopping_at_once
from clfctl.errors import Interrupted, UsageError
from clfctl.inference.open import check_model
from clfctl.settings.groups import ServeSettings

# By the name of the module; that of the package may be another.
NEEDED = {
    "fastapi": "fastapi",
    "uvicorn": "uvicorn",
    "python_multipart": "python-multipart",
    "prometheus_client": "prometheus-client",
}


def serve(path: Path, settings: ServeSettings, output: Output) -> None:
    """Load a model, and answer requests until a signal comes. Raises ClfctlError, and Interrupted at its end."""
    if missing := [package for module, package in NEEDED.items() if importlib.util.find_spec(module) is None]:
        hint = "install it with: pip install 'clfctl[serve]'"
        raise UsageError(f"a server needs {' and '.join(missing)}, which cannot be found", hint)
    check_model(path)
    from clfctl.serving.listening import bind
    from clfctl.serving.server import is_for_all, serve_until_stopped, url_of

    with stopping_at_once("nothing was served yet"), bind(settings.host, settings.port) as bound:
        from clfctl.serving.app import make_app
        from clfctl.serving.current import Current, what_answers
        from clfctl.serving.service import make_service

        current = Current(what_answers(path, output.note), settings.threads, output.note)
        service = make_service(current, settings, output.note, n_cores())
        app = make_app(service)
        title, url = current.loaded.predictor.title, url_of(bound)
        if is_for_all(bound) and not settings.token:
            output.note("Whoever reaches this machine may ask: `token=` asks them for a word.")

        def ready() -> None:
            output.result(
                json=lambda: [{"url": url, "model": title, "mark": current.loaded.mark, "pid": os.getpid()}],
                plain=lambda: [f"Serving {title} at {url}"],
            )
            output.note(f"{url}/docs says what can be asked. Ctrl-C finishes what was accepted, and ends.")

        with StopSignals() as signals:
            service.is_stopping = lambda: signals.received is not None
            serve_until_stopped(app, bound, settings, signals, ready)
    if signals.received:
        if service.batches.is_busy:
            atexit.register(_leave, EXIT_CODES[signals.received])
        cut = f"{service.n_cut} requests took too long, and were not answered" if service.n_cut else ""
        what = f"Stopped by {signals.received.name}{'.' if cut else '; what was accepted is answered.'}"
        raise Interrupted(what, cut, EXIT_CODES[signals.received])


def _leave(code: int) -> None:
    """End the process as it is: a thread that came back from ONNX Runtime to a Python that ends would abort it."""
    with suppress(OSError, ValueError):  # nobody reads any more
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)
