"""Where trials are noted: files that are damaged, of others, or half written; odd names; secrets of addresses."""

import sqlite3
from pathlib import Path

import optuna
import pytest
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from sqlalchemy.exc import IntegrityError

from clfctl.errors import UsageError
from clfctl.tuning import storage as storage_module
from clfctl.tuning.folder import StudyFolder, without_password
from clfctl.tuning.storage import StorageLostError, answering, open_storage, quiet_optuna


def noted(kind: str, folder: StudyFolder) -> list[int]:
    """Note one more trial; return the numbers of all."""
    with quiet_optuna(), answering(kind):
        study = optuna.create_study(storage=open_storage(kind, folder, 30), study_name="s", load_if_exists=True)
        study.tell(study.ask(), state=TrialState.FAIL)
        return [each.number for each in study.trials]


@pytest.mark.parametrize("kind", ["sqlite", "journal"])
def test_any_name_of_a_folder_will_do(kind: str, tmp_path: Path) -> None:
    name = "-n größe 🐱 {n} 50% off what?x=1#y 'quoted\""
    (tmp_path / name).mkdir()
    folder = StudyFolder(tmp_path / name)
    assert noted(kind, folder) == [0]
    assert noted(kind, folder) == [0, 1]
    assert folder.database(kind).stat().st_size > 0


DAMAGED = [
    ("sqlite", b"this is not a database, but a text that is long enough to be taken for one" * 20),
    ("sqlite", b"SQLite format 3\0" + bytes(2000)),
    ("journal", b"not JSON\nand no journal\n"),
    ("journal", b"[1, 2]\n{}\n"),
    ("journal", b"\xff\xfe\n\n"),
    ("journal", b'{"op_code": 99, "worker_id": "x"}\n'),
]


@pytest.mark.parametrize(("kind", "content"), DAMAGED, ids=str)
def test_a_damaged_file_is_named_and_left_as_it_is(kind: str, content: bytes, tmp_path: Path) -> None:
    path = StudyFolder(tmp_path).database(kind)
    path.write_bytes(content)
    with pytest.raises(StorageLostError, match=path.name) as caught:
        noted(kind, StudyFolder(tmp_path))
    assert "move it away" in caught.value.hint
    assert path.read_bytes() == content


def test_a_database_of_something_else_is_no_study(tmp_path: Path) -> None:
    path = StudyFolder(tmp_path).database("sqlite")
    with sqlite3.connect(path) as mine:
        mine.execute("create table studies (name text)")
    mine.close()
    with pytest.raises(StorageLostError, match="sqlite, failed: table studies has no column"):
        noted("sqlite", StudyFolder(tmp_path))


def test_a_folder_in_the_place_of_the_file_is_said(tmp_path: Path) -> None:
    for kind in ("sqlite", "journal"):
        StudyFolder(tmp_path).database(kind).mkdir()
        with pytest.raises(StorageLostError, match="study"):
            noted(kind, StudyFolder(tmp_path))


@pytest.mark.parametrize("half", [b'{"op_code": 4, "wor', b"\xf0\x9f"])
def test_half_a_line_of_a_journal_is_none_and_the_next_is_whole(half: bytes, tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    assert noted("journal", folder) == [0]
    path = folder.database("journal")
    path.write_bytes(path.read_bytes() + half)
    assert noted("journal", folder) == [0, 1]
    assert noted("journal", folder) == [0, 1, 2]
    assert half not in path.read_bytes()


@pytest.mark.slow
def test_the_lock_of_a_journal_that_a_killed_process_left_is_taken_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Also where the study is called by a relative path, by which the lock of the other kind would be waited for."""
    monkeypatch.setattr(storage_module, "LOCK_S", 3)
    Path("runs/s").mkdir(parents=True)
    folder = StudyFolder(Path("runs/s"))
    assert noted("journal", folder) == [0]
    Path("runs/s/study.journal.lock").touch()
    assert noted("journal", folder) == [0, 1]


def test_tables_that_another_process_is_making_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two that come first both make them; PostgreSQL refuses one of the two."""
    tries, real = list[int](), RDBStorage.__init__

    def first_fails(self: RDBStorage, *values: object, **named: object) -> None:
        tries.append(1)
        if len(tries) == 1:
            raise IntegrityError("create table studies", {}, Exception("it exists"))
        real(self, *values, **named)  # type: ignore[arg-type]  # what it was called with

    monkeypatch.setattr(RDBStorage, "__init__", first_fails)
    monkeypatch.setattr(storage_module, "RETRY_S", 0)
    with quiet_optuna():
        open_storage("sqlite:///new.db", None, 30)
    assert len(tries) == 2


SECRETS = [
    ("postgresql://me:secret@host:5432/name", "postgresql://me@host:5432/name"),
    ("postgresql://me:se#cret@host/db", "postgresql://me@host/db"),
    ("postgresql://me:se/cret@host/db", "postgresql://me@host/db"),
    ("postgresql://me:se?cret@host/db", "postgresql://me@host/db"),
    ("postgresql://me:se%40cret@host/db", "postgresql://me@host/db"),
    ("postgresql://host/db?user=me&password=secret", "postgresql://host/db?user=me"),
    ("mysql+pymysql://me:secret@host/db?ssl_key_password=secret", "mysql+pymysql://me@host/db"),
    ("postgresql://me:se@cret@host/db", None),
    ("postgresql://me:secret@host:port/db", "postgresql://…"),
]


@pytest.mark.parametrize(("url", "shown"), SECRETS, ids=str)
def test_no_secret_of_an_address_is_shown(url: str, shown: str | None) -> None:
    found = without_password(url)
    assert "cret" not in found
    assert shown is None or found == shown
    assert without_password(found) == found


@pytest.mark.parametrize("plain", ["sqlite", "journal", "sqlite:///a b.db", "postgresql://me@host/name", "", "x"])
def test_an_address_without_one_stays_as_it_is(plain: str) -> None:
    assert without_password(plain) == plain


@pytest.mark.parametrize(
    "address", ["sqlite:///{n}.db", "postgresql://[::1", "://", "sqlite:///missing/x.db", "a b://c"]
)
def test_an_address_that_is_none_is_a_sentence(address: str) -> None:
    with quiet_optuna(), pytest.raises(UsageError) as caught:
        open_storage(address, None, 30)
    assert caught.value.field == "storage"
