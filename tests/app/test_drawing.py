"""What the pages draw imports nothing that a run or a page names."""

import ast
from pathlib import Path
from typing import Any

import pytest

from clfctl import app
from clfctl.api import previewing
from clfctl.app.drawing import preview
from clfctl.errors import UsageError

EVIL = "from clfctl.schedules import Schedule\nopen({!r}, 'w').close()\n\nclass Wave(Schedule):\n    lr = None\n"


@pytest.mark.parametrize("setting", ["scheduler", "momentum_schedule"])
def test_a_schedule_of_others_is_not_imported(setting: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    proof, module = tmp_path / "ran", f"evil_{setting}"
    theirs: dict[str, Any] = {setting: f"{module}:Wave"}
    (tmp_path / f"{module}.py").write_text(EVIL.format(str(proof)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for text in (f"{module}:Wave", f"linear:2 > {module}:Wave"):
        with pytest.raises(UsageError, match=f"{module}:Wave is code of whoever made it"):
            preview(**{setting: text}).points()
    assert not proof.exists()
    # Elsewhere it is: what names it was typed by who may run it.
    with pytest.raises(UsageError):
        previewing.preview(**theirs)
    assert proof.exists()


def test_every_page_draws_by_way_of_it() -> None:
    names = ("clfctl.api", "clfctl.planning.plan", "clfctl.schedules.expression", "clfctl.schedules.own")
    asking = set[tuple[str, str]]()
    for path in Path(app.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(names):
                asking.update((path.name, each.name) for each in node.names)
    functions = {(name, what) for name, what in asking if what != "Preview"}
    assert functions == {("drawing.py", "previewing"), ("drawing.py", "importing_nothing")}
