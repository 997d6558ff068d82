"""Where trials are noted: Optuna's storages, their errors in sentences, and the signs of life of a trial."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import (
    BaseStorage,
    JournalStorage,
    RDBStorage,
    RetryHeartbeatStaleTrialCallback,
)
from optuna.storages.journal import JournalFileBackend
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from clfctl.errors import ClfctlError, UsageError, first_line
from clfctl.tuning.folder import StudyFolder, is_file_storage, without_password

# Signs of life that are missed before a trial counts as dead.
N_MISSED = 3
# How often a trial whose process died is tried again.
N_RETRIES = 3
CONNECT_S = 10
_POSTGRESQL = ("postgresql://", "postgres://")


class StorageLostError(ClfctlError):
    """The storage of a study does not answer any more; what was trained is saved."""


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Keep Optuna from printing, and from warning of what is new in it."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            # It is meant for Optuna's own loop; here `signs_of_life` gives them.
            warnings.filterwarnings("ignore", "Heartbeat of storage is supposed to be used", UserWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)


def open_storage(storage: str, folder: StudyFolder | None, heartbeat_s: int) -> BaseStorage:
    """Return the storage of a setting; one that is a file lies in `folder`, which is there.

    Raises UsageError for an address that is none, or that nobody answers at.
    """
    if storage == "journal":
        assert folder is not None
        return JournalStorage(JournalFileBackend(str(folder.database(storage))))
    if is_file_storage(storage):
        assert folder is not None
        return _database(f"sqlite:///{folder.database(storage)}", heartbeat_s)
    if "://" not in storage:
        hint = "use sqlite, journal, or an address such as postgresql://user@host/name"
        raise UsageError(f"{storage!r} is not an address", hint, field="storage")
    try:
        return _database(storage, heartbeat_s)
    except (NoSuchModuleError, ArgumentError, ImportError, ValueError) as error:
        hint = "Optuna takes what SQLAlchemy does: postgresql://user@host/name, mysql+pymysql://…"
        what = f"{without_password(storage)} is no address of a database that can be used here: {first_line(error)}"
        raise UsageError(what, hint, field="storage") from None
    except (SQLAlchemyError, StorageInternalError, OSError) as error:
        hint = "is the server up, the address right, and the password given (PGPASSWORD)?"
        what = f"no database answers at {without_password(storage)}: {_reason(error)}"
        raise UsageError(what, hint, field="storage") from None


def _database(url: str, heartbeat_s: int) -> RDBStorage:
    options: dict[str, Any] = {}
    for start in _POSTGRESQL:
        if url.startswith(start):  # the driver that comes with the extra
            url = f"postgresql+psycopg://{url.removeprefix(start)}"
    if url.startswith("postgresql"):
        # A connection that was cut between two trials is made again.
        options = {"connect_args": {"connect_timeout": CONNECT_S}, "pool_pre_ping": True}
    return RDBStorage(
        url,
        engine_kwargs=options,
        heartbeat_interval=heartbeat_s,
        grace_period=N_MISSED * heartbeat_s,
        heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(max_retry=N_RETRIES),
    )


def _reason(error: BaseException) -> str:
    """Return the first line of what the driver said, without SQLAlchemy's lines around it."""
    cause = getattr(error, "orig", None) or error.__cause__ or error
    return first_line(getattr(cause, "orig", None) or cause)


@contextmanager
def answering(storage: str) -> Iterator[None]:
    """Turn errors of a storage that was there at first into a sentence. Raises StorageLostError."""
    try:
        yield
    except (SQLAlchemyError, StorageInternalError) as error:
        what = f"the storage of the study, {without_password(storage)}, failed: {_reason(error)}"
        raise StorageLostError(what, "nothing that was trained is lost: go on with the study when it is back") from None


@contextmanager
def signs_of_life(storage: BaseStorage, trial_id: int) -> Iterator[None]:
    """Tell a database every few seconds that a trial is being trained, from a thread beside it."""
    if not isinstance(storage, RDBStorage) or not storage.heartbeat_interval:
        yield
        return
    done, interval_s = threading.Event(), storage.heartbeat_interval
    storage.record_heartbeat(trial_id)

    def beat() -> None:
        while not done.wait(interval_s):
            with suppress(Exception):  # a database that is away for a while may be back for the next one
                storage.record_heartbeat(trial_id)

    thread = threading.Thread(target=beat, name="signs of life", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(CONNECT_S)
