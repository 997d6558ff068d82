"""Where trials are noted: Optuna's storages, their errors in sentences, and the signs of life of a trial."""

import sqlite3
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import (
    BaseStorage,
    JournalStorage,
    RDBStorage,
    RetryHeartbeatStaleTrialCallback,
)
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial
from sqlalchemy.exc import (
    ArgumentError,
    IntegrityError,
    InternalError,
    NoSuchModuleError,
    OperationalError,
    ProgrammingError,
    SQLAlchemyError,
)

from clfctl.errors import ClfctlError, UsageError, first_line
from clfctl.storage.files import explained, replace_file
from clfctl.tuning.folder import StudyFolder, is_file_storage, without_password

# Signs of life that are missed before a trial counts as dead.
N_MISSED = 3
# How often a trial whose process died is tried again.
N_RETRIES = 3
CONNECT_S = 10
# How long one process waits while others write into a file.
BUSY_S = 60
# After so long the lock of a journal is that of a process that was killed: it is held for milliseconds.
LOCK_S = 10
N_TRIES, RETRY_S = 5, 0.5
LOST_HINT = "nothing that was trained is lost: go on with the study when it is back"
_POSTGRESQL = ("postgresql://", "postgres://")
_SQLITE = "sqlite:///"
_IS_THERE = "already exists"


class StorageLostError(ClfctlError):
    """The storage of a study does not answer any more; what was trained is saved."""


# What libraries raise where a storage fails: no fault of a trial either, and neither is that of a disk.
OF_STORAGE = (SQLAlchemyError, StorageInternalError, OSError)


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

    Raises UsageError for an address that is none, or that nobody answers at, StorageLostError for a damaged file.
    """
    if is_file_storage(storage):
        assert folder is not None
        return _in_file(storage, folder.database(storage).resolve(), heartbeat_s)
    if "://" not in storage:
        hint = "use sqlite, journal, or an address such as postgresql://user@host/name"
        raise UsageError(f"{storage!r} is not an address", hint, field="storage")
    try:
        return _at_address(storage, heartbeat_s)
    except (NoSuchModuleError, ArgumentError, ImportError, ValueError, KeyError, IndexError) as error:
        hint = "Optuna takes what SQLAlchemy does: postgresql://user@host/name, mysql+pymysql://…"
        what = f"{without_password(storage)} is no address of a database that can be used here: {first_line(error)}"
        raise UsageError(what, hint, field="storage") from None
    except (SQLAlchemyError, StorageInternalError, OSError) as error:
        hint = "is the server up, the address right, and the password given (PGPASSWORD)?"
        what = f"no database answers at {without_password(storage)}: {_reason(error)}"
        raise UsageError(what, hint, field="storage") from None
    except RuntimeError as error:  # tables of another version
        what = f"the database at {without_password(storage)} cannot be used: {first_line(error)}"
        raise UsageError(what, "name another database, or another version of Optuna", field="storage") from None


def _in_file(kind: str, path: Path, heartbeat_s: int) -> BaseStorage:
    """Return the storage that a study has in its folder. Raises StorageLostError if the file cannot be used."""
    try:
        if kind == "journal":
            return JournalStorage(Journal(path))
        # SQLAlchemy would read `?` and `{n}` in a path as its own: the file is opened by its name.
        creator = partial(sqlite3.connect, path, check_same_thread=False, timeout=BUSY_S)
        return _database(f"{_SQLITE}{path.name}", heartbeat_s, {"creator": creator})
    except ClfctlError:
        raise
    except (OperationalError, OSError) as error:
        raise StorageLostError(f"{path} cannot be opened: {_reason(error)}", LOST_HINT) from None
    except Exception as error:  # a file of anyone's: there is no end of what libraries say about it
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> StorageLostError:
    hint = "move it away and go on with the study: trials whose runs are there are found again"
    return StorageLostError(f"{path} cannot be used: {_reason(error)}", hint)


class Journal(JournalFileBackend):
    """Optuna's journal, whose errors are sentences; what a full disk or a kill left of a line at its end is cut off."""

    def __init__(self, path: Path) -> None:
        # By its whole path, and as a file of its own: the other kind of lock is a link, which a study that is called by
        # a relative path would wait for without end once a process has left it behind.
        self._path, self._waited_for = path, JournalFileOpenLock(str(path), grace_period=LOCK_S)
        super().__init__(str(path), lock_obj=self._waited_for)
        self._waited_for.acquire()
        try:
            whole, end, rest = path.read_bytes().rpartition(b"\n")
            if rest:
                with explained(path):
                    replace_file(path, [whole + end])
        finally:
            self._waited_for.release()

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:  # type: ignore[override]  # a generator too
        """Yield what is noted. Raises StorageLostError for what is no journal."""
        try:
            yield from super().read_logs(log_number_from)
        except (OSError, ValueError) as error:
            raise _damaged(self._path, error) from None

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Note something. Raises StorageLostError if it cannot be written."""
        try:
            super().append_logs(logs)
        except OSError as error:
            raise StorageLostError(f"{self._path} cannot be written: {_reason(error)}", LOST_HINT) from None


def _at_address(url: str, heartbeat_s: int) -> RDBStorage:
    """Return a database. Two processes that are the first to come both make its tables: one of them tries again."""
    for start in _POSTGRESQL:
        if url.startswith(start):  # the driver that comes with the extra
            url = f"postgresql+psycopg://{url.removeprefix(start)}"
    options: dict[str, Any] = {}
    if url.startswith("postgresql"):
        # A connection that was cut between two trials is made again.
        options = {"connect_args": {"connect_timeout": CONNECT_S}, "pool_pre_ping": True}
    for _ in range(N_TRIES - 1):
        try:
            return _database(url, heartbeat_s, options)
        except (IntegrityError, ProgrammingError, InternalError):
            pass
        except OperationalError as error:  # SQLite's; of other databases it is that nobody answers
            if _IS_THERE not in str(error):
                raise
        time.sleep(RETRY_S)
    return _database(url, heartbeat_s, options)


def _database(url: str, heartbeat_s: int, options: dict[str, Any]) -> RDBStorage:
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
        raise StorageLostError(what, LOST_HINT) from None


def sign_of_life(storage: BaseStorage, trial_id: int) -> None:
    """Tell a database that a trial is alive; a journal does without."""
    if isinstance(storage, RDBStorage) and storage.heartbeat_interval:
        storage.record_heartbeat(trial_id)


def silence_s(trial: FrozenTrial) -> float:
    """Return the seconds since a trial was made, by this machine's clock."""
    return (datetime.now() - trial.datetime_start).total_seconds() if trial.datetime_start else 0.0


@contextmanager
def signs_of_life(storage: BaseStorage, trial_id: int) -> Iterator[None]:
    """Tell a database every few seconds that a trial is being trained, from a thread beside it."""
    if not isinstance(storage, RDBStorage) or not storage.heartbeat_interval:
        yield
        return
    done, interval_s = threading.Event(), storage.heartbeat_interval
    sign_of_life(storage, trial_id)

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
