"""The table of docs/reliability.md and the tests that it names are the same."""

import ast
import re
from collections import Counter
from pathlib import Path

TESTS = Path(__file__).parent.parent
ROW = re.compile(r"^\| (?P<fault>[^|]+) \| (?P<promise>[^|]+) \| `(?P<test>[\w/]+\.py::\w+)` \|$", re.MULTILINE)
TABLE = (TESTS.parent / "docs" / "reliability.md").read_text(encoding="utf-8")


def functions_of(path: Path) -> set[str]:
    """Return the tests of a file, as the table names them."""
    functions = (node for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef))
    name = path.relative_to(TESTS).as_posix()
    return {f"{name}::{each.name}" for each in functions if each.name.startswith("test_")}


def named() -> list[str]:
    return [row["test"] for row in ROW.finditer(TABLE)]


def test_every_row_names_a_test_that_exists() -> None:
    lines = [line for line in TABLE.splitlines() if line.startswith("|")]
    assert len(named()) == len(lines) - 2, "a row is not fault, promise and test"
    for test in named():
        path = TESTS / test.partition("::")[0]
        assert path.is_file(), test
        assert test in functions_of(path), test


def test_every_test_of_a_fault_has_one_row() -> None:
    faults = {
        test
        for path in Path(__file__).parent.glob("test_*.py")
        if path != Path(__file__)
        for test in functions_of(path)
    }
    assert faults <= set(named()), f"without a row: {sorted(faults - set(named()))}"
    assert max(Counter(named()).values()) == 1
