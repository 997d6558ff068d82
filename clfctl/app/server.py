"""Streamlit's server around the app's pages: for this machine alone, without telemetry, and it asks nobody."""

import logging
import signal
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

from clfctl.app.place import Place, hold
from clfctl.inference.uploads import MEGA
from clfctl.serving.listening import listen

SCRIPT = Path(__file__).with_name("script") / "start.py"
LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
# Seconds that those who are being answered get when the server ends.
GRACE_S = 3
STREAMLIT_MEGA = 1024 * 1024
# The page may ask this server and nobody else: what it is made of comes with Streamlit. Vega compiles its expressions.
POLICY = (
    "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; object-src 'none'; base-uri 'self'; "
    "form-action 'self'; frame-ancestors 'self'"
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[Message, Receive, Send], Awaitable[None]]


def serve(place: Place, host: str, port: int, tell: Callable[[str], None]) -> None:
    """Serve the pages until a signal ends it; `tell` gets the address. Raises UsageError or ClfctlError before that."""
    listening = listen(host, port)
    with listening:
        import uvicorn
        from starlette.middleware import Middleware
        from streamlit import config
        from streamlit.starlette import App

        config.get_config_options(force_reparse=True, options_from_flags=options(place, host))
        hold(place)
        # Streamlit says what it thinks of a browser that left; what is wrong with a page stands on the page.
        logging.getLogger("streamlit").setLevel(logging.ERROR)
        app = App(SCRIPT, middleware=[Middleware(Guard, hosts=hosts_of(host))])
        settings = uvicorn.Config(
            app,
            log_level="error",
            access_log=False,
            ws="websockets-sansio",
            timeout_graceful_shutdown=GRACE_S,
        )
        tell(f"The app is at {address_of(host, listening.getsockname()[1])} ; Ctrl-C ends it.")
        server = uvicorn.Server(settings)
        with _ended_by_signals(server):
            server.run(sockets=[listening])


def options(place: Place, host: str) -> dict[str, Any]:
    """Return Streamlit's options, which no file and no variable of its own changes."""
    most = max(place.limits.image_bytes, place.limits.model_bytes)
    return {
        "browser.gatherUsageStats": False,
        "client.showErrorDetails": "none",
        "client.showErrorLinks": False,
        "client.toolbarMode": "minimal",
        "global.developmentMode": False,
        "logger.hideWelcomeMessage": True,
        "server.address": host,
        "server.enableCORS": True,
        "server.enableStaticServing": False,
        "server.enableXsrfProtection": True,
        "server.fileWatcherType": "none",
        "server.headless": True,
        "server.maxUploadSize": max(1, -(-most * MEGA // (MEGA * STREAMLIT_MEGA))),
        "server.runOnSave": False,
        "theme.light.primaryColor": "#0072B2",
        "theme.dark.primaryColor": "#2E8BC0",
    }


def is_local(host: str) -> bool:
    """Return whether an address is reached from this machine alone."""
    try:
        return host in LOCAL or ip_address(host).is_loopback
    except ValueError:
        return False


def hosts_of(host: str) -> frozenset[str]:
    """Return the names that a browser may know the server by, none where any will do.

    A page of a stranger may have its own name lead to 127.0.0.1 (DNS rebinding); it asks under that name then.
    """
    return LOCAL | {host} if is_local(host) else frozenset()


def address_of(host: str, port: int) -> str:
    """Return what to type into a browser of this machine."""
    named = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{named}:{port}"


class Guard:
    """ASGI middleware: refuses what another page's script asks for, and says what the page itself may ask for."""

    def __init__(self, app: Asgi, hosts: frozenset[str] = frozenset()) -> None:
        self.app, self.hosts = app, hosts

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass on what this server's own pages ask for."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
        elif self.refuses(dict(scope["headers"])):
            await _refuse(scope["type"], send)
        else:
            await self.app(scope, receive, _with_headers(send))

    def refuses(self, headers: dict[bytes, bytes]) -> bool:
        """Return whether a request is for another name than the server's, or from a page of another."""
        host, origin = headers.get(b"host", b"").decode("latin-1"), headers.get(b"origin", b"").decode("latin-1")
        if self.hosts and urlsplit(f"//{host}").hostname not in self.hosts:
            return True
        return bool(origin) and urlsplit(origin).netloc != host


async def _refuse(kind: str, send: Send) -> None:
    if kind == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    await send({"type": "http.response.start", "status": 403, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"This server answers its own pages alone.\n"})


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *HEADERS]
        await send(message)

    return sending


@contextmanager
def _ended_by_signals(server: Any) -> Iterator[None]:
    """Let Ctrl-C end the server, which is how it is to end; a second one does so at once."""

    # uvicorn stops at a signal, puts the handlers of before in their places again, and sends it once more.
    def again(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 (signal's protocol)
        server.force_exit = True

    before = signal.signal(signal.SIGINT, again)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
