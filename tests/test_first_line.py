"""What other libraries say of their errors, on one line: some say nothing, some write in colours, some go on and on."""

import ast
from pathlib import Path

import pytest

import clfctl
from clfctl.errors import first_line


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (AssertionError(), "AssertionError"),
        (ValueError(""), "ValueError"),
        (RuntimeError("\n \n"), "RuntimeError"),
        (RuntimeError("\n  it failed  \nand more"), "it failed"),
        (KeyError("gone"), "'gone'"),
        (RuntimeError("Failed. \x1b[96mThis is step 1/3\x1b[0m of exporting"), "Failed. This is step 1/3 of exporting"),
        (RuntimeError("\x1b[31m\x1b[0m\n"), "RuntimeError"),
        (RuntimeError("x" * 5000), "x" * 200),
        (OSError(2, "No such file or directory"), "[Errno 2] No such file or directory"),
        (StopIteration(), "StopIteration"),
    ],
)
def test_an_error_is_one_line(error: Exception, line: str) -> None:
    assert first_line(error) == line


def test_nothing_else_takes_the_first_line_of_an_error() -> None:
    """`str(error).splitlines()[0]` raises where there is no line."""
    for path in Path(clfctl.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Call):
                text = ast.unparse(node)
                assert not ("str(error)" in text and "splitlines()[" in text and ":" not in text), f"{path}: {text}"
