"""The library: what the commands do, from Python, in silence, and without a trace in the process."""

import json
import os
import random
import shutil
import signal
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import Result

import clfctl
from clfctl.engine.progress import Progress
from clfctl.engine.watching import Training, Watchers
from clfctl.planning.plan import make_plan
from clfctl.runs.checkpoint import load_checkpoint
from clfctl.runs.folder import RunFolder
from clfctl.runs.state import state_of
from clfctl.storage.json_lines import read_json_lines
from tests.conftest import QUICK

Cli = Callable[..., Result]
FIELDS: dict[str, Any] = {"data": "digits", "val_split": 0.8, "batch_size": 100, "epochs": 2, "export": False}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> clfctl.Trained:
    """A run of the digits, trained from Python."""
    return clfctl.train(**FIELDS, runs_dir=tmp_path_factory.mktemp("api"))


def weights_of(path: Path) -> dict[str, torch.Tensor]:
    return {name: each for name, each in load_checkpoint(path).tensors.items() if each.is_floating_point()}


@pytest.mark.slow
def test_training_is_the_command_s_to_the_bit(trained: clfctl.Trained, cli: Cli) -> None:
    result = cli("train", *QUICK, "--run-name", "one")
    assert result.exit_code == 0, result.output
    ours, theirs = RunFolder(trained.run), RunFolder(Path("runs/one"))
    assert [each.name for each in sorted(ours.path.rglob("*")) if each.is_file()] == [
        each.name for each in sorted(theirs.path.rglob("*")) if each.is_file() and each.parent.name != "plots"
    ]
    for name, tensor in weights_of(theirs.best).items():
        assert torch.equal(tensor, weights_of(ours.best)[name]), name
    assert len(trained.history) == trained.planned_epochs == 2
    assert trained.best is not None
    assert trained.best.is_best
    assert state_of(ours).state == "finished"


@pytest.mark.slow
def test_nothing_is_printed_and_the_process_is_as_it_was(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def state() -> list[object]:
        handlers = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
        draws = torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index]  # numpy's legacy state
        return [handlers, draws, torch.get_num_threads(), dict(os.environ), [*warnings.filters], Path.cwd()]

    before = state()
    run = clfctl.train(**FIELDS | {"epochs": 1}, runs_dir=tmp_path).run
    assert clfctl.resume(run, epochs=2).history[-1].epoch == 2
    clfctl.evaluate(run)
    clfctl.predict(run, np.zeros((8, 8), np.uint8))
    assert state() == before
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_it_trains_in_a_thread(tmp_path: Path) -> None:
    found: list[clfctl.Trained] = []
    thread = threading.Thread(target=lambda: found.append(clfctl.train(**FIELDS, runs_dir=tmp_path)))
    thread.start()
    thread.join(200)
    assert found[0].history[-1].epoch == 2


class Second(clfctl.Watcher):
    """Starts the same training in another thread at its first epoch, and writes down which began and ended when."""

    def __init__(self, runs_dir: Path) -> None:
        self.calls: list[str] = []
        self.found: list[clfctl.Trained] = []
        self.thread = threading.Thread(target=self._train, args=[runs_dir])

    def _train(self, runs_dir: Path) -> None:
        note = clfctl.Watcher()
        note.start = lambda training: self.calls.append("second starts")  # type: ignore[method-assign]
        self.found.append(clfctl.train(**FIELDS, runs_dir=runs_dir, watchers=[note]))

    def epoch(self, result: clfctl.EpochResult) -> None:
        if result.epoch == 1:
            self.thread.start()
            self.thread.join(3)

    def end(self, error: BaseException | None) -> None:
        self.calls.append(f"first ends {error}")


