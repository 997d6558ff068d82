"""clfctl branch: what would a run come to if it stopped now? A run of its own, while the other goes on."""

from pathlib import Path
from typing import TYPE_CHECKING

from clfctl.api.branching import begin_branch
from clfctl.commands.next_steps import summary
from clfctl.display.curve import format_lr
from clfctl.display.output import Output
from clfctl.engine.signals import stopping_at_once
from clfctl.runs.family import from_words, trunk_of
from clfctl.runs.folder import open_run
from clfctl.settings.branching import BranchSettings
from clfctl.storage.names import shell

if TYPE_CHECKING:
    from clfctl.engine.session import Session


def branch(path: Path, options: BranchSettings, output: Output, *, allow_data_change: bool) -> None:
    """Make a branch of a run and train it to its end."""
    trunk = open_run(path)
    with (
        stopping_at_once("nothing was trained yet"),
        begin_branch(trunk, options, output.onlookers(), allow_data_change=allow_data_change) as session,
    ):
        _train(session, output)


def _train(session: "Session", output: Output) -> None:
    from clfctl import api
    from clfctl.display.seam import seam_lines
    from clfctl.display.watchers import watchers_for

    trainer, reopened = session.trainer, session.reopened
    with stopping_at_once(f"go on with: {shell('resume', session.run.path)}"):
        output.note(*session.description(), *_about(session))
        if reopened:
            output.note(*seam_lines(trainer, reopened.old_plan, reopened.last_lr, output.width()))
        output.note(*session.cautions())
        output.note(*summary(api.finish(session, watchers_for(output), output.onlookers())))


def _about(session: "Session") -> list[str]:
    """Return what it is a branch of, and how its rate falls."""
    trunk, trainer = trunk_of(session.run), session.trainer
    if not trunk or not session.reopened:
        return []
    epochs = trainer.plan.epochs - trunk.t
    last = f"over {epochs:.4g} epochs, to the end of epoch {trainer.plan.epochs}"
    return [f"Branch {from_words(trunk)}: the learning rate falls from {format_lr(session.reopened.last_lr)} {last}"]
