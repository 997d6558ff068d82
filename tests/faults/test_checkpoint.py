"""Checkpoints that are damaged, cut off, of another kind, or written to a full disk."""

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from typer.testing import Result

from clfctl.errors import CheckpointError, DamagedError
from clfctl.runs.checkpoint import (
    Checkpoint,
    load_checkpoint,
    load_last,
    optimizer_state,
    optimizer_tensors,
    save_checkpoint,
)
from clfctl.runs.folder import RunFolder
from clfctl.runs.header import Position, previous_of
from clfctl.storage.tensor_file import read_header
from tests.faults.processes import TINY, assert_same_bits

Cli = Callable[..., Result]


def checkpoint(value: float = 1.0) -> Checkpoint:
    tensors = {
        "model.a": torch.full((3, 4, 2, 2), value).to(memory_format=torch.channels_last),
        "model.n": torch.tensor(7),
        "model.half": torch.ones(5, dtype=torch.bfloat16),
        "model.none": torch.zeros(0, 3),
    }
    return Checkpoint(tensors, {"history": [{"val_loss": value}], "classes": ["ä", "b"]})


def test_reads_back_what_was_written(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "x.safetensors", checkpoint())
    loaded = load_checkpoint(tmp_path / "x.safetensors")
    assert loaded.meta == {"format": 1, **checkpoint().meta}
    assert loaded.tensors.keys() == checkpoint().tensors.keys()
    for name, tensor in checkpoint().tensors.items():
        assert torch.equal(loaded.tensors[name], tensor)
        assert loaded.tensors[name].dtype == tensor.dtype


@pytest.mark.slow
def test_every_flipped_bit_and_every_cut_is_found(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_checkpoint(path, checkpoint())
    whole = path.read_bytes()
    for bit in range(8 * len(whole)):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with pytest.raises(DamagedError, match=r"x\.safetensors"):
            load_checkpoint(path)
    for content in (*(whole[:n] for n in range(len(whole))), whole + b"\0"):
        path.write_bytes(content)
        with pytest.raises(DamagedError, match=r"x\.safetensors"):
            load_checkpoint(path)


def test_other_programs_can_read_it(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "x.safetensors", checkpoint())
    tensors = load_file(tmp_path / "x.safetensors")
    assert all(torch.equal(tensors[name], each) for name, each in checkpoint().tensors.items())


@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda tail: len(tail).to_bytes(8, "little") + tail))
def test_any_bytes_are_read_or_refused_with_a_reason(content: bytes) -> None:
    with contextlib.suppress(ValueError):
        read_header(io.BytesIO(content))


HEADERS = [
    {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}},
    {"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, -4]}},
    {"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}},
    {"a": {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]}},
    {"a": {"dtype": ["F32"], "shape": [1], "data_offsets": [0, 4]}},
    {"a": {"shape": [1], "data_offsets": [0, 4]}},
    {"a": [], "__metadata__": {}},
    {"__metadata__": 3},
    [],
    3,
]


@pytest.mark.parametrize("header", HEADERS)
def test_a_header_that_contradicts_itself_is_refused(header: object) -> None:
    text = json.dumps(header).encode()
    with pytest.raises(ValueError, match="header"):
        read_header(io.BytesIO(len(text).to_bytes(8, "little") + text))


@pytest.mark.parametrize("damage", [b"", None, b"x" * 100, bytes(1000)])
def test_a_damaged_file_is_put_aside_and_the_one_before_it_taken(tmp_path: Path, damage: bytes | None) -> None:
    path = tmp_path / "last.safetensors"
    for value in (1.0, 2.0):
        save_checkpoint(path, checkpoint(value), keep_previous=True)
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage)
    loaded, warning = load_last(path)
    assert loaded.meta["history"] == [{"val_loss": 1.0}]
    assert "last.safetensors cannot be read" in warning
    # The next save must not make the damaged file the predecessor of a new one that may be damaged too.
    save_checkpoint(path, checkpoint(3.0), keep_previous=True)
    assert load_checkpoint(previous_of(path)).meta["history"] == [{"val_loss": 1.0}]
    assert load_checkpoint(path).meta["history"] == [{"val_loss": 3.0}]


def test_without_a_good_one_the_error_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "last.safetensors"
    path.write_bytes(b"")
    previous_of(path).write_bytes(b"x" * 100)
    with pytest.raises(CheckpointError, match=r"last.safetensors .* is empty.*last.previous.safetensors") as caught:
        load_last(path)
    assert "`weights=" in caught.value.hint
    assert path.exists()


def test_a_newer_format_is_said_and_its_predecessor_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "last.safetensors"
    save_checkpoint(path, checkpoint())
    save_checkpoint(path, Checkpoint({}, {"format": 99}), keep_previous=True)
    with pytest.raises(CheckpointError, match=r"newer clfctl \(format 99\)") as caught:
        load_last(path)
    assert "update" in caught.value.hint
    assert path.exists()


POSITIONS = [
    ((7, 120), (8, 0), "epoch 8, batch 120 of 150 instead of the end of epoch 8, 30 batches are trained again"),
    ((6, 120), (8, 0), "epoch 7, batch 120 of 150 instead of the end of epoch 8, 1 epoch and 30 batches are"),
    ((7, 0), (8, 0), "the end of epoch 7 instead of the end of epoch 8, 1 epoch is trained again"),
    ((0, 0), (0, 1), "the start instead of epoch 1, batch 1 of 150, 1 batch is trained again"),
    ((8, 0), (8, 0), "what came after the end of epoch 8 is trained again"),
]


