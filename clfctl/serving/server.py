"""The server itself: the socket it listens at, uvicorn, and its end when a signal asks for it."""

import asyncio
import errno
import ipaddress
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import uvicorn
from fastapi import FastAPI

from clfctl.engine.signals import StopSignals
from clfctl.errors import ClfctlError, UsageError
from clfctl.serving.connections import THROWN_AWAY, Patience, PatientProtocol, patient
from clfctl.serving.uploads import MILLION
from clfctl.settings.serving import ServeSettings

CHECK_S = 0.1
# Connections, and the files that the process needs besides.
MOST_CONNECTIONS, OTHER_FILES = 1000, 64
KEEP_ALIVE_S = 5
ANY_PORT_FROM = 1024


def bind_to(settings: ServeSettings) -> socket.socket:
    """Return a socket that is bound, and does not listen before there is a model. Raises UsageError if it cannot be."""
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise _no_place(settings, error) from None
    family, kind, protocol, _, address = found[0]
    bound = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":  # a port whose connections have not all ended; elsewhere it would mean to share it
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise _no_place(settings, error) from None
    return bound


def _no_place(settings: ServeSettings, error: Exception) -> UsageError:
    """Return what is said where nothing can listen."""
    host, port = settings.host, settings.port
    match getattr(error, "errno", None):
        case errno.EADDRINUSE:
            hint = "stop what listens there, or choose another; `port=0` takes a free one"
            return UsageError(f"port {port} of {host} is in use", hint, field="port")
        case errno.EACCES | errno.EPERM:
            hint = f"choose one from {ANY_PORT_FROM} on, or put a web server in front"
            return UsageError(f"port {port} is not for you to listen at", hint, field="port")
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    hint = "127.0.0.1 is this machine alone, 0.0.0.0 every address that it has"
    return UsageError(f"{host!r} is no address of this machine: {reason}", hint, field="host")


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
    config = uvicorn.Config(
        app,
        http=patient(Patience(settings.receive_seconds, most_bytes, _most_connections())),
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
        raise _no_place(settings, error) from None


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
