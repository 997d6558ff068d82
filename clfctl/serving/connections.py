"""Connections that end: uvicorn waits for ever for a request that comes slowly, or for a reader that does not read."""

import http
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import h11
from uvicorn.protocols.http.flow_control import CLOSE_HEADER
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio

# A request that came in less than this is not slow.
QUICK_S = 1.0
# What a stopping server leaves open for so long, lest a request is lost that was sent before it could be known.
LINGER_S = 0.3
# A connection that is being closed, and whose other end does not take the last bytes.
CLOSING_S = 5.0
# Where a scope says, in its state, that its request has been answered by the connection.
LOST = "is_lost"
# Of a body beyond what is allowed: read and thrown away, so that the answer is not lost in a broken connection.
THROWN_AWAY = 4_000_000


@dataclass(frozen=True)
class Patience:
    """How long is waited for a whole request, how many bytes it may have, how many connections there are.

    `count` is given the status of each request that the application is not asked about, or loses.
    """

    receive_s: float
    most_bytes: int
    most: int
    count: Callable[[int], None]


class PatientProtocol(H11Protocol):
    """HTTP/1.1 with an end to every wait. `check` is to be called several times a second."""

    patience: ClassVar[Patience]

    def connection_made(self, transport: "asyncio.Transport") -> None:  # type: ignore[override]
        """Begin to wait for a request; where there are too many connections, the slowest sender makes room."""
        super().connection_made(transport)
        self.begun_s: float | None = self.loop.time()
        self.stuck_s: float | None = None
        self.stops_s: float | None = None
        self.n_bytes = 0
        if len(self.connections) > self.patience.most:
            others = [each for each in self.connections if isinstance(each, PatientProtocol) and each is not self]
            slow = [each for each in others if each.waits_s() > QUICK_S]
            if slow:
                max(slow, key=PatientProtocol.waits_s).end(408)
            else:
                self.end(503)

    def waits_s(self) -> float:
        """Return for how long a request has been coming, 0 if none is."""
        return 0.0 if self.begun_s is None else self.loop.time() - self.begun_s

    def data_received(self, data: bytes) -> None:
        """Take some bytes of a request."""
        if self.transport.is_closing():
            return
        before, self.n_bytes = self.cycle, self.n_bytes + len(data)
        try:
            super().data_received(data)
        except h11.ProtocolError:  # in the middle of an answer there is none for what is wrong
            self.transport.abort()
            return
        if self.stops_s is not None and self.cycle is not before:
            self._let_it_be_the_last()
        self._look()
        if self.n_bytes > self.patience.most_bytes:
            self.end(413)

    def on_response_complete(self) -> None:
        """Go on to the next request of the connection."""
        super().on_response_complete()
        if self.stops_s is not None:
            self._let_it_be_the_last()
        self._look()

    def check(self) -> None:
        """End what has been waited for too long."""
        now = self.loop.time()
        is_stuck = self.transport.is_closing() or self.transport.get_write_buffer_size() > 0
        self.stuck_s = (self.stuck_s or now) if is_stuck else None
        if self.stuck_s is not None:
            patience_s = CLOSING_S if self.transport.is_closing() else self.patience.receive_s
            if now - self.stuck_s > patience_s:
                self.transport.abort()
        elif self.waits_s() > self.patience.receive_s:
            self.end(408)
        elif self.stops_s is not None and now > self.stops_s and self._is_idle() and not self.n_bytes:
            super().shutdown()

    def shutdown(self) -> None:
        """Answer what is here or on its way, and no more."""
        self.stops_s = self.loop.time() + LINGER_S
        if not self._is_idle():
            self._let_it_be_the_last()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, and count it."""
        super().send_400_response(msg)
        self._count(400)

    def end(self, status: int) -> None:
        """Close the connection, with an answer where none has been begun."""
        if self.transport.is_closing():
            return
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            body = b'{"error": "%s"}\n' % http.HTTPStatus(status).phrase.lower().encode()
            head = f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}\r\nconnection: close\r\n"
            head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
            head += "retry-after: 1\r\n" if status == 503 else ""
            self.transport.write(head.encode() + b"\r\n" + body)
            self._count(status)
        self.transport.close()

    def _count(self, status: int) -> None:
        """Count an answer that is not the application's; what that still says of the same request nobody gets."""
        if not self._is_idle():
            self.cycle.scope["state"][LOST] = True
        self.patience.count(status)

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _let_it_be_the_last(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            # uvicorn says that it closes where the client has asked for that.
            self.cycle.scope["headers"] = [*self.cycle.scope["headers"], CLOSE_HEADER]
            self.cycle.keep_alive = False

    def _look(self) -> None:
        """Note whether a request is on its way."""
        theirs = self.conn.their_state
        is_coming = theirs is h11.SEND_BODY or (theirs is h11.IDLE and bool(self.conn.trailing_data[0]))
        if not is_coming:
            self.begun_s, self.n_bytes = None, 0
        elif self.begun_s is None:
            self.begun_s = self.loop.time()


def patient(patience: Patience) -> type[PatientProtocol]:
    """Return the protocol with its patience, as uvicorn makes one for each connection."""
    return type("Patient", (PatientProtocol,), {"patience": patience})
