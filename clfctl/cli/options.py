"""A settings class becomes a command's options: the only file that knows how Typer reads a signature."""

import inspect
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, get_args, get_origin

import typer

from clfctl.cli import completion
from clfctl.cli.reporting import option as option_name
from clfctl.cli.reporting import spelled
from clfctl.errors import UsageError

if TYPE_CHECKING:
    from clfctl.settings.base import Settings
    from clfctl.settings.sources import Resolved

# The name of one of clfctl's groups, so that it is imported late, or a group of your own.
Group: TypeAlias = "str | type[Settings]"


def option_rules(group_names: tuple[Group, ...] = ()) -> dict[str, Any]:
    """Return the context settings of a command: dashes and underscores are one, older names stand for the new."""
    newer = _newer_names(group_names) if group_names else {}

    def normalize(name: str) -> str:
        plain = name.replace("_", "-")
        return newer.get(plain, plain)

    return {"token_normalize_func": normalize, "help_option_names": ["-h", "--help"]}


def _newer_names(group_names: tuple[Group, ...]) -> dict[str, str]:
    from clfctl.settings.base import option_of

    newer = {}
    for group in map(_group, group_names):
        for name in group.model_fields:
            mark = option_of(group, name)
            for older in (name, *mark.aliases):
                newer[older.replace("_", "-")] = (mark.spelling or name).replace("_", "-")
    return newer


def _group(group: Group) -> "type[Settings]":
    from clfctl.settings import groups

    found: type[Settings] = getattr(groups, group) if isinstance(group, str) else group
    return found


def curve_settings() -> Collection[str]:
    """Return the settings of a training that its learning-rate curve depends on."""
    from clfctl.settings.groups import CURVE

    return CURVE


def with_settings(
    command: Callable[..., None],
    group_names: tuple[Group, ...],
    shown: Collection[str] | None = None,
    words: Sequence[str] | None = None,
) -> Callable[..., None]:
    """Give a command one option per field of the named settings groups; it gets each group resolved, in that order.

    In the place of the OutputSettings it gets the Output that they ask for. Its help shows the `shown` settings, None:
    all of them; the others are declared only where one of the `words` of the command line needs it, None: it may.

    A parameter of its own that is named as a field is that field as an argument, and is not passed on. Numbers and
    choices are taken as text: Pydantic judges them after all sources are merged, so that a bad option and
    a bad line of a file read the same.
    """
    from clfctl.settings import groups, sources
    from clfctl.settings.optimization import BaseRateSettings

    types = [_group(name) for name in group_names]
    uses_sources = any(issubclass(each, BaseRateSettings) for each in types)
    uses_sources = uses_sources and groups.ResumeSettings not in types
    every: list[type[Settings]] = [*types, groups.SourceSettings] if uses_sources else types

    def run(**values: Any) -> None:
        typed = {
            name: value
            for group in every
            for name in group.model_fields
            if (value := values.pop(name, None)) is not None
        }
        own = {name: _at_home(name, value) for name, value in values.items()}
        command(*(_given(sources.resolve(group, typed)) for group in types), **own)

    own = list(inspect.signature(command).parameters.values())[len(types) :]
    # Where the command line is known, what it does not ask for costs nothing.
    with_help = words is None or not {"--help", "-h"}.isdisjoint(words)
    found = _parameters(every, own, shown, with_hidden=words is None, with_help=with_help)
    if words is not None and not _have(found, words, _newer_names(group_names)):
        found = _parameters(every, own, shown, with_hidden=True, with_help=with_help)
    return _signed(run, command, found)


def _parameters(
    every: "Sequence[type[Settings]]",
    own: Sequence[inspect.Parameter],
    shown: Collection[str] | None,
    *,
    with_hidden: bool,
    with_help: bool,
) -> list[inspect.Parameter]:
    """Return a command's own parameters and the options of its settings groups."""
    from clfctl.settings.groups import OutputSettings

    # A field that the command declares itself, as an argument, is not also an option.
    declared = {parameter.name for parameter in own}
    options = (
        parameter
        for group in every
        for parameter in _options(
            group, None if group is OutputSettings else shown, with_hidden=with_hidden, with_help=with_help
        )
        if parameter.name not in declared
    )
    # Two groups may share a field: it is one option, and both get it.
    return [*own, *{option.name: option for option in options}.values()]


