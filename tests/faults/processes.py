"""Real processes of clfctl, forked from one that has torch imported: half a second each instead of five."""

import multiprocessing
import os
import socket
import sys
import time
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import torch

from clfctl.runs.checkpoint import load_checkpoint
from clfctl.runs.folder import RunFolder
from clfctl.storage.json_lines import read_json_lines

# A small network, with parameters and batch statistics; two seconds for all epochs.
TINY: tuple[str, ...] = ("--model", "test_efficientnet", "--no-pretrained", "--image-size", "32", "--batch-size", "4")
TINY += ("--val-split", "0.25", "--epochs", "3", "--lr", "0.01", "--json", "--no-export")
TIMES = ("images_per_s", "time_s")

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    ["tests.faults.processes", "timm", "sklearn.datasets", "clfctl.cli.app", "clfctl.engine.assemble"]
)


@dataclass(frozen=True)
class Running:
    """A process of clfctl; `out` and `err` are the files that it writes to."""

    process: ForkServerProcess
    out: Path
    err: Path

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def wait(self, timeout_s: float = 60) -> int:
        """Return the exit code; minus the number of the signal that killed it."""
        self.process.join(timeout_s)
        assert self.process.exitcode is not None, f"still running: {self.err.read_text()}"
        return self.process.exitcode

    def wait_for(self, text: str, timeout_s: float = 60) -> None:
        """Wait until it has written something."""
        end = time.monotonic() + timeout_s
        while text not in self.out.read_text() + self.err.read_text():
            assert time.monotonic() < end, f"{text!r} never came: {self.err.read_text()}"
            assert self.process.is_alive(), self.err.read_text()
            time.sleep(0.005)


def start(*words: str, prepare: str = "") -> Running:
    """Start `clfctl words` in the current folder, with the current environment.

    `prepare` is Python that is run in the process before.
    """
    place = Path.cwd()
    number = len(list(place.glob("out-*")))
    out, err = place / f"out-{number}.txt", place / f"err-{number}.txt"
    out.touch()
    err.touch()
    # A service that wandb has left in this process would be theirs too: a killed one's run would stay open in it.
    environment = {name: value for name, value in os.environ.items() if name != "WANDB_SERVICE"}
    process = CONTEXT.Process(target=_main, args=(words, str(place), environment, str(out), str(err), prepare))
    process.start()
    return Running(process, out, err)


def start_together(n: int, *words: str, prepare: str = "", of_rank: int | None = None) -> list[Running]:
    """Start `clfctl words` in `n` processes that train together, as torchrun would.

    `prepare` is Python that is run before in each of them, or in that `of_rank` alone.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started, before = [], dict(os.environ)
    try:
        for rank in range(n):
            given = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": n, "LOCAL_WORLD_SIZE": n, "MASTER_PORT": port}
            os.environ |= {name: str(value) for name, value in given.items()} | {"MASTER_ADDR": "127.0.0.1"}
            started.append(start(*words, prepare=prepare if of_rank in (None, rank) else ""))
    finally:
        os.environ.clear()
        os.environ.update(before)
    return started


def run_together(n: int, *words: str, prepare: str = "", of_rank: int | None = None) -> tuple[list[int], list[str]]:
    """Run `clfctl words` in `n` processes to their ends; return exit codes and what they wrote to standard error."""
    started = start_together(n, *words, prepare=prepare, of_rank=of_rank)
    return [each.wait(120) for each in started], [each.err.read_text() for each in started]


def run(*words: str, prepare: str = "") -> tuple[int, str]:
    """Run `clfctl words` to its end; return the exit code and what it wrote to standard error."""
    running = start(*words, prepare=prepare)
    return running.wait(), running.err.read_text()


def _main(words: tuple[str, ...], place: str, environment: dict[str, str], out: str, err: str, prepare: str) -> None:
    os.chdir(place)
    os.environ.clear()
    os.environ.update(environment)
    for path, number in ((out, 1), (err, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_APPEND), number)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1, closefd=False) for number in (1, 2))
    sys.argv = ["clfctl", *words]
    from clfctl.cli.app import main

    exec(prepare, {})
    main()


def final_state(run: RunFolder) -> tuple[dict[str, torch.Tensor], dict[str, Any], list[dict[str, Any]]]:
    """Return tensors, settings and the like, and history of a run's last checkpoint, without what a clock made."""
    loaded = load_checkpoint(run.last)
    meta = {name: value for name, value in loaded.meta.items() if name != "settings"}
    del meta["cursor"]["train_s"]
    meta.pop("given_in", None)  # of where the run lies
    for record in meta["history"]:
        for name in TIMES:
            del record[name]
    written = [{k: v for k, v in each.items() if k not in TIMES} for each in read_json_lines(run.history)]
    return loaded.tensors, meta, written


def assert_same_bits(one: RunFolder, other: RunFolder) -> None:
    """Weights, optimizer, losses and history of two runs are the same."""
    (tensors, meta, written), (tensors2, meta2, written2) = final_state(one), final_state(other)
    assert meta == meta2
    assert written == written2 == meta["history"]
    assert tensors.keys() == tensors2.keys()
    for name, tensor in tensors.items():
        assert torch.equal(tensor, tensors2[name]), name
