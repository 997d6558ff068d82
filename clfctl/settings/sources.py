"""Where a setting's value comes from: command line, environment, .env, config file, recipe, data set, default."""

import os
import tomllib
from collections import ChainMap
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from clfctl.errors import UsageError, nearest
from clfctl.settings.auto_rate import with_flags
from clfctl.settings.base import FieldError, Settings, aliases_of
from clfctl.settings.data_defaults import data_defaults
from clfctl.settings.groups import (
    AppSettings,
    BranchSettings,
    EnsembleSettings,
    EvalSettings,
    OutputSettings,
    ResumeSettings,
    ServeSettings,
    SourceSettings,
    TrainSettings,
)
from clfctl.settings.messages import explain
from clfctl.storage.files import reason_of
from clfctl.storage.home import expand_home
from clfctl.storage.names import read_back

S = TypeVar("S", bound=Settings)

# The strongest source, of a command and of a call.
TYPED, PASSED = "command line", "arguments"
# The weakest, and how the label of a data set's begins.
DEFAULT = "default"
ENV_PREFIX = "CLFCTL_"
ENV_FILE = ".env"
CONFIG_FILE = "clfctl.toml"
# Editors on Windows put a byte order mark first.
ENCODING = "utf-8-sig"
# Read by other parts of the program: not misspelt settings.
OTHER_VARIABLES = frozenset({"CLFCTL_DEBUG", "CLFCTL_COMPLETE"})
# What a run was made with does not change with the environment or a config file.
TYPED_ONLY = (ResumeSettings, BranchSettings, EvalSettings, EnsembleSettings)
KNOWN: tuple[type[Settings], ...] = (TrainSettings, ServeSettings, AppSettings, OutputSettings, SourceSettings)


@dataclass(frozen=True)
class Layer:
    """The values that one source states, by field name; `label` says where they stand."""

    label: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Resolved(Generic[S]):
    """Settings, and for each field the label of the source that its value came from.

    `ranks` has the sources' order: 0 is the command line, the largest number stands for defaults.
    """

    settings: S
    origins: Mapping[str, str]
    ranks: Mapping[str, int]

    def is_stated(self, name: str) -> bool:
        """Return whether a source states a field: defaults, those of a data set included, do not."""
        return not self.origins[name].startswith(DEFAULT)


def resolve(settings_type: type[S], typed: Mapping[str, Any]) -> Resolved[S]:
    """Build settings from every source: the first that states a field wins, an unstated field keeps its default.

    Raises UsageError for a bad value or an unknown name, with the setting and the source.
    """
    layers = [Layer(TYPED, typed)]
    if issubclass(settings_type, TYPED_ONLY):
        return from_layers(settings_type, layers)
    layers += _environment(settings_type)
    config = _first(layers, "config")
    if config is None and Path(CONFIG_FILE).is_file():
        config = CONFIG_FILE
    if config:
        layers.append(read_config(_config_path(str(config)), settings_type))
    return from_layers(settings_type, [*layers, *_beneath(settings_type, layers)])


def from_fields(settings_type: type[S], fields: Mapping[str, Any]) -> Resolved[S]:
    """Build settings from keyword arguments: as on the command line, but neither environment nor files are looked for.

    None stands for what is not stated. Raises UsageError for a bad value, and for a name that is not a setting or one
    of another command's.
    """
    stated = {name: value for name, value in fields.items() if value is not None}
    stated = _canonical(stated, "the call", (settings_type,))
    is_typed_only = issubclass(settings_type, TYPED_ONLY)
    known = {*settings_type.model_fields, *(() if is_typed_only else SourceSettings.model_fields)}
    for name in stated:
        if name not in known:
            raise UsageError("this call does not have that setting", "leave it out", field=name)
    layers = [Layer(PASSED, stated)]
    if is_typed_only:
        return from_layers(settings_type, layers)
    if config := _first(layers, "config"):
        layers.append(read_config(_config_path(str(config)), settings_type))
    return from_layers(settings_type, [*layers, *_beneath(settings_type, layers)])


