"""What `clfctl serve` answers under load, against what its model computes by itself, with EfficientNet-B0.

    python -m benchmarks.serving [seconds of each turn]

The model alone (pixels that are ready, a thread a core, in batches that it is fast with) and the server (photographs of
500 x 375 as JPEG, over loopback, as many connections as are named) take turns in one run. Both use all cores: what the
server decodes, parses and sends, and what the client needs, is what it falls behind by. Ends with status 1 if that is
more than a tenth. The model has random weights: they cost what others do.
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

import numpy as np

from clfctl.data.workers import n_cores
from clfctl.inference.open import open_predictor
from clfctl.inference.predictor import Predictor

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


def own_rate(predictor: Predictor, seconds: float) -> float:
    """Return the images a second that a model computes by itself, of pixels that are ready."""
    draw, sizes = np.random.default_rng(0), [view.size for view in predictor.info.views]
    pixels = [tuple(draw.integers(0, 256, (*size, 3), np.uint8) for size in sizes) for _ in range(predictor.batch_size)]
    ends_s = time.perf_counter() + seconds

    def compute() -> int:
        n = 0
        while time.perf_counter() < ends_s:
            predictor.probabilities(pixels)
            n += len(pixels)
        return n

    started_s = time.perf_counter()
    with ThreadPoolExecutor(n_cores()) as pool:
        n = sum(each.result() for each in [pool.submit(compute) for _ in range(n_cores())])
    return n / (time.perf_counter() - started_s)


def serve(model: Path, *words: str) -> tuple[subprocess.Popen[str], str]:
    """Start the server at a free port; return it and its address."""
    command = [*CLFCTL, "serve", str(model), "--port", "0", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        sys.exit("the server did not start")
    return process, line.split()[-1]


def main() -> int:
    """Measure, and return the exit status."""
    from benchmarks.data import cut_files, photographs
    from benchmarks.inference import SIZE, make_run

    turn_s = float(sys.argv[1]) if len(sys.argv) > 1 else TURN_S
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder) / "images"
        cut_files(photographs(), images, SIZE)
        run = make_run(Path(folder), images)
        requests = [request_of(path.read_bytes()) for path in sorted(images.rglob("*.jpg"))[:50]]
        predictor = open_predictor(run.onnx, 1, lambda line: None)  # noqa: ARG005 (a note for a screen)
        process, url = serve(run.onnx)
        try:
            asyncio.run(put_load(url, requests, N_CONNECTIONS, WARM_S))
            own_rate(predictor, WARM_S)
            own, served, shares = list[float](), list[Load](), list[float]()
            for _ in range(N_TURNS):
                own.append(own_rate(predictor, turn_s))
                served.append(asyncio.run(put_load(url, requests, N_CONNECTIONS, turn_s)))
                shares.append(served[-1].per_s() / own[-1])
            few = asyncio.run(put_load(url, requests, 1, turn_s))
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
    whole = Load(seconds=[each for load in served for each in load.seconds])
    share = statistics.median(shares)
    print(f"{os.cpu_count()} cores, EfficientNet-B0 at 224 pixels, {N_CONNECTIONS} connections")
    print(f"the model alone      {statistics.median(own):8.1f} images/s")
    print(f"the server           {statistics.median(load.per_s() for load in served):8.1f} images/s")
    print(f"its share            {share:8.3f} (median of {N_TURNS}: {', '.join(f'{each:.3f}' for each in shares)})")
    print(f"time of a request    {whole.quantile_ms(0.5):8.0f} ms half of them, {whole.quantile_ms(0.99):.0f} ms 99 %")
    print(f"one connection alone {few.quantile_ms(0.5):8.0f} ms half of them, {few.quantile_ms(0.99):.0f} ms 99 %")
    others = Counter[int]()
    for load in served:
        others += load.statuses
    print(f"statuses             {dict(others)}")
    return 0 if share >= MIN_SHARE and {*others} == {200} else 1


if __name__ == "__main__":
    sys.exit(main())
