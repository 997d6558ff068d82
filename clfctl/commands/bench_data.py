"""clfctl bench-data: how many images/s training can be fed with, what limits it, and what to set."""

from importlib.util import find_spec
from pathlib import Path

from clfctl.bench.options import BenchOptions, as_training
from clfctl.bench.rows import NONE, LoaderRow
from clfctl.commands.write_config import check_config, check_folder, write_into
from clfctl.data.sources.names import RIVALS
from clfctl.data.sources.open import open_data
from clfctl.display.output import PICTURES, Output
from clfctl.engine.signals import stopping_at_once
from clfctl.errors import UsageError, nearest
from clfctl.models.sources import source_of
from clfctl.settings.groups import BenchSettings
from clfctl.settings.sources import Resolved, read_config


def bench_data(resolved: Resolved[BenchSettings], output: Output, options: BenchOptions) -> None:
    """Measure stages, loader, and model and other loaders if asked for; say what to set, and keep that if asked to."""
    settings = resolved.settings
    if options.show_batch:
        from clfctl.commands.show_batch import show_batch

        show_batch(as_training(settings), options.show_batch, output)
        return
    _check(settings, options)
    with stopping_at_once("What was measured until then is shown above."):
        data = open_data(settings, settings.seed, output.note)
        output.note(*(f"Note   {each}" for each in data.notes))
        # torch costs seconds: a misspelt folder or model is reported before.
        from clfctl.bench.run import run_bench

        found = run_bench(settings, data, output, options, with_model=resolved.origins["model"] != "default")
        if options.plot:
            found.plot(options.plot)
            output.note(f"Wrote {options.plot}")
        if options.write and found.advice:
            _keep(options.write, found.advice.row, output)


def _check(settings: BenchSettings, options: BenchOptions) -> None:
    source_of(settings.model)
    for name in options.against:
        if name not in RIVALS:
            hint = nearest(name, RIVALS) or f"there are: {', '.join(RIVALS)}"
            raise UsageError(f"{name!r} is not known", hint, field="against")
        _check_installed(name)
    if options.against and (settings.augment != "light" or settings.random_erasing):
        hint = "leave out `augment=` and `random_erasing=`"
        raise UsageError("compares a random crop and a flip only, which is `augment=light`", hint, field="against")
    if options.plot and options.plot.suffix.lower() not in PICTURES:
        hint = f"its name must end in {', '.join(PICTURES)}"
        raise UsageError(f"cannot tell the format from {options.plot}", hint, field="plot")
    if options.plot:
        check_folder(options.plot, "plot")
    if options.write:
        check_config(options.write)


def _check_installed(name: str) -> None:
    module, packages = RIVALS[name]
    try:
        found = find_spec(module)
    except ModuleNotFoundError:  # of the package that it would lie in
        found = None
    if found is None:
        raise UsageError(f"{name} is not installed", f"pip install {packages}", field="against")


def _keep(path: Path, row: LoaderRow, output: Output) -> None:
    """Put what is recommended into a file, and say what that changed."""
    values: dict[str, int | float | str] = {"workers": row.workers}
    if row.cache != NONE or (path.exists() and "cache" in read_config(path).values):
        values["cache"] = row.cache  # else the file need not say what is the default
    write_into(path, values, output)
