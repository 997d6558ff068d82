"""clfctl tune: a study from its first trial to a table, pictures and a page; or one that goes on."""

from pathlib import Path
from typing import TYPE_CHECKING

from clfctl.api.tuning import opened, work_on
from clfctl.display.output import Output
from clfctl.engine.signals import stopping_at_once
from clfctl.errors import ClfctlError
from clfctl.settings.groups import TuneSettings
from clfctl.settings.sources import Resolved
from clfctl.storage.names import shell

if TYPE_CHECKING:
    from clfctl.data.onlookers import Onlookers
    from clfctl.tuning.study import Opened


def tune(study: Path | None, resolved: Resolved[TuneSettings], output: Output) -> None:
    """Work on a study, print what it found, and draw it; the folder is made when everything is checked."""
    to = output.onlookers()
    with stopping_at_once("nothing was tried yet"), opened(study, resolved, to) as found:
        _work(found, to, output)


def _work(found: "Opened", to: "Onlookers", output: Output) -> None:
    from clfctl.display.tune_plots import save_pictures
    from clfctl.display.tune_report import save_report
    from clfctl.display.tune_table import plain_lines, print_table, summary_record

    with stopping_at_once(f"go on with: {shell('tune', found.folder.path)}"):
        tuned = work_on(found, to, listens=True)
        output.result(
            json=lambda: (*(each.as_record() for each in tuned.trials), summary_record(tuned)),
            plain=lambda: map(output.spelled, plain_lines(tuned)),
            rich=lambda console: print_table(tuned, console, output.spelled),
        )
        save_pictures(tuned, found.space, found.folder)
        save_report(tuned, found.space, found.folder)
        output.note(f"Report: {found.folder.report}")
    if tuned.is_done and not tuned.best:
        reason = next((each.reason for each in tuned.trials if each.reason), "")
        raise ClfctlError(f"no trial of {found.folder.path} came to its end{f': {reason}' if reason else ''}", "")