@pytest.mark.slow
def test_a_training_in_another_thread_waits_and_both_have_their_bits(trained: clfctl.Trained, tmp_path: Path) -> None:
    second = Second(tmp_path)
    first = clfctl.train(**FIELDS, runs_dir=tmp_path, watchers=[second])
    second.thread.join(200)
    assert second.calls == ["first ends None", "second starts"]
    for each in (first, *second.found):
        for name, tensor in weights_of(RunFolder(each.run).last).items():
            assert torch.equal(tensor, weights_of(RunFolder(trained.run).last)[name]), name


class Notebook(clfctl.Watcher):
    """Writes down what it is told, and stops as Ctrl-C would."""

    def __init__(self, stops_after: int = 99) -> None:
        self.calls: list[str] = []
        self.n_steps = 0
        self.stops_after = stops_after

    def start(self, training: clfctl.Training) -> None:
        self.calls.append(f"start {len(training.history)} of {training.plan.epochs}")
        self.n_steps = 4 * len(training.history)

    def step(self, steps: clfctl.Steps) -> None:
        assert steps.first == self.n_steps
        assert len(steps.losses) == len(steps.lrs)
        self.n_steps += len(steps.losses)

    def epoch(self, result: clfctl.EpochResult) -> None:
        self.calls.append(f"epoch {result.epoch}")
        if result.epoch == self.stops_after:
            raise KeyboardInterrupt

    def end(self, error: BaseException | None) -> None:
        self.calls.append(f"end {type(error).__name__}")


@pytest.mark.slow
def test_watchers_are_told_of_all(tmp_path: Path) -> None:
    watcher = Notebook()
    clfctl.train(**FIELDS, runs_dir=tmp_path, watchers=[watcher])
    assert watcher.calls == ["start 0 of 2", "epoch 1", "epoch 2", "end NoneType"]
    assert watcher.n_steps == 2 * 4


@pytest.mark.slow
def test_ctrl_c_in_a_notebook_leaves_what_was_saved(trained: clfctl.Trained, tmp_path: Path) -> None:
    watcher = Notebook(stops_after=1)
    with pytest.raises(KeyboardInterrupt):
        clfctl.train(**FIELDS, runs_dir=tmp_path, run_name="one", watchers=[watcher])
    assert watcher.calls[-1] == "end KeyboardInterrupt"
    assert state_of(RunFolder(tmp_path / "one")).state == "interrupted"
    again = Notebook()
    clfctl.resume(tmp_path / "one", watchers=[again])
    assert again.calls == ["start 1 of 2", "epoch 2", "end NoneType"]
    for name, tensor in weights_of(RunFolder(tmp_path / "one").last).items():
        assert torch.equal(tensor, weights_of(RunFolder(trained.run).last)[name]), name


@pytest.mark.slow
@pytest.mark.parametrize("when", ["start", "step", "epoch", "end"])
def test_a_watcher_that_fails_does_not_take_the_training_with_it(when: str, tmp_path: Path) -> None:
    ends: list[str] = []

    class Broken(Notebook):
        def __getattribute__(self, name: str) -> object:
            if name == "end":
                ends.append(name)
            if name == when:
                raise RuntimeError(f"no {name}")
            return super().__getattribute__(name)

    other = Notebook()
    found = clfctl.train(**FIELDS | {"epochs": 1}, runs_dir=tmp_path, watchers=[Broken(), other])
    assert other.calls == ["start 0 of 1", "epoch 1", "end NoneType"]
    assert [each for each in found.notes if "Broken" in each] == [
        f"Warning: Broken failed and was dropped; training goes on: RuntimeError: no {when}"
    ]
    assert len(ends) == 1
    assert len(read_json_lines(RunFolder(found.run).history)) == 1


def test_a_watcher_that_fails_where_nobody_can_be_told_is_dropped() -> None:
    class Broken(clfctl.Watcher):
        def step(self, steps: clfctl.Steps) -> None:
            raise RuntimeError("no step")

    def tell(line: str) -> None:
        raise OSError(line)

    everyone = Watchers([Broken()], tell)
    everyone.start(Training(RunFolder(Path("run")), make_plan(clfctl.TrainSettings()), (), Progress()))
    everyone.step(clfctl.Steps(0, [1.0], [0.1]))


