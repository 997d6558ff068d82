"""The server as a process: load, slow senders, new models, signals."""

import asyncio
import random
import signal
import socket
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest

from benchmarks.serving import put_load, request_of
from tests.serving.colours import COLOURS, Served, class_of, colours_model, picture, start

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="signals and /proc")]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stopping_server_answers_what_it_accepted(number: signal.Signals, code: int, tmp_path: Path) -> None:
    model = tmp_path / "slow.onnx"
    model.write_bytes(colours_model(n_products=6))
    served = start(model, "--max-batch", "2")
    named = [COLOURS[n % 3] for n in range(24)]
    half = socket.create_connection(served.address)
    whole = request_of(picture("blue"))
    half.sendall(whole[:100])
    asking = [socket.create_connection(served.address) for _ in named]
    for each, name in zip(asking, named, strict=True):
        each.sendall(request_of(picture(name)))
    # Connections are accepted in their order: when this one is answered, those before it have been.
    assert httpx.get(f"{served.url}/health").status_code == 200
    served.process.send_signal(number)
    time.sleep(0.5)
    half.sendall(whole[100:])
    answer, *found = [_last_words(each, 60) for each in (half, *asking)]
    _, err = served.process.communicate(timeout=60)
    assert all(each.startswith(b"HTTP/1.1 200") for each in (answer, *found))
    assert [class_of(each.partition(b"\r\n\r\n")[2]) for each in (answer, *found)] == ["blue", *named]
    assert b"connection: close" in answer
    assert served.process.returncode == code, err
    assert err.splitlines()[-1] == f"Stopped by {number.name}; what was accepted is answered."
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(served.address)


def test_one_that_takes_too_long_is_cut_off(tmp_path: Path) -> None:
    model = tmp_path / "slow.onnx"
    model.write_bytes(colours_model(n_products=100))
    served = start(model, "--stop-seconds", "1")
    with socket.create_connection(served.address) as one:
        one.sendall(request_of(picture("red")))
        time.sleep(0.5)
        started_s = time.monotonic()
        code, err = served.stop()
    assert time.monotonic() - started_s < 8
    assert code == 143, err
    assert "1 requests took too long, and were not answered" in err


def test_a_changed_model_is_picked_up_without_losing_a_request(tmp_path: Path) -> None:
    model, draw = tmp_path / "model.onnx", random.Random(0)
    contents = [colours_model(tuple(f"{name}{n}" for name in COLOURS)) for n in range(5)]
    model.write_bytes(contents[0])
    served = start(model)

    seen: dict[str, Counter[str]] = {}

    def change() -> None:
        for n, content in enumerate(contents[1:], 1):
            if n % 2:
                new = tmp_path / "new"
                new.write_bytes(content)
                new.replace(model)
            else:
                part = draw.randrange(len(content))
                with model.open("wb") as file:  # as `cp` does it
                    file.write(content[:part])
                    file.flush()
                    time.sleep(0.1)
                    file.write(content[part:])
            ends_s = time.monotonic() + 30
            while len(seen) <= n and time.monotonic() < ends_s:
                time.sleep(0.02)

    changing = threading.Thread(target=change)
    changing.start()
    n_asked = 0
    with httpx.Client() as client:
        while changing.is_alive():
            answer = client.post(f"{served.url}/predict", content=picture("red"))
            assert answer.status_code == 200, answer.text
            n_asked += 1
            seen.setdefault(answer.json()["mark"], Counter())[class_of(answer.content)] += 1
        about = client.get(f"{served.url}/model").json()
    code, err = served.stop()
    assert about["classes"] == [f"{name}4" for name in COLOURS]
    assert [list(each) for each in seen.values()] == [[f"red{n}"] for n in range(5)]
    assert sum(sum(each.values()) for each in seen.values()) == n_asked > 20
    assert err.count("it has changed") == 4
    assert code == 143


def test_slow_senders_are_sent_away_and_hold_nobody_up(colours: Path) -> None:
    # Places for 200 connections: the slowest make room for the four that are quick.
    few = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (264, 264))"
    served = start(colours, "--receive-seconds", "3", prepare=few)
    whole = request_of(picture("red") + bytes(5000))
    slow = [socket.create_connection(served.address) for _ in range(200)]
    for n, each in enumerate(slow):  # one says nothing, one never ends its head, one its body
        each.sendall((b"", whole[:30], whole[:-1])[n % 3])
    started_s = time.monotonic()
    time.sleep(1.2)
    load = asyncio.run(put_load(served.url, [request_of(picture("blue"))], 4, 1.0))
    for each in slow[1::3]:
        each.sendall(whole[30:31])
    assert {*load.statuses} == {200}
    assert load.quantile_ms(0.99) < 1000
    ends = [_last_words(each) for each in slow]
    assert time.monotonic() - started_s < 6
    assert all(each.startswith(b"HTTP/1.1 408") for each in ends)
    with socket.create_connection(served.address) as other:
        other.sendall(b"no HTTP at all\r\n\r\n")
        assert other.recv(1000).startswith(b"HTTP/1.1 400")
    counted = [line for line in _metrics(served).splitlines() if line.startswith("clfctl_requests_total")]
    assert 'clfctl_requests_total{path="other",status="408"} 200.0' in counted
    assert 'clfctl_requests_total{path="other",status="400"} 1.0' in counted
    # Of those whose body did not end the application has not said anything besides.
    assert not [line for line in counted if 'path="/predict"' in line and 'status="200"' not in line]
    assert served.process.poll() is None
    assert served.stop()[0] == 143


def _metrics(served: Served) -> str:
    return httpx.get(f"{served.url}/metrics").text


def _last_words(connection: socket.socket, wait_s: float = 10) -> bytes:
    connection.settimeout(wait_s)
    found = b""
    try:
        while piece := connection.recv(1000):
            found += piece
    except ConnectionResetError:
        pass
    connection.close()
    return found


def test_readers_that_do_not_read_are_dropped(colours: Path) -> None:
    served = start(colours, "--receive-seconds", "1")
    page = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(served.address)
        deaf.setblocking(False)
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            _send_without_reading(deaf, page * 100, 20)
    assert httpx.get(f"{served.url}/health").status_code == 200
    assert served.stop()[0] == 143


def _send_without_reading(connection: socket.socket, content: bytes, seconds: float) -> None:
    ends_s = time.monotonic() + seconds
    while time.monotonic() < ends_s:
        try:
            connection.send(content)
        except BlockingIOError:
            time.sleep(0.05)