def _have(parameters: Iterable[inspect.Parameter], words: Sequence[str], newer: Mapping[str, str]) -> bool:
    """Return whether every option among the words of a command line is one of the parameters."""
    known = {"--help", "-h", "--"}
    for parameter in parameters:
        mark = parameter.annotation.__metadata__[0]
        # In an annotation Typer takes the first name for a default.
        written = [each for each in (mark.default, *(mark.param_decls or ())) if isinstance(each, str)]
        known |= {option_name(parameter.name), *(each for both in written for each in both.split("/"))}
    for word in words:
        name = word.partition("=")[0][2:].replace("_", "-")
        option = f"--{newer.get(name, name)}" if word.startswith("--") else word[:2]
        if word.startswith("-") and option not in known:
            return False
    return True


def _at_home(name: str, value: Any) -> Any:
    """Return an argument of a command with its `~` expanded, where it is a path, or paths."""
    from clfctl.storage.home import expand_home

    try:
        match value:
            case Path():
                return Path(expand_home(str(value)))
            case str() if value.startswith("~/"):
                return expand_home(value)
            case list():
                return [_at_home(name, each) for each in value]
    except UsageError as error:
        raise UsageError(error.message, error.hint, field=error.field or name) from None
    return value


def _given(resolved: "Resolved[Any]") -> Any:
    """Return what a command gets of a settings group."""
    from clfctl.display.output import Output
    from clfctl.settings.groups import OutputSettings

    settings = resolved.settings
    return Output(settings, spelled) if isinstance(settings, OutputSettings) else resolved


def without_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Return a stand-in with the command's name and help and no options: enough where another command was called."""

    def stand_in() -> None:
        raise AssertionError("another command was called")

    return _signed(stand_in, command, [])


def _signed(
    run: Callable[..., None], command: Callable[..., None], parameters: list[inspect.Parameter]
) -> Callable[..., None]:
    """Give `run` the name and help of `command`, and the parameters that Typer is to read."""
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # inspect reads it; no type has it
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _options(
    group: "type[Settings]", shown: Collection[str] | None, *, with_hidden: bool, with_help: bool
) -> Iterator[inspect.Parameter]:
    from clfctl.settings.base import help_of, option_of, panel_of
    from clfctl.settings.groups import ResumeSettings

    of_run = group is ResumeSettings

    for name, field in group.model_fields.items():
        mark = option_of(group, name)
        # Hidden, not unknown: who tries to change what is fixed is told why it cannot be, and who types a whole
        # command of `train` for its curve need not leave out what does not touch that.
        is_hidden = (of_run and bool(mark.fixed)) or (shown is not None and name not in shown)
        if is_hidden and not with_hidden:
            continue
        is_flag = bool in (field.annotation, *get_args(field.annotation))
        names = [option_name(mark.spelling or name), *([mark.short] if mark.short else [])]
        names[0] += f"/{option_name('no_' + name)}" if is_flag and not mark.one_way else ""
        # In the help's text: Typer would show a default of its own in brackets and parentheses.
        # Of a run the default is what the run has.
        default = "" if is_flag or of_run or field.default in (None, "") else f" [default: {field.default}]"
        option = typer.Option(
            *names,
            help=spelled(help_of(group, name)) + default if with_help else "",
            rich_help_panel=panel_of(group, name),
            metavar=None if is_flag else mark.metavar or _metavar(field.annotation),
            hidden=is_hidden,
            autocompletion=None if is_flag else completion.offer(mark.values, _choices(field.annotation)),
        )
        kind: Any = bool | None if is_flag else str | None
        yield inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind, option])


def _choices(annotation: Any) -> tuple[str, ...]:
    if type(None) in get_args(annotation):
        annotation = get_args(annotation)[0]
    return tuple(str(choice) for choice in get_args(annotation)) if "Literal" in str(get_origin(annotation)) else ()


def _metavar(annotation: Any) -> str:
    if choices := _choices(annotation):
        return "|".join(choices)
    if get_origin(annotation) is UnionType or type(None) in get_args(annotation):
        annotation = get_args(annotation)[0]
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return {"int": "N", "float": "X", "Path": "PATH"}.get(getattr(annotation, "__name__", ""), "TEXT")
