"""Work ahead comes in its order, no further ahead than allowed, and neither an error nor an end waits for the rest."""

import threading
import time
from collections.abc import Iterator

import pytest

from clfctl.data.ahead import work_ahead


def slow_double(n: int) -> int:
    time.sleep(0.01 * (n % 3))
    return 2 * n


@pytest.mark.parametrize(("n_jobs", "workers", "n_ahead"), [(0, 1, 1), (1, 4, 8), (20, 3, 5), (20, 4, 1)])
def test_results_come_in_order_and_no_further_ahead_than_allowed(n_jobs: int, workers: int, n_ahead: int) -> None:
    taken = 0

    def jobs() -> Iterator[int]:
        nonlocal taken
        for n in range(n_jobs):
            taken += 1
            yield n

    seen = []
    for result in work_ahead(slow_double, jobs(), workers=workers, n_ahead=n_ahead, name="test"):
        seen.append(result)
        assert taken <= len(seen) + n_ahead
    assert seen == [2 * n for n in range(n_jobs)]


def test_an_error_comes_in_its_turn_and_ends_it() -> None:
    def work(n: int) -> float:
        return 1 / (3 - n)

    results = work_ahead(work, range(100), workers=2, n_ahead=6, name="test")
    assert [next(results) for _ in range(3)] == [1 / 3, 1 / 2, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert list(results) == []


def test_an_end_waits_for_nothing() -> None:
    hangs = threading.Event()

    def work(n: int) -> int:
        return n if n == 0 else int(hangs.wait(30))

    results = work_ahead(work, range(8), workers=2, n_ahead=8, name="test")
    assert next(results) == 0
    started = time.perf_counter()
    results.close()
    assert time.perf_counter() - started < 5
    hangs.set()


def test_threads_have_the_name_and_begin_as_told() -> None:
    begun = []

    def begin() -> None:
        begun.append(threading.current_thread().name)

    work = work_ahead(
        lambda _: threading.current_thread().name, range(9), workers=2, n_ahead=4, name="test", begin_thread=begin
    )
    names = set(work)
    # A thread that found no work left has begun too.
    assert names <= set(begun)
    assert len(begun) <= 2
    assert all(name.startswith("clfctl-test") for name in names)
