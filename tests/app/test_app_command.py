"""What `clfctl app` says before it serves anything."""

import importlib.util
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

Cli = Callable[..., Result]


def make_run(name: str) -> None:
    """A folder that counts as a run."""
    Path(name).mkdir(parents=True)
    (Path(name) / "config.toml").write_text("")


def test_without_the_extra_its_command_is_said(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "streamlit" else real(name, *more)
    )
    result = cli("app")
    assert result.exit_code == 2
    assert result.stderr == (
        "Error: the app needs the package streamlit, which is not installed\n"
        "  install it with: pip install 'clfctl[app]'\n"
    )


@pytest.mark.parametrize("words", [(), ("runs",), ("elsewhere",)])
def test_without_runs_that_is_said(cli: Cli, words: tuple[str, ...]) -> None:
    Path("runs").mkdir()
    result = cli("app", *words)
    assert result.exit_code == 2
    what = "elsewhere does not exist" if words == ("elsewhere",) else "there are no runs in runs"
    assert result.stderr.splitlines()[0] == f"Error: {what}"
    assert "clfctl train makes" in result.stderr


def test_a_file_that_is_no_model_is_refused(cli: Cli) -> None:
    Path("cat.png").write_bytes(b"x")
    result = cli("app", "cat.png")
    assert result.exit_code == 2
    assert "Error: cat.png is not a model that clfctl made\n  give a run folder, a checkpoint" in result.stderr


def test_a_port_in_use_is_one_sentence(cli: Cli) -> None:
    make_run("runs/x")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = cli("app", "--port", str(port))
    assert result.exit_code == 1
    # The run is no whole one, which is said before anyone looks.
    first, *others = result.stderr.splitlines()
    assert first.startswith("runs/x cannot be asked: last.safetensors: ")
    assert others == [
        f"Error: --port: {port} is in use on 127.0.0.1",
        f"  choose another, such as --port {port + 1}, or --port 0 for any that is free",
    ]


def test_what_is_no_model_is_refused_before_anything_is_served(cli: Cli) -> None:
    Path("notes.txt").write_text("x")
    result = cli("app", "notes.txt")
    assert result.exit_code == 2
    assert "notes.txt is not a model that clfctl made" in result.stderr


def test_runs_that_cannot_be_asked_are_told(cli: Cli) -> None:
    for n in range(7):
        make_run(f"runs/x{n}")
    Path("runs/e").mkdir()
    Path("runs/e/ensemble.json").write_text("{}")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = cli("app", "--port", str(taken.getsockname()[1]))
    lines = result.stderr.splitlines()
    assert sum("cannot be asked: last.safetensors: " in each for each in lines) == 5
    assert lines[5] == "… and 3 more cannot be asked."


@pytest.mark.parametrize("source", ["variable", "file"])
def test_its_options_are_settings_too(source: str, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    make_run("elsewhere/x")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        if source == "variable":
            monkeypatch.setenv("CLFCTL_PORT", str(port))
            monkeypatch.setenv("CLFCTL_RUNS_DIR", "elsewhere")
        else:
            Path("clfctl.toml").write_text(f"port = {port}\nruns_dir = 'elsewhere'\nmax_model_megabytes = 9\n")
        result = cli("app")
    assert result.exit_code == 1
    assert f"{port} is in use on 127.0.0.1" in result.stderr
    monkeypatch.setenv("CLFCTL_MAX_MODEL_MEGABYTES", "none")
    refused = cli("app")
    assert refused.exit_code == 2
    assert "--max-model-megabytes: 'none'" in refused.stderr


@pytest.mark.parametrize(
    "words", [("--port", "70000"), ("--port", "x"), ("--max-megabytes", "0"), ("--max-megapixels", "-1")]
)
def test_numbers_that_cannot_be_are_refused(cli: Cli, words: tuple[str, ...]) -> None:
    result: Any = cli("app", *words)
    assert result.exit_code == 2
    assert words[0] in result.stderr
