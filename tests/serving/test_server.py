"""The server as a process: load, slow senders, 10,000 hostile requests, new models, signals, a stranger's run."""

import asyncio
import json
import random
import signal
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from typer.testing import Result

from benchmarks.serving import put_load, read_answer, request_of
from clfctl.runs.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from clfctl.runs.folder import RunFolder
from tests.faults.test_pickle import plain_pickle
from tests.serving.colours import COLOURS, Served, colours_model, picture, rle_bmp, start

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="signals and /proc")]
Cli = Callable[..., Result]
MEGABYTE = 1_000_000


def class_of(body: bytes) -> str:
    found: str = json.loads(body)["predictions"][0]["class"]
    return found


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


# What the server opens, starts and unpickles, told at its end.
WATCHED = """
import atexit, json, os, sys
seen = []
def note(event, values):
    if event == "open":
        path, mode, flags = values
        is_written = bool(flags and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
        seen.append((event, str(path), is_written))
    elif event in ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "pickle.find_class", "os.listdir"):
        seen.append((event, str(values[0]), False))
sys.addaudithook(note)
atexit.register(lambda: print("SEEN", json.dumps(seen), file=sys.stderr))
"""
NAMES = (
    *("../../../etc/passwd", "/etc/passwd", "C:\\\\Windows\\\\win.ini", "a\0b", "%2e%2e%2fetc", "x" * 1500),
    *("'; rm -rf /", "\u202egnp"),
)
N_HOSTILE, N_BEFORE, N_AT_ONCE = 10_000, 2500, 16
MOST_GROWTH = 24 * MEGABYTE


def form(*named: tuple[str, bytes], end: bytes = b"--b--\r\n", boundary: str = "b") -> bytes:
    body = b""
    for name, content in named:
        head = f'--b\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n\r\n'
        body += head.encode() + content + b"\r\n"
    body += end
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary={boundary}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def hostile(draw: random.Random) -> Iterator[tuple[bytes, set[int]]]:
    """Yield requests for ever, with the statuses that each may be answered with; 0 is an end without an answer.

    Whoever gets none for sure does not wait for it.
    """
    good = {name: picture(name, (64, 48), kind) for name, kind in zip(COLOURS, ("JPEG", "PNG", "WEBP"), strict=True)}
    bomb = picture("red", (3000, 2000))
    jpeg, slow = good["red"], rle_bmp(990, 990)
    head = "POST /predict HTTP/1.1\r\nHost: x\r\n"
    while True:
        damaged = bytearray(draw.choice([*good.values()]))
        for _ in range(draw.randrange(1, 9)):
            damaged[draw.randrange(len(damaged))] = draw.randrange(256)
        cut = draw.choice([*good.values()])
        name = draw.choice(NAMES)
        whole = form((name, good["blue"]))
        kinds: list[tuple[bytes, set[int]]] = [
            (request_of(bytes(damaged)), {200, 422}),
            (request_of(cut[: draw.randrange(1, len(cut))]), {200, 422}),
            (request_of(bomb), {422}),
            (request_of(bytes(draw.randrange(1, 3000))), {422}),
            (request_of(jpeg + b"\xff\xda" * 5000), {422}),
            (request_of(slow), {422}),
            (request_of(b"P1 999 999\n" + b"1 " * 50_000), {422}),
            (request_of(plain_pickle(Path("proof"))), {422}),
            (request_of(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) run\n"), {422}),
            (request_of(b""), {400}),
            (f"{head}Content-Length: {10**12}\r\n\r\n".encode() + bytes(2000), {413}),
            (request_of(bytes(2 * MEGABYTE)), {413}),
            (f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + b"186a0\r\n%s\r\n" % bytes(100_000) * 15, {413}),
            (f"{head}Transfer-Encoding: chunked\r\n\r\nzz\r\n".encode(), {400, 0}),
            (f"{head}Content-Length: -5\r\n\r\n".encode(), {400}),
            (f"{head}Content-Length: 5\r\nContent-Length: 6\r\n\r\n12345".encode(), {400}),
            (f"{head}Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}".encode(), {415}),
            (f"{head}Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{{}}".encode(), {415}),
            (f"{head}X: {'y' * 100_000}\r\n\r\n".encode(), {400, 0}),
            (whole, {200, 400}),
            (form(*[(name, good["red"])] * 5), {413, 400}),
            (form((name, cut), end=b""), {400}),
            (form((name, cut), boundary="other"), {400}),
            (form((name, cut), boundary="b" * 3000), {400}),
            (whole[: draw.randrange(1, len(whole))], {0}),
            (request_of(jpeg)[: draw.randrange(1, 150)], {0}),
            (b"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", {404}),
            (b"GET /%2e%2e/etc/passwd%00 HTTP/1.1\r\nHost: x\r\n\r\n", {404}),
            (b"POST /predict?top_k=-1&x=" + b"y" * 2000 + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx", {400}),
            (b"\x16\x03\x01\x02\x00\x01" + draw.randbytes(100) + b"\r\n\r\n", {400, 0}),
            (draw.randbytes(draw.randrange(1, 500)) + b"\r\n\r\n", {400, 0}),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400, 0, 404, 405}),
            (b"DELETE /predict HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", {405}),
        ]
        draw.shuffle(kinds)
        yield from kinds


