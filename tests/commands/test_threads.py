"""Threads that are left at the end of a command: none of them changes its exit code."""

import threading

import pytest

from clfctl.cli.reporting import leave_hanging_threads


def test_a_thread_that_was_never_begun_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler that raises inside `Thread.start` leaves the thread among those that there are."""
    ended: list[int] = []
    monkeypatch.setattr("os._exit", ended.append)
    thread = threading.Thread(target=print)
    monkeypatch.setattr("threading.enumerate", lambda: [threading.main_thread(), thread])
    leave_hanging_threads(130)
    assert ended == []
