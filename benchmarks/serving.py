"""What `clfctl serve` answers under load, against what its model computes by itself, with EfficientNet-B0.

    python -m benchmarks.serving [seconds of each turn]

Three take turns in one run, each with all cores: the model alone with pixels that are ready, the model with photographs
that are decoded first (500 x 375, JPEG), and the server, asked for the same over loopback. The second is the rate that
`clfctl predict` has: what HTTP, queue, batches and the client cost is what the server falls behind it by. Ends with
status 1 if that is more than a tenth. Seconds of processor time are counted too: other programs disturb them less. The
model has random weights: they cost what others do.
"""

import asyncio
import itertools
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from clfctl.data.onlookers import no_line
from clfctl.data.workers import n_cores
from clfctl.inference.open import open_predictor
from clfctl.inference.predictor import Predictor, Seen
from clfctl.serving.images import read_upload

CLFCTL = [sys.executable, "-m", "clfctl"]
N_TURNS, TURN_S, WARM_S = 5, 8.0, 2.0
MIN_SHARE, N_CONNECTIONS = 0.9, 16


@dataclass
class Load:
    """What came of some seconds of requests: seconds of each, HTTP statuses, and the bytes of the last answer."""

    took_s: float = 0.0
    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    last: bytes = b""

    def per_s(self) -> float:
        """Return the requests answered a second with status 200."""
        return self.statuses[200] / self.took_s

    def quantile_ms(self, share: float) -> float:
        """Return the milliseconds that a share of the requests took at most."""
        ordered = sorted(self.seconds)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def request_of(content: bytes, path: str = "/predict", more: str = "") -> bytes:
    """Return the bytes of a request with raw bytes of an image as its body."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\n{more}"
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Return status and body of an answer. Raises IncompleteReadError or ConnectionError where it breaks off."""
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head.split(None, 2)[1])
    length = next(
        (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
    )
    return status, await reader.readexactly(length)


async def put_load(url: str, requests: Sequence[bytes], n_connections: int, seconds: float) -> Load:
    """Ask over so many connections that stay open, each as soon as it has its answer."""
    load, place = Load(), urlsplit(url)
    turn = itertools.cycle(requests)
    ends_s = time.perf_counter() + seconds

    async def ask() -> None:
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        try:
            while (started_s := time.perf_counter()) < ends_s:
                writer.write(next(turn))
                await writer.drain()
                status, load.last = await read_answer(reader)
                load.seconds.append(time.perf_counter() - started_s)
                load.statuses[status] += 1
        finally:
            writer.close()

    started_s = time.perf_counter()
    await asyncio.gather(*(ask() for _ in range(n_connections)))
    load.took_s = time.perf_counter() - started_s
    return load


@dataclass(frozen=True)
class Rate:
    """Images a second, and milliseconds of processor time an image, those of the client included."""

    per_s: float
    cpu_ms: float


def own_rate(predictor: Predictor, contents: Sequence[bytes], seconds: float, *, decodes: bool) -> Rate:
    """Return what a model reaches by itself, a thread a core, with images decoded each time, or once before."""
    batch = [contents[n % len(contents)] for n in range(predictor.batch_size)]
    ready = [_seen(predictor, each) for each in batch]
    turn = itertools.cycle(contents)
    ends_s = time.perf_counter() + seconds

    def compute() -> int:
        n = 0
        while time.perf_counter() < ends_s:
            predictor.probabilities([_seen(predictor, next(turn)) for _ in batch] if decodes else ready)
            n += len(batch)
        return n

    started_s, cpu_s = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(n_cores()) as pool:
        n = sum(each.result() for each in [pool.submit(compute) for _ in range(n_cores())])
    return Rate(n / (time.perf_counter() - started_s), 1000 * (time.process_time() - cpu_s) / n)


def _seen(predictor: Predictor, content: bytes) -> Seen:
    found = read_upload(content, predictor, 1e9)
    assert not isinstance(found, str), found
    return found


def served_rate(load: Load, cpu_s: float) -> Rate:
    """Return what a server reached that took so much processor time for it, with its client."""
    return Rate(load.per_s(), 1000 * cpu_s / max(1, load.statuses[200]))


def cpu_s_of(pid: int) -> float:
    """Return the processor time that a process has had, in seconds."""
    user, system = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def serve(model: Path, *words: str) -> tuple[subprocess.Popen[str], str]:
    """Start the server at a free port; return it and its address."""
    command = [*CLFCTL, "serve", str(model), "--port", "0", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        sys.exit("the server did not start")
    return process, line.split()[-1]


def measure(model: Path, contents: Sequence[bytes], turn_s: float) -> int:
    """Measure with a model.onnx and the bytes of images, and print; return the exit status."""
    requests = [request_of(each) for each in contents]
    predictor = open_predictor(model, 1, no_line)
    rates: dict[str, list[Rate]] = {"computes": [], "decodes too": [], "serves": []}
    loads = []
    process, url = serve(model)
    try:
        asyncio.run(put_load(url, requests, N_CONNECTIONS, WARM_S))
        for _ in range(N_TURNS):
            for name, decodes in (("computes", False), ("decodes too", True)):
                rates[name].append(own_rate(predictor, contents, turn_s, decodes=decodes))
            before_s = cpu_s_of(process.pid) + time.process_time()
            loads.append(asyncio.run(put_load(url, requests, N_CONNECTIONS, turn_s)))
            took_s = cpu_s_of(process.pid) + time.process_time() - before_s
            rates["serves"].append(served_rate(loads[-1], took_s))
        few = asyncio.run(put_load(url, requests, 1, turn_s))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    print(f"{n_cores()} cores, {predictor.info.name}, {N_CONNECTIONS} connections, {N_TURNS} turns of {turn_s:g} s")
    for name, found in rates.items():
        per_s, cpu_ms = (statistics.median(getattr(each, what) for each in found) for what in ("per_s", "cpu_ms"))
        print(f"{name:12} {per_s:8.1f} images/s {cpu_ms:8.2f} ms of a core an image")
    shares = {}
    for name in ("decodes too", "computes"):
        pairs = [*zip(rates["serves"], rates[name], strict=True)]
        shares[name] = statistics.median(served.per_s / own.per_s for served, own in pairs)
        of_cpu = statistics.median(own.cpu_ms / served.cpu_ms for served, own in pairs)
        print(f"its share of what {name:12} {shares[name]:.3f}, by processor time {of_cpu:.3f}")
    whole = Load(seconds=[each for load in loads for each in load.seconds])
    statuses = sum((load.statuses for load in loads), Counter[int]())
    for what, load in ((f"{N_CONNECTIONS} connections", whole), ("one connection", few)):
        print(f"{what:16} p50 {load.quantile_ms(0.5):6.0f} ms, p99 {load.quantile_ms(0.99):6.0f} ms")
    print(f"statuses {dict(statuses)}")
    return 0 if shares["decodes too"] >= MIN_SHARE and {*statuses} == {200} else 1


def main() -> int:
    """Measure with a new EfficientNet-B0, and return the exit status."""
    from benchmarks.data import cut_files, photographs
    from benchmarks.inference import SIZE, make_run

    turn_s = float(sys.argv[1]) if len(sys.argv) > 1 else TURN_S
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder) / "images"
        cut_files(photographs(), images, SIZE)
        run = make_run(Path(folder), images)
        contents = [path.read_bytes() for path in sorted(images.rglob("*.jpg"))[:50]]
        return measure(run.onnx, contents, turn_s)


if __name__ == "__main__":
    sys.exit(main())
