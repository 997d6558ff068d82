"""The library: what the commands do, from Python, in silence, and without a trace in the process."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
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
from clfctl import api
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


def python(text: str) -> str:
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True, timeout=300)
    assert done.stderr == ""
    return done.stdout


@pytest.mark.slow
def test_the_package_is_light_and_its_names_are_there() -> None:
    heavy = python(
        "import sys, clfctl\n"
        "print({'torch', 'numpy', 'pydantic', 'PIL', 'typer', 'rich'} & {*sys.modules})\n"
        "print([name for name in clfctl.__all__ if not hasattr(clfctl, name)])\n"
        "print({*clfctl.__all__} - {*dir(clfctl)})"
    )
    assert heavy.split("\n")[:3] == ["set()", "[]", "set()"]
    with pytest.raises(AttributeError, match="'nothing'"):
        _ = clfctl.nothing


def test_a_preview_needs_no_torch() -> None:
    text = "import sys, clfctl; print(clfctl.preview('cosine', epochs=4).rates, 'torch' in sys.modules)"
    assert python(text).startswith("[(1, 0.001, ")
    assert python(text).endswith(" False\n")


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


def test_only_what_is_passed_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLFCTL_EPOCHS", "7")
    Path(".env").write_text("CLFCTL_LR=3\n")
    Path("clfctl.toml").write_text("batch_size = 3\nnonsense = 1\n")
    plan = clfctl.preview(data="digits", recipe="long-cosine").tracks[0].plan
    assert (plan.epochs, plan.base_lr) == (50, 1e-4)
    settings = api._training_settings(None, {"data": "digits"})
    assert (settings.epochs, settings.lr, settings.image_size) == (8, 1e-3, 32)
    assert api._training_settings(settings, {"epochs": 3}).epochs == 3


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


def test_mistakes_are_told_without_torch() -> None:
    calls = "train(data='no'), resume('no'), evaluate('no'), export('no'), predict('no', 'a.png')"
    text = f"""
import sys, clfctl
for call in {[f"clfctl.{each}" for each in calls.replace("), ", ")|").split("|")]}:
    try:
        eval(call)
    except clfctl.ClfctlError as error:
        print("torch" in sys.modules)
"""
    assert python(text).split() == ["False"] * 5


def test_a_model_onnx_answers_without_torch() -> None:
    model = next(Path(__file__).parents[1].glob("compatibility/*/model.onnx"))
    text = f"""
import sys, numpy, clfctl
[found] = clfctl.predict({str(model)!r}, numpy.zeros((8, 8, 3), numpy.uint8))
print(bool(found.classes), "torch" in sys.modules)
"""
    assert python(text).split() == ["True", "False"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that could be touched")
def test_a_gpu_is_left_alone_where_the_device_is_another() -> None:
    text = """
import torch
from clfctl.engine.as_it_was import as_it_was
for device in ("cpu", "cuda"):
    with as_it_was(device):
        print(torch.cuda.is_initialized())
"""
    assert python(text).split() == ["False", "True"]


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


def test_preview_is_what_the_command_shows(cli: Cli) -> None:
    found = clfctl.preview("linear:2 > cosine", epochs=9, warmup="1")
    shown = cli("lr-preview", "linear:2 > cosine", "--epochs", "9", "--warmup", "1", "--format", "csv").stdout
    assert [f"{epoch},{start!r},{end!r}" for epoch, start, end in found.rates] == [
        line.split(",", 1)[1] for line in shown.splitlines()[1:]
    ]
    both = clfctl.preview("plateau", epochs=20)
    assert [each.case for each in both.tracks] == ["never improving", "improving every epoch"]
    assert len(clfctl.preview("plateau", epochs=5, metrics=[3.0, 2.0, 1.0, 1.0, 1.0]).tracks) == 1
    assert clfctl.preview("cosine", epochs=3, warmup="3").cautions
    for metrics in (np.array([3.0, 2.0, 1.0], np.float32), [np.float64(3), np.float64(2), 1]):
        of_numpy = clfctl.preview("plateau", epochs=3, metrics=metrics)
        assert of_numpy.tracks[0].metrics == (3, 2, 1)
    with pytest.raises(clfctl.UsageError, match=r"^metrics: .*not a sequence of numbers"):
        clfctl.preview("plateau", epochs=3, metrics=["low"])  # type: ignore[list-item]  # the mistake


def test_settings_state_what_they_were_given() -> None:
    """As keyword arguments do: what is not stated is left to the data set, the recipe and the size of the data."""
    settings = clfctl.TrainSettings(scheduler="cosine", epochs=5)
    assert clfctl.preview(settings).rates == clfctl.preview(scheduler="cosine", epochs=5).rates
    plan = clfctl.PlanSettings(scheduler="cosine", epochs=5)
    assert clfctl.preview(plan).rates == clfctl.preview("cosine", epochs=5).rates
    recipe = {"recipe": "long-cosine"}
    cases: list[tuple[dict[str, Any], dict[str, Any]]] = [({"epochs": 3}, {}), ({}, recipe), ({"epochs": 3}, recipe)]
    for stated, more in cases:
        found = api._training_settings(clfctl.TrainSettings(**stated), more)
        expected = api._training_settings(None, {**stated, **more})
        assert found == expected
        assert found.model_fields_set == expected.model_fields_set


FOREIGN: list[tuple[Callable[..., object], dict[str, Any], str]] = [
    (lambda **fields: clfctl.preview("cosine", **fields), {"quiet": True}, "quiet"),
    (clfctl.train, {"quiet": True}, "quiet"),
    (lambda **fields: clfctl.resume("run", **fields), {"recipe": "aggressive"}, "recipe"),
    (lambda **fields: clfctl.resume("run", **fields), {"config": "mine.toml"}, "config"),
]


@pytest.mark.parametrize(("call", "fields", "name"), FOREIGN)
def test_settings_of_another_command_are_refused(
    call: Callable[..., object], fields: dict[str, Any], name: str
) -> None:
    with pytest.raises(clfctl.UsageError, match=f"^{name}: this call does not have that setting"):
        call(**fields)


def test_preview_of_a_schedule_object() -> None:
    schedule = clfctl.Warmup(clfctl.Cosine(4), 1)
    found = clfctl.preview(schedule, epochs=5, lr=0.1)
    assert [start for _, start, _ in found.rates] == [schedule.lr(0.1, epoch) for epoch in range(5)]
    assert found.points()[-1][0] == pytest.approx(5)
    with pytest.raises(clfctl.UsageError, match="goes by a metric"):
        clfctl.preview(clfctl.Plateau(), epochs=5)
    assert len(clfctl.preview(clfctl.Plateau(patience=1), epochs=3, metrics=[1.0, 1.0, 1.0]).rates) == 3


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"epoch": 3}, "'epoch', which is not a setting"),
        ({"epochs": 0}, "^epochs: "),
        ({"data": "nowhere"}, "^data: nowhere"),
        ({"model": "custm"}, "^model: "),
        ({"learning_rate": -1}, "^lr: "),
        ({"scheduler": "step", "t_max": 3}, "^t_max: "),
    ],
)
def test_mistakes_name_the_field(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(clfctl.ClfctlError, match=message) as found:
        clfctl.train(**fields)
    assert "--" not in str(found.value) + found.value.hint
    assert not Path("runs").exists()
