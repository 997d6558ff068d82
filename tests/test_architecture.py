"""Imports only go down the list of layers, and the light layers import nothing heavy."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "clfctl"
# From the top down: a module may import its own layer and those after it.
LAYERS = [
    "__main__", "cli", "cli_trained", "reporting", "options", "completion", "commands", "display", "inference",
    "engine", "evaluation", "models", "checkpoint", "data", "preview", "changes", "plan", "run_state", "runs", "saved",
    "tensor_file", "lock", "files", "places", "settings", "schedules", "errors", "__init__",
]  # fmt: skip
MODULES = sorted(PACKAGE.rglob("*.py"))


def layer(module: str) -> str:
    return module.split(".")[1] if "." in module else "__init__"


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = (
                [f"{node.module}.{alias.name}" for alias in node.names] if node.module == "clfctl" else [node.module]
            )
            yield from (name for name in names if name.startswith("clfctl"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_import_goes_up(path: Path) -> None:
    relative = path.relative_to(PACKAGE).with_suffix("")
    own = relative.parts[0]
    for name in imports_of(path):
        other = layer(name) if layer(name) in LAYERS else "__init__"
        assert LAYERS.index(other) >= LAYERS.index(own), f"{relative} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_and_functions_stay_small(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 50, node.name