async def attack(served: Served, requests: Iterator[tuple[bytes, set[int]]], n: int) -> Counter[int]:
    """Send hostile requests, each over a connection of its own, and a good one after every tenth."""
    host, port = served.address
    statuses = Counter[int]()
    left = iter(range(n))

    async def send(content: bytes, *, waits: bool = True) -> tuple[int, bytes]:
        reader, writer = await asyncio.open_connection(host, port)
        try:
            writer.write(content)
            return await asyncio.wait_for(read_answer(reader), 20) if waits else (0, b"")
        except (asyncio.IncompleteReadError, ConnectionError):
            return 0, b""
        finally:
            writer.close()

    async def ask() -> None:
        for number in left:
            content, allowed = next(requests)
            status, body = await send(content, waits=allowed != {0})
            statuses[status] += 1
            assert status in allowed | {429}, (status, body[:200], content[:200], allowed)
            assert b"/" not in body or status in (200, 404, 415), body
            if number % 10 == 0:
                name = COLOURS[number // 10 % 3]
                while (answer := await send(request_of(picture(name))))[0] == 429:
                    await asyncio.sleep(0.01)
                assert answer[0] == 200, answer
                assert class_of(answer[1]) == name

    await asyncio.gather(*(ask() for _ in range(N_AT_ONCE)))
    return statuses


def test_ten_thousand_hostile_requests(colours: Path) -> None:
    words = ("--max-megabytes", "1", "--max-megapixels", "2", "--max-images", "4", "--receive-seconds", "3")
    served = start(colours, *words, prepare=WATCHED)
    requests = hostile(random.Random(0))
    asyncio.run(attack(served, requests, N_BEFORE))
    before = served.resident_bytes()
    statuses = asyncio.run(attack(served, requests, N_HOSTILE - N_BEFORE))
    grown = served.resident_bytes() - before
    asyncio.run(attack(served, requests, 1))
    assert grown < MOST_GROWTH, f"{grown / MEGABYTE:.1f} MB more"
    assert {200, 400, 404, 405, 413, 415, 422} <= {*statuses}
    assert 500 not in statuses
    code, err = served.stop()
    assert code == 143, err
    assert "Traceback" not in err
    seen = json.loads(next(line for line in err.splitlines() if line.startswith("SEEN")).removeprefix("SEEN"))
    assert not [each for each in seen if each[0] not in ("open", "os.listdir")]
    assert not [each for each in seen if each[2] and each[1] != "/dev/null"], "something was written"
    assert not [each for each in seen if any(name[:12] in each[1] for name in NAMES if name != "/etc/passwd")]
    assert not [each for each in seen if "passwd" in each[1]]


def test_a_run_from_a_stranger_runs_nothing(photos: Path, cli: Cli, tmp_path: Path) -> None:
    words = ("--model", "resnet9_small", "--image-size", "16", "--batch-size", "8", "--epochs", "1", "--no-export")
    assert cli("train", "--data", str(photos), *words, "--run-name", "x").exit_code == 0
    run, proof = RunFolder(Path("runs/x")), tmp_path / "ran"
    evil = f"open({str(proof)!r}, 'w').close()\n"
    for name in ("evil", "conftest", "sitecustomize_of_run"):
        (run.path / f"{name}.py").write_text(evil)
    saved = load_checkpoint(run.best)
    settings = {**saved.meta["settings"], "scheduler": "evil:Schedule", "momentum_schedule": "evil:Schedule"}
    save_checkpoint(run.best, Checkpoint(saved.tensors, saved.meta | {"settings": settings}))
    config = run.config.read_text()
    run.config.write_text(config.replace('scheduler = "', 'scheduler = "evil:Schedule" # "'))
    (run.path / "clfctl.toml").write_text("")
    served = start(Path(), prepare=f"import os, sys; os.chdir({str(run.path)!r}); sys.path.insert(0, '')")
    assert run.onnx.is_file()
    answer = httpx.post(f"{served.url}/predict", content=next(photos.rglob("*.jpg")).read_bytes())
    assert answer.status_code == 200
    assert served.stop()[0] == 143
    assert not proof.exists()
    for path in (run.best, run.last, run.onnx):
        path.write_bytes(plain_pickle(proof))
    for what in (run.path, run.best, run.onnx):
        result = cli("serve", str(what))
        assert result.exit_code == 1, result.output
        assert "Traceback" not in result.output
    assert not proof.exists()
