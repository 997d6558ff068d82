"""The trials of a study, one after the other: chosen, trained and judged, until there are as many as were asked for."""

import math
import os
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from optuna import Study, Trial
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage, fail_stale_trials
from optuna.trial import FrozenTrial, TrialState

from clfctl.data.onlookers import Onlookers, no_bar
from clfctl.errors import (
    CheckpointError,
    ClfctlError,
    DataError,
    Interrupted,
    RunLockedError,
    WriteError,
    first_line,
)
from clfctl.evaluation.epoch_metrics import METRICS
from clfctl.runs.history import EpochResult
from clfctl.storage.lock import holder_of, locked, locked_in_turn
from clfctl.storage.names import shell
from clfctl.tuning.folder import Record, StudyFolder, is_file_storage
from clfctl.tuning.found import about, best_epoch
from clfctl.tuning.sampling import n_wanted, suggest
from clfctl.tuning.space import Space, Value
from clfctl.tuning.storage import OF_STORAGE, StorageLostError, answering, sign_of_life, signs_of_life, silence_s
from clfctl.tuning.training import (
    Judge,
    Outcome,
    OutOfTimeError,
    PrunedError,
    probe_run,
    train_run,
)
from clfctl.tuning.trial_settings import probe_of, training_of
from clfctl.tuning.trials import (
    MADE_OF,
    SURPLUS,
    counted,
    digest_of,
    epochs_of,
    n_trials,
    noted_of,
    spoken,
    twin_of,
)

# Errors that are no fault of a trial's settings: the next trial would meet them too.
ENDING = (Interrupted, WriteError, CheckpointError, RunLockedError, DataError, StorageLostError)
# So many trials in a row that cannot be trained end a study that has nothing else.
N_HOPELESS = 5
PAUSE_S = 0.5
WARNED = "Warning: "


class LostError(Interrupted):
    """Another process has taken a trial for dead, and tries it again."""


