"""The server itself: the socket it listens at, uvicorn, and its end when a signal asks for it."""

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import uvicorn
from fastapi import FastAPI

from clfctl.engine.signals import StopSignals
from clfctl.errors import ClfctlError
from clfctl.inference.sent_images import MILLION
from clfctl.serving.connections import THROWN_AWAY, Patience, PatientProtocol, patient
from clfctl.serving.listening import no_place
from clfctl.serving.service import Service
from clfctl.settings.serving import ServeSettings

CHECK_S = 0.1
# Connections, and the files that the process needs besides.
MOST_CONNECTIONS, OTHER_FILES = 1000, 64
KEEP_ALIVE_S = 5


def url_of(bound: socket.socket) -> str:
    """Return the address of a socket as a browser wants it."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def is_for_all(bound: socket.socket) -> bool:
    """Return whether other machines may reach a socket."""
    return not ipaddress.ip_address(bound.getsockname()[0].partition("%")[0]).is_loopback


def serve_until_stopped(
    app: FastAPI, bound: socket.socket, settings: ServeSettings, signals: StopSignals, ready: Callable[[], None]
) -> None:
    """Answer requests until a signal comes, and then those that have been accepted. `ready` is called when it begins.

    Raises ClfctlError if it cannot begin.
    """
    most_bytes = int(settings.max_megabytes * MILLION) + THROWN_AWAY
    service: Service = app.state.service
    patience = Patience(settings.receive_seconds, most_bytes, _most_connections(), service.numbers.add_request)
    config = uvicorn.Config(
        app,
        http=patient(patience),
        ws="none",
        lifespan="on",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=settings.stop_seconds,
    )
    try:
        asyncio.run(_serve(_Server(config, signals, ready), bound))
    except OSError as error:  # another was bound to it too, and was the first to listen
        raise no_place(settings.host, settings.port, error) from None


async def _serve(server: "_Server", bound: socket.socket) -> None:
    checking = asyncio.create_task(_check(server))
    try:
        await server.serve([bound])
    except SystemExit:  # uvicorn's, after it has logged what nobody reads
        raise ClfctlError("the server could not be started") from None
    finally:
        checking.cancel()
        with suppress(asyncio.CancelledError):
            await checking


async def _check(server: "_Server") -> None:
    """Look for connections that take too long, while the server stops too."""
    while True:
        await asyncio.sleep(CHECK_S)
        for connection in [*server.server_state.connections]:
            if isinstance(connection, PatientProtocol):
                connection.check()


class _Server(uvicorn.Server):
    """uvicorn's server, which is told of signals by what has caught them."""

    def __init__(self, config: uvicorn.Config, signals: StopSignals, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self.signals, self.ready = signals, ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        if self.started:
            self.ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to whoever has them."""
        yield

    async def on_tick(self, counter: int) -> bool:
        """Return whether it is time to stop."""
        self.should_exit = self.should_exit or self.signals.received is not None
        return await super().on_tick(counter)


def _most_connections() -> int:
    try:
        import resource
    except ImportError:  # Windows
        return MOST_CONNECTIONS // 2  # its select takes 512
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_CONNECTIONS if files < 0 else max(1, min(MOST_CONNECTIONS, files - OTHER_FILES))
