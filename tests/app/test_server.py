"""The app's server before anyone looks at a page: where it listens, and whose requests it refuses."""

import asyncio
import socket
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from clfctl.app.place import Place
from clfctl.app.server import Guard, Message, address_of, hosts_of, is_local, options
from clfctl.errors import ClfctlError, UsageError
from clfctl.inference.uploads import Limits
from clfctl.serving.listening import listen


def test_a_port_in_use_is_said_with_another_to_try() -> None:
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(ClfctlError, match=f"^port: {port} is in use on 127.0.0.1$") as caught:
            listen("127.0.0.1", port)
    assert caught.value.exit_code == 1
    assert f"`port={port + 1}`" in caught.value.hint


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid", "a" * 300])
def test_an_address_of_no_machine_here_is_refused(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(*values: Any, **named: Any) -> Any:
        if host.startswith("192"):
            return real(*values, **named)
        raise socket.gaierror

    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", nowhere)  # no test asks a name server
    with pytest.raises(UsageError) as caught:
        listen(host, 0)
    assert caught.value.field == "host"


def asked(guard: Guard, kind: str, query: str = "", /, **headers: str) -> list[Message]:
    """Return what a request with these headers is answered."""
    answers: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        answers.append(message)

    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    asyncio.run(guard({"type": kind, "headers": pairs, "query_string": query.encode()}, receive, send))
    return answers


async def page(scope: Message, receive: Any, send: Any) -> None:
    """An app that answers everything."""
    await send({"type": "http.response.start", "status": 200, "headers": []})


LOCAL = hosts_of("127.0.0.1")
OWN = [
    (LOCAL, {"host": "127.0.0.1:8501"}),
    (LOCAL, {"host": "localhost:8501", "origin": "http://localhost:8501"}),
    (LOCAL, {"host": "[::1]:8501"}),
    (hosts_of("0.0.0.0"), {"host": "gpu-box:8501", "origin": "http://gpu-box:8501"}),
]
OTHERS = [
    (LOCAL, {"host": "evil.example:8501"}),
    (LOCAL, {"host": "evil.example:8501", "origin": "http://evil.example:8501"}),
    (LOCAL, {"host": "127.0.0.1:8501", "origin": "http://evil.example"}),
    (LOCAL, {"host": "127.0.0.1:8501", "origin": "null"}),
    (LOCAL, {}),
    (hosts_of("0.0.0.0"), {"host": "gpu-box:8501", "origin": "http://evil.example"}),
]


@pytest.mark.parametrize(("hosts", "headers"), OWN)
def test_its_own_pages_are_answered_and_may_ask_it_alone(hosts: frozenset[str], headers: dict[str, str]) -> None:
    found = asked(Guard(page, hosts), "http", **headers)
    assert found[0]["status"] == 200
    assert dict(found[0]["headers"])[b"content-security-policy"].startswith(b"default-src 'self'")


@pytest.mark.parametrize(("hosts", "headers"), OTHERS)
def test_pages_of_others_are_refused(hosts: frozenset[str], headers: dict[str, str]) -> None:
    assert asked(Guard(page, hosts), "http", **headers)[0]["status"] == 403
    assert asked(Guard(page, hosts), "websocket", **headers) == [{"type": "websocket.close", "code": 1008}]


TOKEN = "a word, of 16 or more; =%"


def test_with_a_token_it_answers_who_brought_it_once() -> None:
    guard, host = Guard(page, LOCAL, TOKEN), "127.0.0.1:8501"
    assert asked(guard, "http", host=host)[0]["status"] == 401
    assert asked(guard, "websocket", host=host) == [{"type": "websocket.close", "code": 1008}]
    for wrong in ("", "token=", f"token={quote(TOKEN[:-1])}", f"tok={quote(TOKEN)}"):
        assert asked(guard, "http", wrong, host=host)[0]["status"] == 401
    brought = asked(guard, "http", f"token={quote(TOKEN)}&x=1", host=host)[0]
    assert brought["status"] == 303
    headers = dict(brought["headers"])
    assert headers[b"location"] == b"/"
    cookie, *attributes = headers[b"set-cookie"].decode().split("; ")
    assert {"HttpOnly", "SameSite=Strict"} <= {*attributes}
    assert asked(guard, "http", host=host, cookie=f"other=1; {cookie}")[0]["status"] == 200
    assert asked(guard, "http", host=host, cookie=cookie[:-1])[0]["status"] == 401
    # A page of others is refused whatever it brings.
    assert asked(guard, "http", host=host, cookie=cookie, origin="http://evil.example")[0]["status"] == 403


def test_streamlit_reports_to_nobody_and_takes_no_more_than_it_is_told() -> None:
    place = Place(Path("runs"), Limits(32_000_000, 40_000_000, 50_000_000), str)
    found = options(place, "127.0.0.1")
    assert not found["browser.gatherUsageStats"]
    assert found["server.address"] == "127.0.0.1"
    assert found["server.fileWatcherType"] == "none"
    # Streamlit counts in units of 1,048,576 bytes.
    assert 40_000_000 <= found["server.maxUploadSize"] * 1024 * 1024 < 41_100_000


def test_where_it_is() -> None:
    assert address_of("127.0.0.1", 8501) == "http://127.0.0.1:8501"
    assert address_of("0.0.0.0", 80) == "http://127.0.0.1:80"
    assert address_of("::1", 80) == "http://[::1]:80"
    assert [is_local(each) for each in ("localhost", "127.0.0.2", "::1", "0.0.0.0", "gpu-box")] == [
        True,
        True,
        True,
        False,
        False,
    ]