@pytest.mark.slow
def test_a_watcher_that_is_essential_ends_the_training(tmp_path: Path) -> None:
    class Ledger(Notebook):
        is_essential = True

        def epoch(self, result: clfctl.EpochResult) -> None:
            raise OSError("the ledger is full")

    ledger = Ledger()
    with pytest.raises(OSError, match="the ledger is full"):
        clfctl.train(**FIELDS, runs_dir=tmp_path, run_name="one", watchers=[ledger])
    assert ledger.calls == ["start 0 of 2", "end OSError"]
    assert state_of(RunFolder(tmp_path / "one")).why == "OSError: the ledger is full"


def test_resume_of_a_finished_run_is_its_record(trained: clfctl.Trained) -> None:
    assert clfctl.resume(trained.run).history == trained.history


@pytest.mark.slow
def test_an_export_that_was_cut_off_is_made_up_for(trained: clfctl.Trained, tmp_path: Path, cli: Cli) -> None:
    run, watcher = RunFolder(Path(shutil.copytree(trained.run, tmp_path / "copy"))), Notebook()
    found = clfctl.resume(run.path, export=True, watchers=[watcher])
    assert found.exported is not None
    assert found.exported.file == run.onnx
    assert watcher.calls == ["start 2 of 2", "end NoneType"]
    made = run.onnx.stat().st_mtime_ns
    assert clfctl.resume(run.path).exported is None
    assert run.onnx.stat().st_mtime_ns == made
    run.onnx.write_bytes(b"of another checkpoint")
    result = cli("resume", str(run.path))
    assert "nothing left to train" in result.stderr
    assert "Exported " in result.stderr
    assert run.onnx.stat().st_size > 10_000


def test_a_change_that_does_not_fit_was_not_typed(trained: clfctl.Trained) -> None:
    with pytest.raises(clfctl.UsageError, match=r"^gamma: 0.3 \(from the arguments\)"):
        clfctl.resume(trained.run, gamma=0.3, scheduler="cosine")
    with pytest.raises(clfctl.UsageError, match=r"^t_max: 3 \(from the arguments\)"):
        clfctl.preview(trained.run, t_max=3)


@pytest.mark.slow
def test_evaluate_gives_what_eval_prints_and_writes_nothing(trained: clfctl.Trained, cli: Cli) -> None:
    found = clfctl.evaluate(trained.run, checkpoint="last", tta=2)
    assert not RunFolder(trained.run).eval.exists()
    printed = json.loads(cli("eval", str(trained.run), "--checkpoint", "last", "--tta", "2", "--json").stdout)
    del printed["folder"]
    assert found.as_record() == printed


def test_predict_takes_paths_pictures_and_arrays(trained: clfctl.Trained, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 20, 16, 3), np.uint8)
    for number, each in enumerate(pixels):
        Image.fromarray(each).save(tmp_path / f"{number}.png")
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    expected = [each.classes for each in clfctl.predict(trained.run, paths, top_k=10)]
    for images in (tmp_path, pixels, [*pixels], map(Image.fromarray, pixels), [pixels[0], str(paths[1]), paths[2]]):
        assert [each.classes for each in clfctl.predict(trained.run, images, top_k=10)] == expected
    assert [each.name for each in clfctl.predict(trained.run, pixels[0])] == ["image 0"]
    assert clfctl.predict(trained.run, []) == []
    paths[1].write_text("no image")
    assert [bool(each.error) for each in clfctl.predict(trained.run, paths)] == [False, True, False]
    for wrong in (3, [3], pixels / 255, pixels[..., :2], None):
        with pytest.raises(clfctl.UsageError, match="images"):
            clfctl.predict(trained.run, wrong)
