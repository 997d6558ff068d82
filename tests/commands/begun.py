"""Two runs that have begun, for what changes when they go on: one to its end, one stopped in an epoch."""

import shutil
import signal
from pathlib import Path

from typer.testing import CliRunner

from clfctl.cli.app import make_app
from clfctl.engine.trainer import Trainer
from clfctl.runs.folder import RunFolder
from tests.conftest import SMALL, make_photos

# A run, and its photos.
Begun = tuple[RunFolder, Path]
N_BATCHES = 3


def train_both(root: Path) -> None:
    """Train `done`, of four epochs of three batches, and `stopped`, which is stopped in its third."""
    words = ["train", "--data", str(make_photos(root)), *SMALL, "--epochs", "4", "--scheduler", "cosine"]
    words += ["--lr", "0.001", "--runs-dir", str(root), "--quiet"]
    assert CliRunner().invoke(make_app("train"), [*words, "--run-name", "done"]).exit_code == 0
    step, seen = Trainer.step, []

    def stopping(trainer: Trainer, batch: object, number: int) -> object:
        seen.append(batch)
        if len(seen) == 2 * N_BATCHES + 1:
            trainer.signals.received = signal.SIGINT
        return step(trainer, batch, number)  # type: ignore[arg-type]  # it is a batch, whatever its kind

    Trainer.step = stopping  # type: ignore[assignment]  # to stop at a place of the test's own choice
    try:
        assert CliRunner().invoke(make_app("train"), [*words, "--run-name", "stopped"]).exit_code == 130
    finally:
        Trainer.step = step  # type: ignore[method-assign]  # as it was


def copied(made: Path, name: str, to: Path) -> Begun:
    """Copy a run and its photos to another folder."""
    shutil.copytree(made / "photos", to / "photos")
    return RunFolder(Path(shutil.copytree(made / name, to / name))), to / "photos"
