"""The program: which commands there are, and which settings are their options. `main` runs it."""

import os
import sys
import time
import warnings
from collections.abc import Callable
from typing import Annotated

import typer

from clfctl.cli.allocator import keep_freed_memory
from clfctl.cli.comparing import compare
from clfctl.cli.data import bench_data, check_data
from clfctl.cli.explaining import explain
from clfctl.cli.finding import lr_find
from clfctl.cli.in_browser import app as in_browser
from clfctl.cli.models import models
from clfctl.cli.options import curve_settings, option_rules, with_settings, without_settings
from clfctl.cli.probing import probe
from clfctl.cli.recipes import asks_for_recipes, print_recipes
from clfctl.cli.reporting import GRACE_S, leave_hanging_threads, reporting
from clfctl.cli.schedules import lr_preview
from clfctl.cli.serving import serve
from clfctl.cli.spinning import SHORT, VARIABLE, spin_where_quiet
from clfctl.cli.trained import ensemble, evaluate, export, predict
from clfctl.cli.training import branch, debug_batch, resume, runs, train
from clfctl.cli.tuning import tune
from clfctl.display.streams import make_writable, open_what_is_closed, silence_libraries, silence_logs
from clfctl.settings.launch import launch
from clfctl.version import __version__

# Commands that several processes may be started with.
TOGETHER = ("train", "resume")
# Commands that import no library that logs, and are to start at once.
LIGHT = ("", "runs", "lr-preview")
# Commands that run beside others until somebody stops them: they give memory back, and their threads do not spin.
FOR_WEEKS = ("serve",)
EPILOG = "Every option can also be set as CLFCTL_OPTION in the environment or in .env, or in clfctl.toml."

# Name, function, and the settings groups whose fields are its options.
COMMANDS: tuple[tuple[str, Callable[..., None], tuple[str, ...]], ...] = (
    ("train", train, ("TrainSettings", "OutputSettings")),
    ("resume", resume, ("ResumeSettings", "RunsDirSettings", "OutputSettings")),
    ("branch", branch, ("BranchSettings", "OutputSettings")),
    ("runs", runs, ("RunsDirSettings", "OutputSettings")),
    ("debug-batch", debug_batch, ("OutputSettings",)),
    ("probe", probe, ("ProbeSettings", "OutputSettings")),
    ("lr-find", lr_find, ("TrainSettings", "OutputSettings")),
    ("tune", tune, ("TuningSettings", "TuneSettings", "OutputSettings")),
    ("lr-preview", lr_preview, ("TrainSettings", "OutputSettings")),
    ("models", models, ("OutputSettings",)),
    ("eval", evaluate, ("ReportSettings", "EnsembleSettings", "OutputSettings")),
    ("compare", compare, ("EvalSettings", "OutputSettings")),
    ("predict", predict, ("EnsembleSettings", "OutputSettings")),
    ("explain", explain, ("EnsembleSettings", "OutputSettings")),
    ("export", export, ("EnsembleSettings", "OutputSettings")),
    ("ensemble", ensemble, ("KeptEnsembleSettings", "OutputSettings")),
    ("serve", serve, ("ServeSettings", "OutputSettings")),
    ("app", in_browser, ("AppSettings", "OutputSettings")),
    ("check-data", check_data, ("OutputSettings",)),
    ("bench-data", bench_data, ("BenchSettings", "OutputSettings")),
)


def make_app(only: str | None = None, words: list[str] | None = None) -> typer.Typer:
    """Return the program with the options of every command, or of the command `only` (declaring them costs 0.1 s).

    `words` are those of its command line: hidden options that none of them needs are not declared.
    """
    app = typer.Typer(
        name="clfctl",
        help="Train image classifiers, with a learning rate that is never a surprise.",
        no_args_is_help=True,
        rich_markup_mode="markdown",
        pretty_exceptions_enable=False,
        context_settings=option_rules(),
    )
    app.callback()(_program)
    for name, function, groups in COMMANDS:
        is_wanted = only in (None, name)
        shown = curve_settings() if is_wanted and name == "lr-preview" else None
        command = with_settings(function, groups, shown, words) if is_wanted else without_settings(function)
        rules = option_rules(groups if is_wanted else ())
        # What a run was made with counts there, not the environment or the files of today.
        epilog = None if name in ("resume", "branch", "eval", "compare", "ensemble") else EPILOG
        app.command(name, epilog=epilog, context_settings=rules)(reporting(command))
    return app


def wanted_command(words: list[str]) -> str:
    """Return the command among the words of a command line: the first that is not an option."""
    return next((word.replace("_", "-") for word in words if not word.startswith("-")), "")


def main() -> None:
    """Run the program on the process's command line."""
    # Pydantic asks every installed package for plug-ins of its own, which takes longer the more there are, and none has
    # a say in the settings of a command.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    open_what_is_closed()
    silence_libraries()
    for stream in (sys.stdout, sys.stderr):
        make_writable(stream)
    # Pillow warns of large images and damaged metadata, without saying in which file: an image can be read, or it is
    # listed with the reason. Behind what the user asks for with -W.
    warnings.filterwarnings("ignore", module=r"PIL\.", append=True)
    completing = os.environ.get("_CLFCTL_COMPLETE")
    words = os.environ.get("COMP_WORDS", os.environ.get("_TYPER_COMPLETE_ARGS", "")).split()
    wanted = wanted_command(words[1:] if completing else sys.argv[1:])
    if wanted in (*LIGHT, *FOR_WEEKS):
        os.environ.setdefault(VARIABLE, SHORT)
    if not completing and wanted not in LIGHT:
        silence_logs()
        if wanted not in FOR_WEEKS:
            keep_freed_memory()
            spin_where_quiet()
    if not completing and wanted in ("train", "lr-preview", "lr-find") and asks_for_recipes(sys.argv[1:]):
        print_recipes(as_json="--json" in sys.argv)
        return
    refuse_several(wanted)
    try:
        make_app(wanted, None if completing else sys.argv[1:])(prog_name="clfctl")
    except SystemExit as end:
        leave_hanging_threads(end.code)
        raise
    except KeyboardInterrupt:  # before the command began, which tells of it itself
        raise SystemExit(130) from None


def refuse_several(wanted: str) -> None:
    """End a process that torchrun started with others for a command that is for one."""
    one = launch()
    if one.size > 1 and wanted in {name for name, *_ in COMMANDS} - set(TOGETHER):
        if not one.is_first:
            time.sleep(GRACE_S)  # torchrun ends it when the first has spoken
        else:
            print(f"Error: {wanted} is for one process, not for {one.size} of torchrun's", file=sys.stderr)
        raise SystemExit(2)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"clfctl {__version__}")
        raise typer.Exit


def _program(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    pass
