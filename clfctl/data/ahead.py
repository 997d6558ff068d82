"""Work that threads do ahead of whoever asks for its results. No torch here."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


def work_ahead(
    work: Callable[[Job], Result],
    jobs: Iterable[Job],
    *,
    workers: int,
    n_ahead: int,
    name: str,
    begin_thread: Callable[[], object] | None = None,
) -> Generator[Result, None, None]:
    """Yield what `work` makes of each job, in their order, while threads do the next ones.

    At most `n_ahead` jobs are taken and not yet yielded. `name` is what the threads are called, `begin_thread` runs
    first in each. Raises what `work` raises, when it is that job's turn.
    """
    rest = iter(jobs)
    pool = ThreadPoolExecutor(workers, f"clfctl-{name}", initializer=begin_thread)
    try:
        waiting = deque(pool.submit(work, job) for job in islice(rest, n_ahead))
        while waiting:
            done = waiting.popleft().result()
            waiting.extend(pool.submit(work, job) for job in islice(rest, 1))
            yield done
    finally:
        # Without waiting: a read that hangs must not keep a stop from happening.
        pool.shutdown(wait=False, cancel_futures=True)