@dataclass
class Search:
    """A study that is worked on. `deadline_s` is on the clock of `time.monotonic`; infinite: no end."""

    folder: StudyFolder
    record: Record
    space: Space
    study: Study
    storage: BaseStorage
    to: Onlookers
    listens: bool
    deadline_s: float = math.inf
    _n_refused: int = field(default=0, init=False)
    _woken: set[int] = field(default_factory=set, init=False)
    _heard: set[str] = field(default_factory=set, init=False)

    @property
    def monitor(self) -> str:
        """The metric that trials are judged by."""
        return self.record.settings.monitor

    @property
    def n_wanted(self) -> int:
        """How many trials the study is to have."""
        settings = self.record.settings
        return n_wanted(settings.sampler, self.space, settings.trials)

    def to_the_end(self) -> bool:
        """Work on trials until there are enough, or the time is over; return whether there are enough.

        Raises Interrupted for a signal, and ClfctlError for what ends all of them; the study can go on afterwards.
        """
        while time.monotonic() < self.deadline_s:
            with ExitStack() as held:
                try:
                    trial = self._take(held)
                    if trial is None:
                        return True
                    self._work_on(trial)
                except OutOfTimeError:
                    break
                except LostError as error:
                    self.to.tell(str(error))
        return False

    def _take(self, held: ExitStack) -> Trial | None:
        """Return a trial to work on, whose lock `held` then has; None if all that are wanted have come to their end.

        Raises OutOfTimeError if the time is over before those of other processes have.
        """
        is_told = False
        while True:
            with answering(self.record.settings.storage), locked_in_turn(self.folder.lock("choice"), lambda _: None):
                trial = self._choose()
                if trial:
                    held.enter_context(locked(self.folder.lock(trial.number)))
                    return trial
                others = [each for each in self._all() if each.state == TrialState.RUNNING]
            if not others:
                return None
            if time.monotonic() >= self.deadline_s:
                raise OutOfTimeError("the time of the study is over", "", 0)
            if not is_told:
                self.to.tell(f"Waiting for {n_trials(len(others))} of other processes")
                is_told = True
            time.sleep(PAUSE_S)

    def _choose(self) -> Trial | None:
        """Return a trial of this folder whose process ended, or else a new one if one more is wanted."""
        for each in self._all():
            if each.state == TrialState.RUNNING and self._is_dead_here(each):
                sign_of_life(self.storage, each._trial_id)  # before another process takes it for dead too
                return Trial(self.study, each._trial_id)
        self._wake_nameless()
        fail_stale_trials(self.study)
        trials = counted(self._all())
        if len(trials) >= self.n_wanted and not any(each.state == TrialState.WAITING for each in trials):
            return None
        trial = self.study.ask()
        trial.set_user_attr("folder", self.record.id)
        trial.set_user_attr("run", str(self.folder.trial(trial.number).path))
        sign_of_life(self.storage, trial._trial_id)
        place = [each.number for each in counted(self._all())].index(trial.number)
        if place >= self.n_wanted:  # another machine was faster
            trial.set_user_attr(SURPLUS, True)
            self.study.tell(trial, state=TrialState.FAIL)
            return None
        return trial

    def _wake_nameless(self) -> None:
        """Let trials whose process ended in the moment in which they were made be taken for dead as others are.

        They never gave a sign of life, and Optuna goes by the last one: they get one, after which there is silence.
        """
        for each in self._all():
            is_nameless = each.state == TrialState.RUNNING and "run" not in each.user_attrs
            if is_nameless and each.number not in self._woken and silence_s(each) > self.record.settings.heartbeat:
                self._woken.add(each.number)
                sign_of_life(self.storage, each._trial_id)

    def _is_dead_here(self, trial: FrozenTrial) -> bool:
        folder = trial.user_attrs.get("folder", self.record.id if is_file_storage(self._storage_name) else "")
        return folder == self.record.id and holder_of(self.folder.lock(trial.number)) is None

    @property
    def _storage_name(self) -> str:
        return self.record.settings.storage

    def _all(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False)

    def _work_on(self, trial: Trial) -> None:
        """Train a trial and tell the study what came of it. Raises what ends the study, and LostError."""
        with answering(self._storage_name), signs_of_life(self.storage, trial._trial_id), _not_lost(trial):
            drawn = {each.name: each.value(suggest(trial, each)) for each in self.space}
            with self._reasons(trial):
                made_of = digest_of(self.record, drawn)
                if twin := twin_of(trial, made_of, self._all()):
                    self._note(trial, noted_of(twin))
                    self.study.tell(trial, twin.value, skip_if_finished=True)
                    self.to.tell(f"Trial {trial.number}: as trial {twin.number}, which had the same settings")
                    return
                self._note(trial, {MADE_OF: made_of})
                outcome = self._run(trial, drawn)
                best = best_epoch(outcome.history, self.monitor)
                if best is None:
                    raise ClfctlError(f"none of its epochs has a finite {self.monitor}")
                self._note(trial, about(outcome.history, outcome.n_val, self.monitor))
                self.study.tell(trial, best.metric(self.monitor), skip_if_finished=True)
                self._n_refused = 0
                self.to.tell(f"Trial {trial.number}: {self._words(best)} after {epochs_of(outcome)}; {spoken(drawn)}")

    @contextmanager
    def _reasons(self, trial: Trial) -> Iterator[None]:
        """Let a trial that is not worth going on with, or cannot be trained, end with its reason."""
        try:
            yield
        except UpdateFinishedTrialError:
            raise
        except PrunedError as error:
            self._end(trial, str(error))
        except ENDING as error:
            if type(error) is Interrupted:
                hint = f"go on with: {shell('tune', self.folder.path)}"
                where = error.message.removeprefix("Stopped ")
                raise Interrupted(f"Stopped trial {trial.number} {where}", hint, error.exit_code) from None
            raise
        except ClfctlError as error:
            self._end(trial, str(error))
            self._check_hope(error, error.hint)
        except OF_STORAGE:
            raise
        except Exception as error:  # of a library's or the user's own code: the study goes on without this trial
            self._end(trial, f"{type(error).__name__}: {first_line(error)}", TrialState.FAIL)
            self._check_hope(error, "CLFCTL_DEBUG=1 shows where it came from")

    def _check_hope(self, error: Exception, hint: str) -> None:
        """Raise ClfctlError where nothing but trials like this one came of the study."""
        self._n_refused += 1
        if os.environ.get("CLFCTL_DEBUG"):
            traceback.print_exception(error, file=sys.stderr)
        if self._n_refused >= N_HOPELESS and not any(each.state == TrialState.COMPLETE for each in self._all()):
            what = f"{self._n_refused} trials in a row could not be trained, the last because: {error}"
            raise ClfctlError(what, hint) from None

    def _end(self, trial: Trial, reason: str, state: TrialState = TrialState.PRUNED) -> None:
        self._note(trial, {"reason": reason})
        self.study.tell(trial, state=state, skip_if_finished=True)
        self.to.tell(f"Trial {trial.number}: {reason}")

    def _run(self, trial: Trial, drawn: dict[str, Value]) -> Outcome:
        run, quiet = self.folder.trial(trial.number), Onlookers(self._hear, no_bar)
        if self.record.settings.stage == "probe":
            return probe_run(probe_of(self.record, drawn, run.path), drawn, run, quiet)
        settings = training_of(self.record, drawn, run.path).settings
        history: list[EpochResult] = []

        def judge(result: EpochResult, is_last: bool) -> None:
            history.append(result)
            self._judge(trial, history, is_last=is_last)

        with self.to.bar(f"Trial {trial.number}", settings.epochs) as advance:
            return train_run(settings, drawn, run, [Judge(judge, advance)], quiet, listens=self.listens)

    def _hear(self, line: str) -> None:
        """Tell of a trial that a tracker is not written, once; all else is as in every trial."""
        if line.startswith(WARNED) and line not in self._heard:
            self._heard.add(line)
            self.to.tell(line)

    def _judge(self, trial: Trial, history: list[EpochResult], *, is_last: bool) -> None:
        """Report an epoch. Raises PrunedError or OutOfTimeError for a trial that is not to have another one now."""
        result = history[-1]
        value = result.metric(self.monitor)
        known = self.storage.get_trial(trial._trial_id).intermediate_values
        if math.isfinite(value) and result.epoch not in known:
            trial.report(value, result.epoch)
        if is_last:
            return
        if math.isfinite(value) and trial.should_prune():
            self._note(trial, about(history, 0, self.monitor))
            raise PrunedError(f"pruned after epoch {result.epoch}, with {self._words(result)}", "", 0)
        if time.monotonic() >= self.deadline_s:
            raise OutOfTimeError("the time of the study is over", "", 0)

    def _note(self, trial: Trial, noted: dict[str, Any]) -> None:
        for name, value in noted.items():
            trial.set_user_attr(name, value)

    def _words(self, result: EpochResult) -> str:
        value = result.metric(self.monitor)
        shown = f"{100 * value:.2f} %" if METRICS[self.monitor].kind == "share" else f"{value:.4f}"
        return f"{self.monitor} {shown}"


@contextmanager
def _not_lost(trial: Trial) -> Iterator[None]:
    """Turn what Optuna says of a trial that another process has ended meanwhile into LostError."""
    try:
        yield
    except UpdateFinishedTrialError:
        raise LostError(f"Trial {trial.number} was taken for dead, and is tried again.", "", 1) from None
