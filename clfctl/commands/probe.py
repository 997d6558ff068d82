"""clfctl probe: a classifier on frozen features, of one network or the best of several, as a run folder."""

from pathlib import Path
from shlex import quote

from clfctl.api.probing import run_probe
from clfctl.display.output import PICTURES, Output
from clfctl.engine.signals import stopping_at_once
from clfctl.errors import UsageError
from clfctl.settings.groups import ProbeSettings
from clfctl.settings.sources import Resolved
from clfctl.storage.names import shell


def probe(resolved: Resolved[ProbeSettings], plot: Path | None, output: Output) -> None:
    """Probe networks, print what was found, and write the best as a run folder."""
    if plot and plot.suffix.lower() not in PICTURES:
        raise UsageError(f"cannot tell the format from {plot}", f"end it in {' or '.join(PICTURES)}", field="plot")
    with stopping_at_once("the features that are complete are kept"):
        probing = run_probe(resolved.settings, output.onlookers())
        from clfctl.display.probe_table import plain_lines, print_table
        from clfctl.probing.found import record_of

        output.result(
            json=lambda: ({**record_of(each), "run": str(probing.run)} for each in probing.found),
            plain=lambda: plain_lines(probing.found),
            rich=lambda console: print_table(probing.found, console),
        )
        place, data = (quote(str(each)) for each in (probing.run, resolved.settings.data))
        onwards = f"clfctl train `start_from={place}` `data={data}` `recipe=probe-then-finetune`"
        commands = {
            shell("eval", probing.run): "accuracy on the validation images",
            f"{shell('predict', probing.run)} IMAGE...": "classes of images of your own",
            output.spelled(onwards): "train all of it from here",
        }
        width = max(map(len, commands))
        lines = (f"  {command.ljust(width)}  {about}" for command, about in commands.items())
        output.note(f"Run folder: {probing.run}", "Next:", *lines)
        if plot:  # the last: where it cannot be written, the run is there all the same
            from clfctl.display.probe_plot import save_probe_plot

            save_probe_plot(probing.found, plot)
            output.note(f"Wrote {plot}")
