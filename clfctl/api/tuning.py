"""The library's face of a search for settings; see `clfctl.api`."""

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clfctl.api.notes import Notes
from clfctl.errors import UsageError
from clfctl.settings.groups import TuneSettings
from clfctl.settings.sources import Resolved, from_fields
from clfctl.storage.names import shell

if TYPE_CHECKING:
    from clfctl.data.onlookers import Onlookers
    from clfctl.tuning.found import Tuned
    from clfctl.tuning.study import Opened

NEEDED = ("optuna", "cmaes")


def tune(
    study: Path | str | None = None,
    *,
    search: Mapping[str, Any] | Sequence[str] | None = None,
    stop_signals: bool = False,
    **fields: Any,
) -> "Tuned":
    """Search for settings: train one run after another, each with settings that are chosen by how the others went.

    `search` has what is searched by name: `{"lr": "1e-5..1e-2:log", "batch_size": [16, 32]}`, or the same as texts, or
    the name of a TOML file; without it, what is worth a search for that kind of training. `fields` are those of a
    study (`trials=30, sampler="tpe", pruner="median", storage="sqlite", confirm=3, time="2h"`) and the settings that
    all trials share. With the folder of a `study` it goes on with that one. With `stop_signals`, SIGINT, SIGTERM and
    SIGHUP stop it with the running trial saved, and raise Interrupted.
    """
    notes = Notes()
    resolved = from_fields(TuneSettings, {"search": search, **fields})
    with opened(None if study is None else Path(study), resolved, notes.onlookers()) as found:
        tuned = work_on(found, notes.onlookers(), listens=stop_signals)
    return replace(tuned, notes=tuple(notes.lines))


@contextmanager
def opened(study: Path | None, resolved: Resolved[TuneSettings], to: "Onlookers") -> Iterator["Opened"]:
    """Check all that can be checked, and yield a study: a new one, or that of a folder. Raises ClfctlError."""
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        raise UsageError(f"a search needs the package {missing[0]}", "install it with: pip install 'clfctl[tune]'")
    _check_parent(resolved.settings.write)
    from clfctl.tuning.asking import changes_of, new_record
    from clfctl.tuning.folder import StudyFolder

    folder = None if study is None else StudyFolder(study)
    changes = changes_of(folder, resolved) if folder else None
    record = None if folder else new_record(resolved)
    from clfctl.engine.as_it_was import as_it_was
    from clfctl.tuning.storage import quiet_optuna
    from clfctl.tuning.study import begin_study, go_on_with

    with as_it_was(resolved.settings.device), quiet_optuna():
        found = go_on_with(folder, None, changes) if folder else begin_study(record) if record else None
        assert found is not None
        to.tell(f"Study  {found.folder.path}: {', '.join(found.record.space)}")
        yield found


def work_on(found: "Opened", to: "Onlookers", *, listens: bool) -> "Tuned":
    """Work on the trials of a study, confirm the best, write its settings, and return what was found."""
    from clfctl.storage.files import write_text
    from clfctl.tuning.result import best_toml, result_of
    from clfctl.tuning.sampling import n_wanted
    from clfctl.tuning.study import confirm, search_in

    is_done = search_in(found, to, listens=listens)
    tuned, settings = replace(result_of(found), is_done=is_done), found.record.settings
    if not is_done:
        n, wanted = tuned.n("complete") + tuned.n("pruned"), n_wanted(settings.sampler, found.space, settings.trials)
        to.tell(f"The time is over after {n} of {wanted} trials; go on with: {shell('tune', tuned.study)}")
    elif tuned.best:
        tuned = replace(tuned, confirmed=confirm(found, tuned.best, to, listens=listens))
    if settings.write:
        if not tuned.best:
            to.tell(f"No trial came to its end, so that {settings.write} was not written.")
            return tuned
        write_text(settings.write, best_toml(found, tuned.best))
        to.tell(f"Wrote {settings.write}; train with it: clfctl train `config={settings.write}`")
    return tuned


def _check_parent(path: Path | None) -> None:
    if path and not path.parent.is_dir():
        raise UsageError(f"{path.parent} is not a folder", "make it first", field="write")
