"""Streamlit's server around the app's pages: for this machine alone, without telemetry, and it asks nobody."""

import hmac
import logging
import signal
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import parse_qs, quote, unquote_to_bytes, urlsplit

from clfctl.app.place import Place, hold
from clfctl.serving.listening import listen

SCRIPT = Path(__file__).with_name("script") / "start.py"
COOKIE = b"clfctl_token"
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


def serve(place: Place, host: str, port: int, tell: Callable[[str], None], token: str = "") -> None:
    """Serve the pages until a signal ends it, to who brings the `token` if there is one; `tell` gets the address.

    Raises UsageError or ClfctlError before that.
    """
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
        app = App(SCRIPT, middleware=[Middleware(Guard, hosts=hosts_of(host), token=token)])
        settings = uvicorn.Config(
            app,
            log_level="error",
            access_log=False,
            ws="websockets-sansio",
            timeout_graceful_shutdown=GRACE_S,
        )
        address = address_of(host, listening.getsockname()[1]) + ("/?token=TOKEN" if token else "")
        tell(f"The app is at {address} ; Ctrl-C ends it.")
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
        "server.maxUploadSize": max(1, -(-most // STREAMLIT_MEGA)),
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
    """ASGI middleware: refuses what another page's script asks for, and says what the page itself may ask for.

    With a `token` it answers who has it in a cookie, and gives that to who brings it in the address.
    """

    def __init__(self, app: Asgi, hosts: frozenset[str] = frozenset(), token: str = "") -> None:
        self.app, self.hosts, self.token = app, hosts, token

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass on what this server's own pages ask for."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
        elif self.refuses(dict(scope["headers"])):
            await _refuse(scope["type"], send, 403, b"This server answers its own pages alone.\n")
        elif self.token and not self._knows(cookie_in(dict(scope["headers"]))):
            if scope["type"] == "http" and self._knows(parse_qs(scope["query_string"]).get(b"token", [b""])[0]):
                await _give(self.token, send)
            else:
                what = b"This server asks for a token: open its address with /?token=TOKEN once.\n"
                await _refuse(scope["type"], send, 401, what)
        else:
            await self.app(scope, receive, _with_headers(send))

    def refuses(self, headers: dict[bytes, bytes]) -> bool:
        """Return whether a request is for another name than the server's, or from a page of another."""
        host, origin = headers.get(b"host", b"").decode("latin-1"), headers.get(b"origin", b"").decode("latin-1")
        if self.hosts and urlsplit(f"//{host}").hostname not in self.hosts:
            return True
        return bool(origin) and urlsplit(origin).netloc != host

    def _knows(self, given: bytes) -> bool:
        # In a time that does not depend on where they differ.
        return hmac.compare_digest(given, self.token.encode())


def cookie_in(headers: dict[bytes, bytes]) -> bytes:
    """Return the token that a request has in its cookie."""
    for each in headers.get(b"cookie", b"").split(b";"):
        name, _, value = each.strip().partition(b"=")
        if name == COOKIE:
            return unquote_to_bytes(value)
    return b""


async def _give(token: str, send: Send) -> None:
    """Answer with the cookie, and lead to the address without the token, which is in no history then."""
    cookie = COOKIE + b"=" + quote(token, safe="").encode() + b"; Path=/; HttpOnly; SameSite=Strict"
    headers = [(b"location", b"/"), (b"set-cookie", cookie), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 303, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def _refuse(kind: str, send: Send, status: int, why: bytes) -> None:
    if kind == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": why})


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
