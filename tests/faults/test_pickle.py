"""A file that would run a program when it is unpickled, given wherever clfctl reads one: nothing runs."""

import contextlib
import io
import os
import pickle
import random
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import Result

from clfctl.errors import ModelError
from clfctl.models.weights_file import read_state
from clfctl.runs.folder import RunFolder
from clfctl.runs.header import previous_of
from tests.faults.processes import TINY

Cli = Callable[..., Result]


class Program:
    """Makes a file when it is unpickled."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.proof}",)


def plain_pickle(proof: Path) -> bytes:
    return pickle.dumps({"model": Program(proof)})


def torch_zip(proof: Path) -> bytes:
    file = io.BytesIO()
    torch.save({"model": Program(proof), "weight": torch.ones(2)}, file)
    return file.getvalue()


def torch_before_zip(proof: Path) -> bytes:
    file = io.BytesIO()
    torch.save({"model": Program(proof)}, file, _use_new_zipfile_serialization=False)
    return file.getvalue()


def torch_tar(proof: Path) -> bytes:
    """The format of torch before 0.1.10."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            content = plain_pickle(proof)
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return file.getvalue()


def torch_script(proof: Path) -> bytes:
    """What makes torch.load call the reader of TorchScript."""
    file = io.BytesIO(torch_zip(proof))
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("archive/constants.pkl", plain_pickle(proof))
    return file.getvalue()


KINDS = (plain_pickle, torch_zip, torch_before_zip, torch_tar, torch_script)


@pytest.fixture
def trained(photos: Path, cli: Cli) -> RunFolder:
    assert cli("train", "--data", str(photos), *TINY, "--epochs", "1", "--run-name", "one").exit_code == 0
    return RunFolder(Path("runs/one"))


def is_refused(result: Result, proof: Path) -> bool:
    said = [line for line in result.stderr.splitlines() if line.strip()]
    assert not proof.exists()
    assert "Traceback" not in result.output
    assert 1 <= len(said) <= 2, result.stderr
    return result.exit_code == 1


def test_these_files_do_run_a_program_when_they_are_unpickled(tmp_path: Path) -> None:
    for kind in (plain_pickle, torch_zip, torch_before_zip):
        proof, file = tmp_path / f"{kind.__name__}.ran", tmp_path / "x.pth"
        file.write_bytes(kind(proof))
        if kind is plain_pickle:
            pickle.loads(file.read_bytes())
        else:
            torch.load(file, weights_only=False)
        assert proof.exists()


@pytest.mark.parametrize("kind", KINDS)
def test_as_a_checkpoint_it_is_refused(
    kind: Callable[[Path], bytes], trained: RunFolder, cli: Cli, tmp_path: Path, photos: Path
) -> None:
    proof = tmp_path / "ran"
    for path in (trained.last, previous_of(trained.last), trained.best):
        path.write_bytes(kind(proof))
    assert is_refused(cli("resume", str(trained.path)), proof)
    assert is_refused(cli("eval", str(trained.path)), proof)
    assert is_refused(cli("predict", str(trained.path), str(photos)), proof)
    assert cli("runs", "--json").exit_code == 0
    assert not proof.exists()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["x.pth", "x.pt", "x.safetensors", "x.bin"])
def test_as_first_weights_it_is_refused(
    kind: Callable[[Path], bytes], name: str, photos: Path, cli: Cli, tmp_path: Path
) -> None:
    proof, file = tmp_path / "ran", tmp_path / name
    file.write_bytes(kind(proof))
    assert is_refused(cli("train", "--data", str(photos), *TINY, "--weights", str(file)), proof)
    assert not Path("runs").exists()


def test_damaged_weights_raise_nothing_but_an_error_for_the_user(tmp_path: Path) -> None:
    file, draw = tmp_path / "x.pth", random.Random(0)
    torch.save({"a": torch.ones(100), "b": torch.ones(3, 3)}, file)
    whole = file.read_bytes()
    for _ in range(200):
        damaged = bytearray(whole[: draw.choice([len(whole), draw.randrange(len(whole))])])
        for _ in range(3):
            if damaged:
                damaged[draw.randrange(len(damaged))] ^= 1 << draw.randrange(8)
        file.write_bytes(damaged)
        with contextlib.suppress(ModelError):
            read_state(file)


def test_a_good_state_dict_is_still_read(tmp_path: Path, trained: RunFolder, cli: Cli, photos: Path) -> None:
    shutil.copy(trained.best, tmp_path / "best.safetensors")
    words = ("train", "--data", str(photos), *TINY, "--epochs", "1")
    assert cli(*words, "--weights", str(tmp_path / "best.safetensors")).exit_code == 0
