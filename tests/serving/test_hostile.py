"""The server as a process among strangers: 10,000 hostile requests, and a run that would run something."""

import asyncio
import json
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from typer.testing import Result

from benchmarks.serving import read_answer, request_of
from clfctl.runs.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from clfctl.runs.folder import RunFolder
from tests.faults.test_pickle import plain_pickle
from tests.serving.colours import COLOURS, Served, class_of, picture, rle_bmp, start

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="signals and /proc")]
Cli = Callable[..., Result]
MEGABYTE = 1_000_000

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
