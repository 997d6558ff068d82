"""What the documents hold: commands with the output that they show, parameter tables, pictures, links, code."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from clfctl.schedules.base import Kind
from clfctl.schedules.parameters import parameters_of
from clfctl.settings.schedule import default_in_words

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs/lr-scheduling.md"
QUICKREF = ROOT / "docs/lr-quickref.md"
INFERENCE = ROOT / "docs/inference.md"
OWN = ROOT / "docs/own-schedule.md"
PICTURES = Path("docs/images/lr")
# Those that are there: docs/reliability.md is written elsewhere.
_OTHERS = (
    "docs/evaluation.md",
    "README.md",
    "docs/reliability.md",
    "docs/bench-data.md",
    "docs/python.md",
    "docs/weights.md",
    "docs/transfer.md",
    "docs/tuning.md",
    "docs/own-schedule.md",
    "docs/comparing.md",
    "docs/ensembles.md",
    "docs/explain.md",
    "docs/tracking.md",
    "docs/serving.md",
    "docs/scaling.md",
    "docs/app.md",
)
DOCUMENTS = [each for each in (GUIDE, QUICKREF, INFERENCE, *(ROOT / name for name in _OTHERS)) if each.is_file()]

ELLIPSIS = "…"
TABLE_HEAD = "| parameter | option | default | value | what it is |\n|---|---|---|---|---|\n"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Of several processes one is tried.
_PROGRAM = re.compile(r"\$ (torchrun .* -m )?clfctl ")
_EXIT_CODE = re.compile(r"#.*\bexit code (\d+)")


@dataclass(frozen=True)
class Command:
    """A command of a document, `$ clfctl …` or `$ torchrun … -m clfctl …`.

    Its words after `clfctl`, its exit code, and the output shown below it.
    """

    document: Path
    line: int
    words: tuple[str, ...]
    exit_code: int
    shown: tuple[str, ...]

    @property
    def picture(self) -> str:
        """The picture that it makes, empty if none."""
        files = [each for each in self.words if each.startswith(f"{PICTURES}/")]
        return files[0] if files else ""

    def __str__(self) -> str:
        return f"{self.document.name}:{self.line} {' '.join(self.words)[:50]}"


def blocks(document: Path, language: str) -> list[tuple[int, str]]:
    """Return (line, text) of each fenced block of a language."""
    text = document.read_text(encoding="utf-8")
    found = _BLOCK.finditer(text)
    return [(text.count("\n", 0, each.start(2)) + 1, each[2]) for each in found if each[1] == language]


def commands(document: Path) -> Iterator[Command]:
    """Yield the commands of a document; a line that ends in a backslash goes on in the next."""
    for line, text in blocks(document, "console"):
        lines = text.splitlines()
        at = 0
        while at < len(lines):
            first, written = at, lines[at]
            while written.endswith("\\"):
                at += 1
                written = written[:-1] + lines[at].strip()
            at += 1
            shown = []
            while at < len(lines) and not lines[at].startswith("$ "):
                shown.append(lines[at])
                at += 1
            if program := _PROGRAM.match(written):
                code = _EXIT_CODE.search(written)
                words = tuple(shlex.split(written[program.end() :], comments=True))
                yield Command(document, line + first, words, int(code[1]) if code else 0, tuple(shown))


def matches(shown: tuple[str, ...], output: str) -> bool:
    """Return whether an output is what a document shows of it, in which a line `…` stands for any lines."""
    pattern = "".join(r"(?:.*\n)*" if line == ELLIPSIS else re.escape(line) + r"\n" for line in shown)
    return re.fullmatch(pattern, output.rstrip("\n") + "\n") is not None


def section_of(kind: str) -> str:
    """Return the guide's section of a kind, empty if there is none."""
    found = re.search(rf"^### {kind}\n(.*?)(?=^##)", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


def parameter_table(kind: type[Kind]) -> str:
    """Return the table of a kind's parameters as the guide shows it."""
    rows = []
    for each in parameters_of(kind):
        option = f"`--{each.option.replace('_', '-')}`" if each.option else "in an expression only"
        default = default_in_words(each.default)
        rows.append(f"| `{each.name}` | {option} | {default} | {each.accepts} | {each.help} |\n")
    return TABLE_HEAD + "".join(rows)
