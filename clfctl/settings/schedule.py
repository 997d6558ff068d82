"""The settings of the learning-rate schedule: those of every kind, and the parameters of the kinds themselves."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

from pydantic import BeforeValidator, Field, create_model, field_validator

from clfctl.errors import UsageError
from clfctl.schedules.catalog import kind_options, kinds_with
from clfctl.schedules.compose import WarmupShape
from clfctl.schedules.durations import DURATIONS, parse_duration
from clfctl.schedules.expression import parse_expression
from clfctl.schedules.parameters import Parameter
from clfctl.schedules.stable import STABLE_WRITTEN, parse_stable
from clfctl.settings.base import FieldError, Option, Settings
from clfctl.settings.words import value_in_words

AUTO = "auto"
# What says that nothing moves a value.
OFF = ("", "none")


class ScheduleSettings(Settings):
    """Learning-rate schedule"""

    scheduler: Annotated[
        str, Option(short="-s", aliases=("lr_scheduler",), values="schedules", metavar="EXPRESSION")
    ] = "step"
    """How the learning rate changes: a kind (`clfctl lr-preview --list` shows them), `torch:CLASS(…)`, `timm:CLASS(…)`,
    or several with their epochs, `"linear(start=0.1):2 > cosine(eta_min=1e-5):20 > plateau"`."""
    warmup: Annotated[
        str,
        Option(short="-w", aliases=("warmup_epochs",), metavar="N", accepts=f"{DURATIONS}, {AUTO} or {STABLE_WRITTEN}"),
    ] = "0"
    """Epochs over which the learning rate first rises to the base, batch by batch; also `500b` batches, `5%` of the
    training, `auto`: 2 / (1 - beta2) steps for Adam and its relatives, at most half of the training, or `auto:stable`:
    until loss and gradient norm have settled, within limits, `auto:stable(min=1%, max=20%, window=20b,
    tolerance=0.1)`."""
    warmup_start: Annotated[float | None, Field(ge=0, lt=1)] = None
    """Share of the base learning rate at which warmup starts; unset: 0, or 0.01 with an exponential shape."""
    warmup_shape: WarmupShape = "linear"
    """The curve of the warmup."""
    warmup_inside: bool = True
    """Whether warmup is part of `epochs=`: the schedule gets the rest, and `t_max=` is shortened by it; otherwise it is
    trained in addition."""
    strict: bool = False
    """Refuse to train where the curve is most likely a mistake, instead of warning."""

    @field_validator("scheduler")
    @classmethod
    def _is_expression(cls, text: str) -> str:
        return _parsed("scheduler", text)

    @field_validator("warmup", mode="before")
    @classmethod
    def _is_duration(cls, value: Any) -> Any:
        if isinstance(value, int | float) and not isinstance(value, bool):
            value = repr(value)
        if value == AUTO or not isinstance(value, str):
            return value
        return str(parse_stable(value) or parse_duration(value))


class BesideSettings(Settings):
    """Schedules of momentum and weight decay"""

    momentum_schedule: Annotated[str, Option(values="schedules", metavar="EXPRESSION")] = ""
    """How the momentum changes, or Adam's beta1: any schedule, over all epochs, from `momentum=` or `beta1=` on, or the
    optimizer's own; empty or `none`: not at all, but for `onecycle(cycle_momentum=true)`."""
    weight_decay_schedule: Annotated[str, Option(values="schedules", metavar="EXPRESSION")] = ""
    """How the weight decay changes: any schedule, over all epochs, from `weight_decay=` on, such as `cosine(eta_min=X)`
    to get to X, above or below; empty or `none`: not at all."""

    @field_validator("momentum_schedule")
    @classmethod
    def _is_of_momentum(cls, text: str) -> str:
        return _parsed("momentum_schedule", text) if text.strip() not in OFF else ""

    @field_validator("weight_decay_schedule")
    @classmethod
    def _is_of_decay(cls, text: str) -> str:
        return _parsed("weight_decay_schedule", text) if text.strip() not in OFF else ""


def _parsed(name: str, text: str) -> str:
    """Return an expression; raises FieldError if it is none."""
    try:
        parse_expression(text)
    except UsageError as error:
        raise FieldError(name, error.message, error.hint) from None
    return text


def _split(value: Any) -> Any:
    """Return the numbers of `30,60` or of a lone number, as a list."""
    if isinstance(value, str):
        return value.strip("[]() ").replace(",", " ").split()
    return [value] if isinstance(value, int | float) else value


def _fields() -> Iterator[tuple[str, Any]]:
    """Yield a settings field for every parameter that an option sets; its limits are those of the parameter."""
    for option in kind_options():
        kinds = kinds_with(option)
        _, parameter = kinds[0]
        is_list = get_origin(parameter.type) is tuple
        # An older name with the prefix of the first versions; torch's own name where ours is another.
        aliases = (f"scheduler_{option}", *(["min_lr", "scheduler_min_lr"] if option == "eta_min" else []))
        marks: list[Any] = [Option(aliases=aliases, accepts=parameter.accepts, metavar=_metavar(parameter))]
        marks += [BeforeValidator(_split)] if is_list else []
        marks += [BeforeValidator(_reading(parameter.read))] if parameter.read else []
        limits = Field() if is_list else _limits(parameter)
        yield option, (Annotated[(parameter.type | None, limits, *marks)], Field(None, description=_help(kinds)))


def _reading(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else read(value)


def _limits(parameter: Parameter) -> Any:
    bounds = {"Gt": "gt", "Ge": "ge", "Lt": "lt", "Le": "le"}
    return Field(
        **{bounds[type(each).__name__]: getattr(each, bounds[type(each).__name__]) for each in parameter.limits}
    )


def _help(kinds: list[tuple[str, Parameter]]) -> str:
    """Return what the parameter is for each kind that has it, with its default."""
    texts: dict[str, dict[str, str]] = {}
    for name, parameter in kinds:
        text = parameter.help[0].lower() + parameter.help[1:].rstrip(".")
        texts.setdefault(text, {})[name] = default_in_words(parameter.default)
    return "; ".join(f"{', '.join(defaults)}: {text} ({_in_one(defaults)})" for text, defaults in texts.items()) + "."


def _in_one(defaults: dict[str, str]) -> str:
    """Return the defaults of several kinds: one for all, or each with its kinds."""
    by_value: dict[str, list[str]] = {}
    for name, value in defaults.items():
        by_value.setdefault(value, []).append(name)
    if len(by_value) == 1:
        return f"default {next(iter(by_value))}"
    return "default " + "; ".join(f"{value} for {', '.join(names)}" for value, names in by_value.items())


def default_in_words(default: Any) -> str:
    """Return a parameter's default as help shows it."""
    return value_in_words(default, unset="none")


def _metavar(parameter: Parameter) -> str:
    if get_origin(parameter.type) is Literal:
        return "|".join(get_args(parameter.type))
    if parameter.read:
        return "N"
    return {int: "N", float: "X"}.get(parameter.type, "N,N,…")


if TYPE_CHECKING:

    class KindSettings(Settings):
        """Parameters of the schedule"""

        eta_min: float | None = None

else:
    KindSettings = create_model(
        "KindSettings", __base__=Settings, __doc__="Parameters of the schedule", **dict(_fields())
    )
    KindSettings.__annotations__ = {name: field.annotation for name, field in KindSettings.model_fields.items()}