@pytest.mark.parametrize(("before", "after", "words"), POSITIONS)
def test_what_is_lost_is_counted(before: tuple[int, int], after: tuple[int, int], words: str) -> None:
    assert Position(*before, 150).lost_until(Position(*after, 150)).startswith(words)


@pytest.mark.slow
@pytest.mark.parametrize("spoil", ["flip", "empty"])
def test_a_resumed_run_says_what_it_lost_and_ends_the_same(spoil: str, photos: Path, cli: Cli) -> None:
    words = ("train", "--data", str(photos), *TINY, "--run-name")
    for name in ("whole", "one"):
        assert cli(*words, name).exit_code == 0
    run = RunFolder(Path("runs/one"))
    content = bytearray(run.last.read_bytes())
    content[-1000] ^= 1
    run.last.write_bytes(content if spoil == "flip" else b"")
    result = cli("resume", str(run.path))
    assert result.exit_code == 0, result.output
    assert "last.safetensors cannot be read: it is" in result.stderr
    lost = "the end of epoch 2 instead of the end of epoch 3, 1 epoch is trained again"
    assert f"going on from the one before it, {lost}" in result.stderr
    assert_same_bits(RunFolder(Path("runs/whole")), run)


@pytest.mark.slow
def test_a_damaged_best_is_named_and_the_way_out_works(photos: Path, cli: Cli) -> None:
    assert cli("train", "--data", str(photos), *TINY, "--run-name", "one").exit_code == 0
    run = RunFolder(Path("runs/one"))
    run.best.write_bytes(run.best.read_bytes()[:-5])
    result = cli("eval", str(run.path))
    assert result.exit_code == 1
    assert "best.safetensors cannot be read: it is cut short" in result.stderr
    assert f"remove {run.best} to use the last one" in result.stderr
    run.best.unlink()
    assert cli("eval", str(run.path)).exit_code == 0


def test_files_of_others_are_refused(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2)}, tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match="is not a checkpoint of clfctl"):
        load_checkpoint(tmp_path / "x.safetensors")


FULL_DISK = """
import resource, signal, sys, torch
from pathlib import Path
from clfctl.runs.checkpoint import Checkpoint
from clfctl.runs.checkpoint import save_checkpoint
from clfctl.errors import CheckpointError
path = Path(sys.argv[1])
save_checkpoint(path, Checkpoint({"a": torch.ones(10)}, {}), keep_previous=True)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # what a disk with 100 kB left does
try:
    save_checkpoint(path, Checkpoint({"a": torch.ones(1_000_000)}, {}), keep_previous=True)
except CheckpointError as error:
    print(error, error.hint)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no resource limits there")
def test_a_full_disk_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    path = tmp_path / "checkpoints" / "last.safetensors"
    path.parent.mkdir()
    done = subprocess.run([sys.executable, "-c", FULL_DISK, path], capture_output=True, text=True, check=True)
    assert "cannot save" in done.stdout
    assert "clfctl resume" in done.stdout
    assert torch.equal(load_checkpoint(path).tensors["a"], torch.ones(10))
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["last.safetensors"]


KILLED = """
import sys, torch
from pathlib import Path
from clfctl.runs.checkpoint import Checkpoint
from clfctl.runs.checkpoint import save_checkpoint
n = 0
while True:
    tensors = {"a": torch.full((300_000,), float(n))}
    save_checkpoint(Path(sys.argv[1]), Checkpoint(tensors, {"n": n}), keep_previous=True)
    print(n, flush=True)
    n += 1
"""


@pytest.mark.slow
@pytest.mark.parametrize("after", [1, 4, 7])
def test_killed_while_saving_there_is_always_a_whole_checkpoint(tmp_path: Path, after: int) -> None:
    path = tmp_path / "last.safetensors"
    process = subprocess.Popen([sys.executable, "-c", KILLED, path], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(after):
        written = int(process.stdout.readline())
    process.kill()
    process.wait()
    process.stdout.close()
    loaded, _ = load_last(path)
    assert loaded.meta["n"] >= written
    assert torch.equal(loaded.tensors["a"], torch.full((300_000,), float(loaded.meta["n"])))


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot save"):
        save_checkpoint(tmp_path / "gone" / "x.safetensors", checkpoint())


@given(st.sampled_from(["adam", "sgd", "lamb", "nadam"]))
def test_optimizer_state_survives_being_split(name: str) -> None:
    from timm.optim import create_optimizer_v2

    parameter = torch.nn.Parameter(torch.randn(3, 2))
    made = create_optimizer_v2([parameter], name, lr=0.1)
    parameter.grad = torch.ones(3, 2)
    made.step()
    state = made.state_dict()
    tensors, rest = optimizer_tensors(state)
    assert all(each.startswith("optimizer.") for each in tensors)
    joined = optimizer_state({name.removeprefix("optimizer."): each for name, each in tensors.items()}, rest)
    assert joined["param_groups"] == state["param_groups"]
    assert joined["state"].keys() == state["state"].keys()
    for index, values in state["state"].items():
        assert joined["state"][index].keys() == values.keys()


def test_umask_decides_who_may_read(tmp_path: Path) -> None:
    before = os.umask(0o022)
    save_checkpoint(tmp_path / "x.safetensors", checkpoint())
    os.umask(before)
    assert (tmp_path / "x.safetensors").stat().st_mode & 0o777 in (0o644, 0o600)