def _beneath(settings_type: type[Settings], layers: Sequence[Layer]) -> Iterator[Layer]:
    """Yield the layers of the recipe and of the data set that the others name."""
    layers = [*layers]
    if recipe := _first(layers, "recipe"):
        layers.append(read_recipe(str(recipe)))
        yield layers[-1]
    data = _first(layers, "data")
    if data is None and "data" in settings_type.model_fields:
        data = settings_type.model_fields["data"].default
    if str(data) in (defaults := data_defaults()):
        yield Layer(f"{DEFAULT} for {data}", defaults[str(data)])


def _config_path(written: str) -> Path:
    try:
        return Path(expand_home(written))
    except UsageError as error:
        raise UsageError(error.message, error.hint, field="config") from None


def recipe_names() -> list[str]:
    """Return the names of the recipes that come with clfctl."""
    folder = resources.files("clfctl.settings") / "recipes"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def recipe_summaries() -> dict[str, str]:
    """Return what each recipe is for, by its name: the comment that its file begins with."""
    folder = resources.files("clfctl.settings") / "recipes"
    return {
        name: (folder / f"{name}.toml").read_text(encoding=ENCODING).partition("\n")[0].lstrip("# ")
        for name in recipe_names()
    }


def read_recipe(name: str) -> Layer:
    """Return the settings of a recipe."""
    if name not in recipe_names():
        hint = nearest(name, recipe_names()) or "there are: " + ", ".join(recipe_names())
        raise UsageError(f"no recipe is called {name!r}", hint, field="recipe")
    text = (resources.files("clfctl.settings") / "recipes" / f"{name}.toml").read_text(encoding=ENCODING)
    return Layer(f"recipe {name}", _canonical(tomllib.loads(text), f"recipe {name}"))


def read_config(path: Path, *more: type[Settings]) -> Layer:
    """Return the settings of a TOML file; it may also set those of `more` groups than clfctl has."""
    try:
        values = tomllib.loads(path.read_text(encoding=ENCODING))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(f"cannot read {path}: {reason}", field="config") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not valid TOML: {error}", field="config") from None
    # A run's own config.toml may have names that are not UTF-8.
    values = {name: read_back(value) if isinstance(value, str) else value for name, value in values.items()}
    return Layer(f"config file {path}", _canonical(values, str(path), more))


def known_names(more: Iterable[type[Settings]] = ()) -> set[str]:
    """Return the name of every setting of every command, and of `more` groups."""
    return {name for group in (*KNOWN, *more) for name in group.model_fields}


def field_of(written: str, known: Collection[str], aliases: Mapping[str, str]) -> str:
    """Return the field that a name stands for, empty if it stands for none."""
    plain = written.replace("-", "_")
    return plain if plain in known else aliases.get(plain, "")


def every_alias(more: Iterable[type[Settings]] = ()) -> dict[str, str]:
    """Return every older name of a setting of any command, and of `more` groups, as {alias: field}."""
    return {alias: name for group in (*KNOWN, *more) for alias, name in aliases_of(group).items()}


def _canonical(values: Mapping[str, Any], where: str, more: Sequence[type[Settings]] = ()) -> dict[str, Any]:
    """Return `values` under the fields' own names; dashes count as underscores, older names are known."""
    known, aliases, result = known_names(more), every_alias(more), dict[str, Any]()
    for written, value in values.items():
        if not (name := field_of(written, known, aliases)):
            hint = nearest(written.replace("-", "_"), [*known, *aliases]) or "`clfctl train --help` lists every setting"
            raise UsageError(f"{where} sets {written!r}, which is not a setting", hint)
        if name in result:
            raise UsageError(f"{where} sets {name!r} twice, once as {written!r}", "keep one of the two")
        result[name] = value
    return result


