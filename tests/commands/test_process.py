"""What only a process of its own shows: imports, TAB, signals, pipes."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from clfctl.models.sources import model_names
from clfctl.runs.folder import RunFolder
from clfctl.settings.sources import recipe_names
from clfctl.storage.json_lines import read_json_lines
from tests.conftest import SMALL

CLFCTL = [sys.executable, "-m", "clfctl"]
HEAVY = {"torch", "torchvision", "timm", "PIL", "numpy", "sklearn", "matplotlib", "pydantic_settings", "safetensors"}
IMPORTED = """
import atexit, sys
atexit.register(lambda: print("MODULES", *sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr))
from clfctl.__main__ import main
sys.argv = ["clfctl", *sys.argv[1:]]
main()
"""


def run(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | variables
    return subprocess.run([*CLFCTL, *words], capture_output=True, text=True, env=environment, check=False, timeout=120)


def modules_of(*words: str, **variables: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED, *words],
        capture_output=True,
        text=True,
        env=os.environ | variables,
        check=False,
    )
    line = next(line for line in done.stderr.splitlines() if line.startswith("MODULES"))
    return set(line.split()[1:])


def tab(line: str, shell: str = "bash") -> list[str]:
    variables = {
        "_CLFCTL_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split(" ")) - 1),
    }
    variables |= {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    done = run(**variables)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.slow
def test_help_and_tab_import_nothing_heavy() -> None:
    assert not modules_of("--help") & (HEAVY | {"pydantic"})
    assert not modules_of("train", "--help") & HEAVY
    assert not modules_of("lr-preview", "cosine", "--t-max", "50") & (HEAVY | {"rich"})
    assert not modules_of("runs", ".") & (HEAVY | {"rich"})
    for command in ("check-data", "eval", "predict", "export"):
        assert not modules_of(command, "--help") & HEAVY, command
    assert not modules_of("check-data", ".") & (HEAVY - {"PIL", "numpy"})
    assert not modules_of("bench-data", "--help") & HEAVY
    for line in (
        "clfctl ",
        "clfctl train --",
        "clfctl train --model eff",
        "clfctl train --recipe ",
        "clfctl train -s ",
        "clfctl train --data ",
        "clfctl bench-data --against ",
    ):
        loaded = modules_of(_CLFCTL_COMPLETE="complete_bash", COMP_WORDS=line, COMP_CWORD=str(len(line.split(" ")) - 1))
        assert not loaded & HEAVY, line


@pytest.mark.slow
def test_wrong_usage_is_found_before_torch_is_imported() -> None:
    for words in (
        ("--lr", "x"),
        ("--model", "custm"),
        ("--data", "nowhere"),
        ("--scheduler", "cosin"),
        ("--t-max", "9"),
    ):
        assert "torch" not in modules_of("train", *words), words
    assert "torch" not in modules_of("bench-data", "--against", "other")
    RunFolder(Path("runs/x")).last.parent.mkdir(parents=True)
    RunFolder(Path("runs/x")).config.touch()
    for words in (("--split", "all"), ("--tta", "99"), ("--checkpoint", "nowhere")):
        assert not modules_of("eval", "runs/x", *words) & HEAVY, words


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_tab_offers_values(shell: str) -> None:
    assert "plateau" in " ".join(tab("clfctl train --scheduler p", shell))


@pytest.mark.slow
def test_tab_offers_commands_options_models_recipes_data_and_runs(photos: Path) -> None:
    RunFolder(Path("runs/mine")).path.mkdir(parents=True)
    RunFolder(Path("runs/mine")).config.touch()
    assert {"train", "resume", "runs", "eval", "predict", "check-data", "bench-data"} <= set(tab("clfctl "))
    assert tab("clfctl runs ru") == ["runs/"]
    assert tab(f"clfctl check-data {photos.parent}/ph") == [f"{photos}/"]
    (photos.parent / "photos.csv").touch()
    assert tab(f"clfctl check-data {photos.parent}/ph") == [f"{photos}/", f"{photos}.csv"]
    (photos.parent / "photos.csv").rename(photos.parent / "shard-0.TAR")
    assert tab(f"clfctl train --data {photos.parent}/sh") == [f"{photos.parent}/shard-0.TAR"]
    assert "--quarantine" in tab("clfctl check-data --")
    assert "--json" in tab("clfctl runs --")
    assert "--warmup" in tab("clfctl train --wa")
    assert tab("clfctl train --model resnet5") == [name for name in model_names() if name.startswith("resnet5")]
    assert tab("clfctl train --recipe ") == recipe_names()
    assert tab("clfctl train --data fash") == ["fashion-mnist"]
    assert tab(f"clfctl train --data {photos.parent}/ph") == [f"{photos}/"]
    assert tab("clfctl resume ") == ["runs/mine"]
    assert tab("clfctl eval runs/mine --split t") == ["test"]
    assert tab("clfctl eval runs/mine --checkpoint l") == ["last"]
    Path("best.onnx").touch()
    assert tab("clfctl predict ") == ["runs/mine", "best.onnx"]
    assert tab("clfctl predict be") == ["best.onnx"]
    assert tab("clfctl predict x --format j") == ["json", "jsonl"]
    assert tab("clfctl lr-preview co") == ["cosine", "constant", "cosine-restarts", "cooldown"]
    assert tab("clfctl lr-preview --format t") == ["table"]
    assert tab("clfctl bench-data --against ") == ["torchvision", "dali"]
    assert tab("clfctl lr-preview wsd --decay-shape ") == ["linear", "cosine", "1-sqrt"]
    assert tab("clfctl lr-preview run") == ["runs/mine"]


def test_version_and_exit_code_of_wrong_usage() -> None:
    assert run("--version").stdout.startswith("clfctl ")
    assert run("train", "--lrr", "1").returncode == 2
    assert run("trian").returncode == 2


@pytest.mark.slow
def test_a_signal_saves_and_the_run_goes_on(photos: Path) -> None:
    """Through `python -m clfctl`, as users start it; what tests/faults does in forked processes."""
    words = ["train", "--data", str(photos), *SMALL, "--epochs", "50", "--run-name", "stopped", "--json"]
    process = subprocess.Popen([*CLFCTL, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("{")
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143, err
    assert "saved" in err
    assert "clfctl resume runs/stopped" in err
    assert "Traceback" not in err
    done = len(read_json_lines(RunFolder(Path("runs/stopped")).history))
    resumed = run("resume", "runs/stopped", "--epochs", str(done + 1), "--json")
    assert resumed.returncode == 0, resumed.stderr
    assert json.loads(resumed.stdout.splitlines()[-1])["epoch"] == done + 1


@pytest.mark.slow
def test_a_reader_that_leaves_is_no_traceback() -> None:
    process = subprocess.Popen(
        [*CLFCTL, "train", "--dry-run", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    process.wait(60)
    assert "Traceback" not in err


@pytest.mark.slow
def test_dumb_terminal_and_file_get_no_control_codes(photos: Path) -> None:
    done = run("train", "--data", str(photos), *SMALL, "--epochs", "1", TERM="dumb")
    assert done.stdout.startswith("epoch 1/1  lr")
    assert "\x1b" not in done.stdout + done.stderr


def test_debug_variable_shows_the_traceback() -> None:
    assert "Traceback" in run("train", "--data", "nowhere", CLFCTL_DEBUG="1").stderr
