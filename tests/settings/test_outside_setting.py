"""A setting from outside of the package: one more field, and it is an option, a variable and a line of a file."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import pytest
import typer
from pydantic import PositiveInt
from typer.testing import CliRunner, Result

from clfctl.cli.options import option_rules, with_settings
from clfctl.cli.reporting import reporting
from clfctl.settings.base import Option
from clfctl.settings.groups import TrainSettings
from clfctl.settings.sources import Resolved, resolve


class MySettings(TrainSettings):
    """Mine"""

    n_views: Annotated[PositiveInt, Option(short="-V", aliases=("views",))] = 3
    """Views of each image, of `batch_size=` images."""


def show(settings: Resolved[MySettings]) -> None:
    """Show where a setting came from."""
    print(settings.settings.n_views, settings.origins["n_views"])


def run(*words: str) -> Result:
    app = typer.Typer(rich_markup_mode="markdown")
    groups = (MySettings,)
    app.command(context_settings=option_rules(groups))(reporting(with_settings(show, groups)))
    return CliRunner().invoke(app, list(words))


def from_env(text: str) -> None:
    Path(".env").write_text(text)


SOURCES: list[tuple[Callable[[], object], tuple[str, ...], str]] = [
    (lambda: None, (), "3 default"),
    (lambda: None, ("--n-views", "5"), "5 command line"),
    (lambda: None, ("--views=6",), "6 command line"),
    (lambda: None, ("-V", "7"), "7 command line"),
    (lambda: Path("clfctl.toml").write_text("n-views = 8"), (), "8 config file clfctl.toml"),
    (lambda: from_env("CLFCTL_VIEWS=9"), (), "9 .env file"),
]


@pytest.mark.parametrize(("write", "words", "shown"), SOURCES)
def test_every_source_sets_it(write: Callable[[], object], words: tuple[str, ...], shown: str) -> None:
    write()
    result = run(*words)
    assert (result.stdout.strip(), result.exit_code) == (shown, 0)


def test_the_environment_sets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLFCTL_N_VIEWS", "4")
    assert resolve(MySettings, {}).settings.n_views == 4


def test_help_and_errors_speak_of_options() -> None:
    words = " ".join(run("--help").stdout.replace("│", " ").split())
    about = words.partition("Views of each image, of ")[2]
    assert about.startswith("--batch-size images. [default:")
    result = run("--n-views", "0")
    assert "--n-views: '0' (from the command line) is not allowed; it must be a whole number greater than 0" in (
        result.stderr
    )
    assert result.exit_code == 2
