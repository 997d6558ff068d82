"""docs/python.md is made here, of the docstrings of the library. `python -m tests.docs.python` writes it."""

import dataclasses
import inspect
import re
from collections.abc import Iterator
from typing import Any

import clfctl
from tests.docs.documents import ROOT

PATH = ROOT / "docs/python.md"
EXAMPLE = ROOT / "examples/python_api.py"
CALLS = (
    "train",
    "resume",
    "branch",
    "evaluate",
    "compare",
    "predict",
    "explain",
    "export",
    "ensemble",
    "preview",
    "find_lr",
    "probe",
    "tune",
)
RECORDS = (
    "Trained",
    "EpochResult",
    "Evaluation",
    "Comparison",
    "Prediction",
    "Explanation",
    "Exported",
    "MadeEnsemble",
    "Preview",
    "RateFinding",
    "Suggestion",
    "Probing",
    "Probed",
    "Tuned",
    "TrialFound",
)
WATCHING = ("Watcher", "Training", "Steps")
HEAD = """# clfctl from Python

<!-- Made of the docstrings by `python -m tests.docs.python`. -->

What the commands do, without a terminal. `import clfctl` takes a few milliseconds; torch is imported by the first call
that needs it. Nothing is printed, and signals, threads, random state and environment of the process are left as they
are. What needs torch waits for what another thread does with it: a second training begins when the first has ended.
Settings are keyword arguments: those of `clfctl train --help`, with underscores; the defaults of a data set, and
`recipe=`, work as there, but neither the environment nor `.env` or `clfctl.toml` is read.
"""


def document() -> str:
    """Return the text of docs/python.md."""
    lines = [HEAD, "```python", EXAMPLE.read_text(encoding="utf-8").split('"""\n', 1)[1].strip(), "```", ""]
    for title, names in (("Calls", CALLS), ("What comes back", RECORDS), ("Watching", WATCHING)):
        lines += [f"## {title}", ""]
        for name in names:
            lines += _entry(name)
    lines += ["## Errors", "", *_errors(), "", "## Schedules", "", *_schedules()]
    return "\n".join(lines) + "\n"


def _entry(name: str) -> Iterator[str]:
    value = getattr(clfctl, name)
    if inspect.isfunction(value):
        yield from (f"### {name}", "", "```python", _signature(name, value), "```", "", _doc(value), "")
        return
    yield from (f"### {name}", "", _doc(value), "")
    if dataclasses.is_dataclass(value):
        yield from (f"- `{field.name}`: `{_type(field.type)}`" for field in dataclasses.fields(value))
    for method, function in vars(value).items():
        if not method.startswith("_") and (
            inspect.isfunction(function) or isinstance(function, property | classmethod)
        ):
            signature = "" if isinstance(function, property) else "()"
            yield f"- `{method}{signature}`: {_doc(function).splitlines()[0]}"
    yield ""


def _signature(name: str, function: Any) -> str:
    parameters = inspect.signature(function).parameters.values()
    lines = [f"    {_parameter(each)}," for each in parameters]
    first_named = next((n for n, each in enumerate(parameters) if each.kind is each.KEYWORD_ONLY), None)
    if first_named is not None:
        lines.insert(first_named, "    *,")
    returned = inspect.signature(function).return_annotation
    return "\n".join([f"{name}(", *lines, f") -> {_type(returned)}"])


def _parameter(parameter: inspect.Parameter) -> str:
    stars = "**" if parameter.kind is parameter.VAR_KEYWORD else ""
    default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
    return f"{stars}{parameter.name}: {_type(parameter.annotation)}{default}"


def _type(annotation: Any) -> str:
    """Return a type as it is read: without quotes and modules."""
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    return re.sub(r"\b(?:[a-z_]+\.)+(?=[A-Z])|ForwardRef\(|'\)|['\"]", "", text)


def _doc(value: Any) -> str:
    return inspect.cleandoc(value.__doc__)


def _errors() -> Iterator[str]:
    yield "Every error is a `ClfctlError`, with `message`, `hint` and the `field` at fault."
    yield ""
    kinds = (getattr(clfctl, name) for name in clfctl.__all__)
    yield from (
        f"- `{kind.__name__}`: {_doc(kind).splitlines()[0]}"
        for kind in kinds
        if inspect.isclass(kind) and issubclass(kind, clfctl.ClfctlError)
    )


def _schedules() -> Iterator[str]:
    yield "Pure functions of time, for a look or for a loop of your own: `schedule.lr(base_lr, t, metrics)`."
    yield ""
    kinds = (getattr(clfctl, name) for name in clfctl.__all__)
    yield from (
        f"- `{kind.__name__}`: {_doc(kind).splitlines()[0]}"
        for kind in kinds
        if inspect.isclass(kind) and issubclass(kind, clfctl.Schedule) and kind is not clfctl.Schedule
    )


if __name__ == "__main__":
    PATH.write_text(document(), encoding="utf-8")
