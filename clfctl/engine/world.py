"""The processes that train together: started by torchrun, joined by torch.distributed.

What all must know alike goes through a `World`: the plan, the cursor and the number of batches count *global* batches,
so that they do not depend on how many processes there are. The loader gives each process its share of every batch.
"""

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import distributed, nn
from torch.distributed.rendezvous import rendezvous

from clfctl.errors import ClfctlError, LostProcessError, TogetherError, UsageError
from clfctl.settings.clock import parse_clock
from clfctl.settings.launch import Launch, launch

# What an exception of torch says when another process is gone, or did not come.
_GONE = ("connection closed", "connection reset", "broken pipe", "timed out", "timeout", "gloo", "nccl")
# How often this process has joined others.
_TIMES = itertools.count()
T = TypeVar("T")
E = TypeVar("E", bound=ClfctlError)


@dataclass(frozen=True)
class World:
    """`size` processes, of which this one is the `rank`-th, from 0. They wait for each other, `wait_limit` at most."""

    rank: int = 0
    size: int = 1
    wait_limit: str = "30m"

    @property
    def is_first(self) -> bool:
        """Whether this process writes the files and tells the user."""
        return self.rank == 0

    @property
    def is_alone(self) -> bool:
        """Whether there is no other process."""
        return self.size == 1

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """Return the sum of the values of all processes, of the same shape, on the same device."""
        if self.is_alone:
            return values
        total = values.clone()
        with self.talking():
            distributed.all_reduce(total)
        return total

    def gather(self, *values: float) -> list[list[float]]:
        """Return some numbers of every process, in the order of the processes."""
        if self.is_alone:
            return [[*values]]
        own = torch.tensor(values, dtype=torch.float64)
        every = [torch.empty_like(own) for _ in range(self.size)]
        with self.talking():
            distributed.all_gather(every, own)
        return [each.tolist() for each in every]

    def texts(self, text: str) -> list[str]:
        """Return a text of every process, in the order of the processes."""
        if self.is_alone:
            return [text]
        own = text.encode()
        lengths = [int(n) for (n,) in self.gather(len(own))]
        padded = torch.tensor([*own, *bytes(max(1, *lengths) - len(own))], dtype=torch.uint8)
        every = [torch.empty_like(padded) for _ in range(self.size)]
        with self.talking():
            distributed.all_gather(every, padded)
        return [bytes(each[:n].tolist()).decode() for each, n in zip(every, lengths, strict=True)]

    def first_says(self, value: T) -> T:
        """Return what the first process has, of what JSON can hold."""
        return value if self.is_alone else json.loads(self.texts(json.dumps(value) if self.is_first else "")[0])

    def share_buffers(self, model: nn.Module) -> None:
        """Give every process the buffers of the first, such as batch normalization's statistics."""
        if self.is_alone:
            return
        with self.talking():
            for each in model.buffers():
                distributed.broadcast(each, 0)

    def shift(self, value: torch.Tensor, counts: Sequence[int]) -> torch.Tensor:
        """Return the value that the process before this one has, among those with images; the first gets the last's.

        `value` is on the host. Only those with images call it.
        """
        those = [rank for rank, n in enumerate(counts) if n]
        if len(those) == 1:
            return value
        place, got = those.index(self.rank), torch.empty_like(value)
        with self.talking():
            sent = distributed.isend(value, those[(place + 1) % len(those)])
            distributed.recv(got, those[place - 1])
            if sent is not None:
                sent.wait()
        return got

    @contextmanager
    def agreeing(self) -> Iterator[None]:
        """Let an error of one process in the block be that of all: each raises it. All have to come here."""
        if self.is_alone:
            yield
            return
        error: ClfctlError | None = None
        try:
            yield
        except LostProcessError:
            raise
        except ClfctlError as failed:
            error = failed
        self.agree(error)

    def in_turn(self, make: Callable[[], T]) -> T:
        """Return what every process makes, with any error as that of all.

        The first begins, then the first of every other machine, then the rest: what is downloaded, unpacked or
        computed once lies on the disk for those that come later.
        """
        if self.is_alone:
            return make()
        own_turn = 0 if self.is_first else 1 if launch().local_rank == 0 else 2
        made: list[T] = []
        for turn in range(3):
            with self.agreeing():
                if turn == own_turn:
                    made.append(make())
        return made[0]

    def agree(self, error: ClfctlError | None) -> None:
        """Raise the error of the first process that has one, in all of them."""
        if self.is_alone:
            if error:
                raise error
            return
        found = self.texts(json.dumps(_as_record(error)) if error else "")
        rank = next((rank for rank, text in enumerate(found) if text), None)
        if rank is None:
            return
        if error is None or rank != self.rank:
            record = json.loads(found[rank])
            where = f"process {rank + 1} of {self.size}: " if rank else ""
            raise self.known(
                TogetherError(where + record["message"], record["hint"], record["exit_code"], field=record["field"])
            )
        raise self.known(error)

    def known(self, error: E) -> E:
        """Return an error that all processes raise: the first alone tells the user."""
        error.is_told = not self.is_first
        return error

    @contextmanager
    def talking(self) -> Iterator[None]:
        """Make a sentence of the errors that come of a process that has ended, or does not come."""
        try:
            yield
        except RuntimeError as error:
            if self.is_alone or not any(word in str(error).lower() for word in _GONE):
                raise
            late = "timed out" in str(error).lower() or "timeout" in str(error).lower()
            what = f"has not come for {self.wait_limit}" if late else "has ended"
            hint = "wait longer with `wait_limit=`" if late else "what it said is the reason; `clfctl resume` goes on"
            # Not `known`: the first may be the one that is gone. The others give it the time to speak before they do.
            raise LostProcessError(f"another of the {self.size} processes {what}", hint) from error


