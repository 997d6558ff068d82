"""What several processes do beside plain steps: the same run as one process, a run all the same, or a refusal."""

import sys
from pathlib import Path

import pytest

from clfctl.runs.folder import RunFolder
from clfctl.runs.state import state_of
from clfctl.storage.json_lines import read_json_lines
from tests.engine.test_processes import EFFICIENTNET, VIT, assert_same_run, words_of
from tests.faults.processes import run, run_together

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="no fork there")]

# Compiled by what needs no compiler of C++.
EAGER = "import clfctl.engine.compiling as each; each.compile_if_it_pays.__defaults__ = ('eager',)\n"
EAGER += "each._decide = lambda trainer, *given: setattr(trainer.state, 'is_compiled', True)"
TEACHER = "runs/teacher/checkpoints/best.safetensors"
COMBINED = {
    "activations again, a static graph, a cache in memory": (
        *(VIT, "--checkpoint-activations", "--static-graph", "--cache", "ram", "--drop-path", "0"),
    ),
    "a mean of epochs, a cache on the disk": (
        *(EFFICIENTNET, "--sync-batch-norm", "--scheduler", "constant:1 > average", "--cache", "disk"),
        *("--cache-dir", "cache", "--clip-grad", "0.5", "--checkpoint-activations"),
    ),
    "a teacher and a soup, compiled": (VIT, "--distill", TEACHER, "--soup", "2", "--compile"),
}


@pytest.mark.parametrize("name", COMBINED)
def test_two_processes_do_what_one_does(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model, *more = COMBINED[name]
    if TEACHER in more:
        code, error = run(*words_of(VIT, "--epochs", "1", "--run-name", "teacher", "--seed", "1"))
        assert code == 0, error
    code, error = run(*words_of(model, *more, "--run-name", "one"), prepare=EAGER)
    assert code == 0, error
    codes, errors = run_together(2, *words_of(model, *more, "--run-name", "two"), prepare=EAGER)
    assert codes == [0, 0], errors
    assert not errors[1]
    one, two = RunFolder(Path("runs/one")), RunFolder(Path("runs/two"))
    assert_same_run(one, two, model)
    if "--soup" in more:
        assert '"epochs"' in two.soup.read_text()
        assert read_json_lines(two.soup)[0]["tried"] == read_json_lines(one.soup)[0]["tried"]
    if "--compile" in more:
        assert "Compile" in errors[0]


def test_what_is_measured_first_is_measured_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = words_of(VIT, "--time", "4s", "--epochs", "3", "--lr", "auto", "--run-name", "r")
    codes, errors = run_together(2, *words)
    assert codes == [0, 0], errors
    assert not errors[1]
    assert "Time   " in errors[0]
    assert "Rate   a range test" in errors[0]
    assert state_of(RunFolder(Path("runs/r"))).state == "finished"


REFUSED = {
    "--find-batch-size": "one alone can try what fits",
}


@pytest.mark.parametrize("option", REFUSED)
def test_what_several_cannot_do_is_refused_before_anything_is_made(
    option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    codes, errors = run_together(2, *words_of(VIT, *option.split()))
    assert codes == [2, 2], errors
    assert REFUSED[option] in errors[0]
    assert "Traceback" not in errors[0]
    assert not Path("runs").exists()
