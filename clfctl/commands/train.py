"""clfctl train: from settings to a run folder with a trained model; or, dry, to a look at what it would be."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from clfctl import api
from clfctl.commands.next_steps import summary
from clfctl.commands.resume import resume as go_on
from clfctl.display.output import Output
from clfctl.engine.check import check_training
from clfctl.engine.signals import stopping_at_once
from clfctl.planning.plan import keep_fitting
from clfctl.planning.quantities import LEARNING_RATE
from clfctl.planning.start import taken_over
from clfctl.planning.time_limit import within_time
from clfctl.runs.relaunch import run_to_go_on_with
from clfctl.schedules import sample_curve
from clfctl.settings.groups import TrainSettings
from clfctl.settings.sources import Resolved
from clfctl.storage.names import shell

if TYPE_CHECKING:
    from clfctl.engine.describe import GroupRow
    from clfctl.engine.session import Session

# Where the rate of a dry run comes from that training looks for.
TO_BE_FOUND = "to be found when training begins"


def train(resolved: Resolved[TrainSettings], output: Output) -> None:
    """Train a classifier; the run folder is made when everything that can be checked before is checked."""
    # torchrun starts the same command again when one of its processes has ended.
    if begun := run_to_go_on_with(resolved.settings.runs_dir):
        go_on(begun.path, resolved.settings.runs_dir, {}, output, allow_data_change=False)
        return
    with stopping_at_once("nothing was trained yet"):
        settings = within_time(taken_over(keep_fitting(resolved))).settings
        with api.begin(settings, output.onlookers()) as session:
            _train(session, output)


def _train(session: "Session", output: Output) -> None:
    from clfctl.display.watchers import watchers_for

    with stopping_at_once(f"go on with: {shell('resume', session.run.path)}"):
        output.note(*session.description(), *session.cautions())
        output.note(*summary(api.finish(session, watchers_for(output), output.onlookers())))


def dry_run(resolved: Resolved[TrainSettings], output: Output) -> None:
    """Check everything as train does, show settings with their sources, curve and model, and stop."""
    resolved = within_time(taken_over(keep_fitting(resolved)))
    settings = resolved.settings
    data, plan = check_training(settings, output.note)
    from clfctl.data.cache.make import describe_cache
    from clfctl.display.settings_table import print_dry_run
    from clfctl.engine.assemble import plan_of
    from clfctl.engine.describe import describe_parts, group_rows, warnings_of
    from clfctl.engine.estimate import estimate, with_estimates

    parts, chosen = estimate(settings, data, output.note)
    if chosen:
        resolved, plan = with_estimates(resolved, parts.settings), plan_of(parts)
        settings = resolved.settings
    if settings.find_lr:
        resolved = replace(resolved, origins={**resolved.origins, "lr": TO_BE_FOUND})
        what = "is found by a range test when training begins; clfctl lr-find shows it"
        chosen = [*chosen, f"Rate   `lr=` {what}. Until then the curve is that of {settings.lr:g}"]
    lines = [*warnings_of(plan), *describe_parts(parts), *chosen]
    lines += describe_cache(settings, data, parts.built.preprocess)
    curves = {LEARNING_RATE: sample_curve(plan.schedule, plan.base_lr, plan.epochs)}
    curves |= {each: sample_curve(moved.schedule, moved.base, plan.epochs) for each, moved in plan.moved().items()}
    rows = group_rows(parts, curves[LEARNING_RATE])
    output.result(
        json=lambda: [as_json(resolved, rows)],
        rich=lambda console: print_dry_run(console, resolved, curves, rows, lines, output.spelled),
    )


def as_json(resolved: Resolved[TrainSettings], rows: "Sequence[GroupRow]") -> dict[str, Any]:
    """Return all settings with their sources, and the param groups that they make of the model."""
    values = resolved.settings.model_dump(mode="json")
    made: dict[str, Any] = {name: {"value": value, "from": resolved.origins[name]} for name, value in values.items()}
    return made | {"param_groups": {"value": [asdict(row) for row in rows], "from": "the settings and the model"}}