ALONE = World()


def _as_record(error: ClfctlError) -> Mapping[str, Any]:
    return {"message": error.message, "hint": error.hint, "exit_code": error.exit_code, "field": error.field}


@contextmanager
def joined(device: str, wait_limit: str) -> Iterator[World]:
    """Yield the processes that torchrun started with this one, of which it is one; they part at the end.

    On GPUs every process takes one of its own, by NCCL; what the host has to know goes by Gloo. Raises UsageError for
    more processes than GPUs, LostProcessError if one does not come.

    With "cpu:gloo,cuda:nccl" torch chooses by where a tensor lies: "the gloo backend will be used for collectives with
    CPU tensors and the nccl backend for collectives with CUDA tensors" (torch.distributed.init_process_group). So flags
    and counts, which lie on the host, never wait for what a GPU has still to do, as a message by NCCL would; they cost
    a round trip between hosts and no copy. NCCL connects at the first gradient.
    """
    one = launch()
    if one.size == 1:
        yield ALONE
        return
    if distributed.is_initialized():  # by a program that trains several times
        yield World(one.rank, one.size, wait_limit)
        return
    on_cuda = device.startswith(("auto", "cuda")) and torch.cuda.is_available()
    if on_cuda:
        _take_gpu(one)
    world = World(one.rank, one.size, wait_limit)
    with world.talking():
        limit = timedelta(seconds=parse_clock(wait_limit))
        store, *_ = next(rendezvous("env://", one.rank, one.size, timeout=limit))
        # The agent's store outlives a restart, and has the addresses of those that ended.
        prefixed: Any = distributed  # torch's own list lacks PrefixStore
        store = prefixed.PrefixStore(f"clfctl/{one.n_restarts}/{next(_TIMES)}", store)
        backend = "cpu:gloo,cuda:nccl" if on_cuda else "gloo"
        distributed.init_process_group(backend, store=store, rank=one.rank, world_size=one.size, timeout=limit)
    try:
        yield world
    finally:
        distributed.destroy_process_group()


def _take_gpu(one: Launch) -> None:
    n_gpus = torch.cuda.device_count()
    if one.n_local > n_gpus:
        what = f"{one.n_local} processes on a machine with {n_gpus} GPU{'s' * (n_gpus != 1)}"
        raise UsageError(what, f"start {n_gpus} on it with torchrun, or use `device=cpu`", field="device")
    torch.cuda.set_device(one.local_rank)


def here(device: str) -> str:
    """Return the name of the device of this process: one GPU each."""
    one = launch()
    if one.size == 1 or not distributed.is_initialized() or device not in ("auto", "cuda"):
        return device
    return f"cuda:{one.local_rank}" if torch.cuda.is_available() else device
