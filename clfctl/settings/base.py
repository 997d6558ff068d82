"""What settings groups are made of: the frozen base model and the marks that a field may carry."""

import ast
import inspect
import textwrap
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from clfctl.errors import UsageError
from clfctl.storage.home import expand_home

Values = Literal[
    "models",
    "recipes",
    "data",
    "optimizers",
    "runs",
    "schedules",
    "files",
    "folders",
    "checkpoints",
    "metrics",
    "trackers",
    "trained",
    "ways",
]


@dataclass(frozen=True)
class Option:
    """How a field is typed on the command line, where its name alone does not say it.

    `spelling` is the option's name if the field's will not do, `one_way` marks a flag without a `--no-` form.
    `aliases` are older or longer names of the field, accepted in every source; `values` names what TAB offers.
    `accepts` says what the field may be where its type does not, `fixed` why it cannot change in a run that has begun.
    """

    short: str = ""
    spelling: str = ""
    one_way: bool = False
    aliases: tuple[str, ...] = ()
    values: Values | None = None
    metavar: str = ""
    accepts: str = ""
    fixed: str = ""


def _at_home(path: Any) -> Any:
    if not isinstance(path, str | Path):
        return path
    try:
        return expand_home(str(path))
    except UsageError as error:
        raise PydanticCustomError("no_home", "{reason}", {"reason": error.message}) from None


Fraction = Annotated[float, Field(ge=0, lt=1)]
# Paths that users write: `~` is their home folder in every source.
UserPath = Annotated[Path, BeforeValidator(_at_home)]
# Text that may be a path, such as the name of a data set or its folder.
UserText = Annotated[str, BeforeValidator(_at_home)]


class FieldError(UsageError):
    """A value that a field's own validation refused; the resolver adds where it came from."""

    def __init__(self, field: str, message: str, hint: str = "") -> None:
        super().__init__(message, hint, field=field)


class Settings(BaseModel):
    """Settings"""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        validate_default=False,
        allow_inf_nan=False,
        # A validator is built when it is first used: most groups are only parts of others, and TAB validates nothing.
        defer_build=True,
    )


def option_of(settings_type: type[Settings], name: str) -> Option:
    """Return the `Option` mark of a field, an empty one if it has none."""
    marks: list[Any] = settings_type.model_fields[name].metadata
    return next((mark for mark in marks if isinstance(mark, Option)), Option())


def panel_of(settings_type: type[Settings], name: str) -> str:
    """Return the help panel of a field: the first line of the docstring of the class that declares it."""
    owner = next(owner for owner in settings_type.__mro__ if name in inspect.get_annotations(owner))
    return (owner.__doc__ or "Options").splitlines()[0]


def help_of(settings_type: type[Settings], name: str) -> str:
    """Return the help of a field: the docstring under it, or the description that it was made with.

    Not by Pydantic's `use_attribute_docstrings`, which parses every class whenever one is imported: a tenth of the time
    of a preview, whose help nobody asked for.
    """
    owner = next(owner for owner in settings_type.__mro__ if name in inspect.get_annotations(owner))
    text = settings_type.model_fields[name].description or _docstrings(owner).get(name, "")
    return " ".join(text.split())


@cache
def _docstrings(owner: type) -> dict[str, str]:
    """Return the docstring under each annotated name in the source of a class."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
    assert isinstance(definition, ast.ClassDef)
    found = {}
    for line, below in pairwise(definition.body):
        match line, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                found[name] = text
    return found


def aliases_of(settings_type: type[Settings]) -> dict[str, str]:
    """Return every older name of a field, as {alias: field}."""
    return {alias: name for name in settings_type.model_fields for alias in option_of(settings_type, name).aliases}
