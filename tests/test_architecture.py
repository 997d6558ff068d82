"""Imports only go down the list of layers, never in a circle, and the light layers import nothing heavy."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "clfctl"
# From the top down: a module may import its own layer and those after it.
LAYERS = [
    "__init__", "__main__", "cli", "commands", "app", "serving", "bench", "display", "api", "explaining", "ensembles",
    "comparing", "tuning", "tracking", "probing", "inference", "engine", "models", "planning", "finding", "data",
    "runs", "settings",
    "evaluation", "schedules", "storage", "errors", "version",
]  # fmt: skip
MODULES = sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    """Return the dotted name of a module; a package is called as its folder."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {name_of(path): path for path in MODULES}


def layer(module: str) -> str:
    return module.split(".")[1] if "." in module else "__init__"


@cache
def imports_of(path: Path) -> frozenset[str]:
    """Return the modules of the package that a module imports, anywhere in it."""
    return frozenset(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "clfctl":
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in NAMES else node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "clfctl")


def circle_through(start: str) -> list[str]:
    """Return the modules of a circle of imports that `start` is in, none if there is none."""
    waiting, seen = [[start]], set[str]()
    while waiting:
        way = waiting.pop()
        for name in sorted(imports_of(NAMES[way[-1]])):
            if name == start:
                return [*way, start]
            # A package's own file only gathers its modules.
            if name not in seen and name != "clfctl":
                seen.add(name)
                waiting.append([*way, name])
    return []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_import_goes_up(path: Path) -> None:
    own = path.relative_to(PACKAGE).with_suffix("").parts[0]
    for name in imports_of(path):
        assert LAYERS.index(layer(name)) >= LAYERS.index(own), f"{name_of(path)} imports {name}"


@pytest.mark.parametrize("name", sorted(NAMES))
def test_no_circle_of_imports(name: str) -> None:
    assert not (circle := circle_through(name)), " → ".join(circle)


def test_a_circle_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    circle = {"one": frozenset({"two"}), "two": frozenset({"three"}), "three": frozenset({"two"})}
    monkeypatch.setattr(f"{__name__}.NAMES", {name: Path(name) for name in circle})
    monkeypatch.setattr(f"{__name__}.imports_of", lambda path: circle[path.name])
    assert circle_through("two") == ["two", "three", "two"]
    assert circle_through("one") == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_and_functions_stay_small(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 50, node.name


# Rooms that may spell an option: the command line, and who calls another program.
SPELLING = ("cli/", "engine/environment.py")


def texts_of(path: Path) -> Iterator[str]:
    """Yield the texts of a module that are not docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documents = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documents:
            yield node.value


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_command_line_spells_options(path: Path) -> None:
    """Elsewhere a message says `batch_size=32`, which is right in Python too, and carries its field."""
    if path.relative_to(PACKAGE).as_posix().startswith(SPELLING):
        return
    # A whole command to type may have an option: `clfctl lr-preview --list`.
    texts = (re.sub(r"clfctl [a-z-]+ --\w+", "", text) for text in texts_of(path))
    assert not [text for text in texts if re.search(r"(^|[\s('\"`])--[a-z]", text)]