def _environment(settings_type: type[Settings]) -> list[Layer]:
    layers = []
    variables = {name: value for name, value in os.environ.items() if name.startswith(ENV_PREFIX)}
    if variables:
        values = _read_variables(settings_type, variables, "the environment", in_file=False)
        layers.append(Layer("environment", values))
    if Path(ENV_FILE).is_file():
        layers.append(
            Layer(f"{ENV_FILE} file", _read_variables(settings_type, _dotenv_names(), ENV_FILE, in_file=True))
        )
    return layers


def _dotenv_names() -> list[str]:
    from dotenv import dotenv_values  # what pydantic-settings reads the file with

    try:
        values = dotenv_values(ENV_FILE, interpolate=False, encoding=ENCODING)
    except (OSError, UnicodeDecodeError) as error:
        reason = reason_of(error) if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(f"cannot read {ENV_FILE}: {reason}") from None
    return [name for name in values if name.startswith(ENV_PREFIX)]


def _read_variables(
    settings_type: type[Settings], names: Iterable[str], where: str, *, in_file: bool
) -> dict[str, Any]:
    """Return the settings that the variables state; a misspelt variable is an error, since it would do nothing."""
    from pydantic import AliasChoices, Field, create_model
    from pydantic_settings import BaseSettings, DotEnvSettingsSource, EnvSettingsSource, SettingsConfigDict

    more = (settings_type,)
    fields, aliases = known_names(more), every_alias(more)
    other_names = {name: [alias for alias, field in aliases.items() if field == name] for name in fields}
    # Read as text, so that a bad value is judged once, together with those of the other sources.
    reader = create_model(
        "Environment",
        __base__=BaseSettings,
        **{  # type: ignore[call-overload]  # fields made at run time
            name: (
                str | None,
                Field(None, validation_alias=AliasChoices(*(ENV_PREFIX + each for each in (name, *other_names[name])))),
            )
            for name in fields
        },
    )
    reader.model_config = SettingsConfigDict(
        env_file=ENV_FILE,
        env_file_encoding=ENCODING,
        env_ignore_empty=True,
        dotenv_filtering="only_existing",
        extra="ignore",
    )
    known = {ENV_PREFIX + name.upper() for name in [*fields, *aliases]} | OTHER_VARIABLES
    for variable in names:
        if variable.upper() not in known:
            hint = nearest(variable, known) or "`.env.example` lists every variable"
            raise UsageError(f"{where} has {variable}, which sets nothing", hint)
    source = DotEnvSettingsSource(reader) if in_file else EnvSettingsSource(reader)
    found = {name.lower().removeprefix(ENV_PREFIX.lower()): value for name, value in source().items()}
    return _canonical(found, where, more)


def _first(layers: Iterable[Layer], name: str) -> Any:
    return next((layer.values[name] for layer in layers if layer.values.get(name) is not None), None)


def from_layers(settings_type: type[S], layers: Sequence[Layer]) -> Resolved[S]:
    """Build settings from layers alone, the strongest first; names that are not its fields do not count.

    Raises UsageError for a bad value.
    """
    names = settings_type.model_fields.keys()
    flagged = with_flags(layer.values for layer in layers)
    layers = [Layer(layer.label, values) for layer, values in zip(layers, flagged, strict=True)]
    stated = ChainMap(*({n: v for n, v in layer.values.items() if n in names} for layer in layers))
    layers = [*layers, Layer(DEFAULT, {})]
    ranks = {
        name: next((n for n, layer in enumerate(layers) if name in layer.values), len(layers) - 1) for name in names
    }
    origins = {name: layers[rank].label for name, rank in ranks.items()}
    try:
        return Resolved(settings_type(**stated), origins, ranks)
    except FieldError as error:
        where = "" if ranks[error.field] == 0 else f"(it is set in the {origins[error.field]})"
        hint = " ".join(each for each in (error.hint, where) if each)
        raise UsageError(error.message, hint, field=error.field) from None
    except ValidationError as error:
        problem, *_ = error.errors()
        name = str(problem["loc"][0])
        raise UsageError(explain(settings_type, name, problem, origins[name]), field=name) from None
