"""Errors in one place: an exception becomes a sentence on standard error and an exit code."""

import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, wraps
from typing import Any

import typer

from clfctl.display.streams import forget_reader, make_writable
from clfctl.display.wrapping import in_width, width_of
from clfctl.errors import SETTING, ClfctlError, LostProcessError, StoppedAtOnce, UsageError
from clfctl.settings.launch import launch
from clfctl.storage.names import quoted, without_codes

PATIENCE_S = 0.5
GRACE_S = 5.0


@contextmanager
def report_errors() -> Iterator[None]:
    """Turn an exception into one sentence on standard error and an exit code."""
    try:
        yield
    except ClfctlError as error:
        _show(f"{option(error.field)}: {error.message}" if error.field else error.message, error.hint, error)
        raise typer.Exit(error.exit_code) from None
    except StoppedAtOnce as error:
        _show(str(error), error.hint, error)
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except BrokenPipeError:
        forget_reader(sys.stdout)
        raise typer.Exit(1) from None
    except OSError as error:
        _show(f"{error.filename or 'a file'}: {error.strerror or error}", "", error)
        raise typer.Exit(1) from None


def _show(message: str, hint: str, error: BaseException) -> None:
    one = launch()
    # Of several processes the first tells what all know; what a setting is wrong with they all know.
    if getattr(error, "is_told", False) or (one.rank and isinstance(error, UsageError | LostProcessError)):
        # Once the first has spoken torchrun ends the others; if one of these were faster, it could not speak.
        time.sleep(GRACE_S if getattr(error, "exit_code", 1) else 0)
        if getattr(error, "is_told", False):
            return
    if os.environ.get("CLFCTL_DEBUG"):
        traceback.print_exception(error, file=sys.stderr)
    make_writable(sys.stderr)
    prefix = "" if getattr(error, "exit_code", 1) not in (1, 2) else "Error: "
    prefix = f"Process {one.rank + 1} of {one.size}: {prefix}" if one.rank else prefix
    lines, width = [f"{prefix}{spelled(message)}", *([f"  {spelled(hint)}"] if hint else [])], width_of(sys.stderr)
    print(*(in_width(without_codes(line), width) for line in lines), sep="\n", file=sys.stderr)


def spelled(text: str) -> str:
    """Return a message with its settings as options: `--val-split 0.2` for "`val_split=0.2`"."""
    return SETTING.sub(lambda found: _as_option(found[1], found[2]), text)


def option(field: str) -> str:
    """Return the option that sets a field."""
    return "--" + _other_names().get(field, field).replace("_", "-")


@cache
def _other_names() -> dict[str, str]:
    """Return the options that are not called as their fields."""
    from clfctl.settings.base import option_of
    from clfctl.settings.sources import KNOWN

    spellings = {name: option_of(group, name).spelling for group in KNOWN for name in group.model_fields}
    return {name: spelling for name, spelling in spellings.items() if spelling}


def _as_option(field: str, value: str) -> str:
    match value:
        case "" | "True":
            return option(field)
        case "False":
            return option(f"no_{field}")
    return f"{option(field)} {quoted(value)}"


def reporting(command: Callable[..., None]) -> Callable[..., None]:
    """Return the command with its errors reported."""

    @wraps(command)
    def run(**values: Any) -> None:
        with report_errors():
            command(**values)

    return run


def leave_hanging_threads(code: int | str | None) -> None:
    """End the process at once if a thread hangs, in a read from a dead server as a rule: Python would wait for it."""
    others = [each for each in threading.enumerate() if each is not threading.main_thread() and not each.daemon]
    for thread in others:
        with suppress(RuntimeError):  # a signal came while it was being started, and it may never be
            thread.join(PATIENCE_S)
    if any(thread.is_alive() for thread in others):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else int(code is not None))
