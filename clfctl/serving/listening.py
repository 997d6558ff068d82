"""The socket that a server listens at, or a sentence that says why there is none. Only the standard library here."""

import errno
import os
import socket

from clfctl.errors import ClfctlError, UsageError

ANY_PORT_FROM, LAST_PORT = 1024, 65535


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that is bound, and does not listen yet.

    Raises UsageError for an address that is none of this machine's, ClfctlError for a port that cannot be had.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise no_place(host, port, error) from None
    family, kind, protocol, _, address = found[0]
    bound = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":  # a port whose connections have not all ended; elsewhere it would mean to share it
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise no_place(host, port, error) from None
    return bound


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens. Raises as `bind`."""
    bound = bind(host, port)
    try:
        bound.listen()
    except OSError as error:  # another was bound to it too, and was the first to listen
        bound.close()
        raise no_place(host, port, error) from None
    return bound


def no_place(host: str, port: int, error: Exception) -> ClfctlError:
    """Return what is said where nothing can listen."""
    match getattr(error, "errno", None):
        case errno.EADDRINUSE:
            other = port + 1 if port < LAST_PORT else port - 1
            hint = f"choose another, such as `port={other}`, or `port=0` for any that is free"
            return ClfctlError(f"{port} is in use on {host}", hint, field="port")
        case errno.EACCES | errno.EPERM:
            hint = f"choose one from {ANY_PORT_FROM} on, or put a web server in front"
            return ClfctlError(f"{port} may not be opened by you", hint, field="port")
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    hint = "127.0.0.1 is this machine alone, 0.0.0.0 every address that it has"
    return UsageError(f"{host!r} is no address of this machine: {reason}", hint, field="host")
