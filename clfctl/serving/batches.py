"""Batches of what arrives within a few milliseconds: a queue with an end, and threads that decode and compute."""

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from clfctl.errors import ClfctlError, ModelError, first_line
from clfctl.inference.prediction import Choice, Prediction, choose
from clfctl.inference.predictor import Predictor, Seen
from clfctl.inference.sent_images import MILLION
from clfctl.serving.current import Current, Loaded
from clfctl.serving.images import read_upload
from clfctl.serving.numbers import Numbers
from clfctl.serving.refused import try_later
from clfctl.serving.uploads import Upload
from clfctl.settings.serving import ServeSettings

# How much the latest batch counts in the mean time of an image, from which the wait is told.
NEWEST = 0.1
LONGEST_WAIT_S = 60
STOP_S = 1.0


@dataclass(eq=False)
class Job:
    """An image that waits for its answer, by the model that was loaded when its request came."""

    upload: Upload
    choice: Choice
    loaded: Loaded
    answer: "asyncio.Future[Prediction]"
    came_s: float = field(default_factory=time.monotonic)
    is_wanted: bool = True


class Batches:
    """The queue and its threads. `ask` and `forget` are for the thread of the event loop that it was started in."""

    def __init__(self, current: Current, settings: ServeSettings, numbers: Numbers, n_cores: int) -> None:
        self.current, self.settings, self.numbers = current, settings, numbers
        # Two at least, so that one decodes while the other computes.
        self.n_threads = max(min(2, n_cores), n_cores // settings.threads)
        self._changed = threading.Condition()
        self._waiting: deque[Job] = deque()
        self._n_free = 0
        self._is_closed = False
        self._image_s = 0.0
        # Torch computes one batch at a time, with as many threads as it likes.
        self._alone = ThreadPoolExecutor(1, "clfctl-compute")
        self._threads: list[threading.Thread] = []
        numbers.watch_queue(lambda: len(self._waiting))

    def start(self) -> None:
        """Start the threads; their answers go to the running event loop."""
        self._loop = asyncio.get_running_loop()
        for number in range(self.n_threads):
            thread = threading.Thread(target=self._work, name=f"clfctl-serve-{number}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """End the threads once they have answered all that waits."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(STOP_S)
        self._alone.shutdown(wait=False, cancel_futures=True)

    @property
    def is_alive(self) -> bool:
        """Whether there is a thread that computes what comes."""
        return not self._is_closed and self.is_busy

    @property
    def is_busy(self) -> bool:
        """Whether a thread has not ended; after `stop` it computes what takes too long."""
        return any(each.is_alive() for each in self._threads)

    def check_room(self, n: int = 1) -> None:
        """Raise Refused if so many images would not find room."""
        if len(self._waiting) + n > self.settings.max_waiting:
            raise try_later("queue", f"{len(self._waiting)} images are waiting already", self.wait_s())

    def wait_s(self) -> int:
        """Return in how many seconds what waits now will be answered, from 1 on."""
        left_s = len(self._waiting) * self._image_s / self.n_threads
        return min(max(1, math.ceil(left_s)), LONGEST_WAIT_S)

    def ask(self, uploads: Sequence[Upload], choice: Choice) -> list[Job]:
        """Put the images of a request into the queue. Raises Refused if there is no room for all of them."""
        self.check_room(len(uploads))
        loaded = self.current.loaded
        jobs = [Job(each, choice, loaded, self._loop.create_future()) for each in uploads]
        with self._changed:
            self._waiting.extend(jobs)
            self._changed.notify(len(jobs))
        return jobs

    def forget(self, jobs: Sequence[Job]) -> None:
        """Take images out of the queue that nobody waits for any more."""
        with self._changed:
            for job in jobs:
                job.is_wanted = False
            self._waiting = deque(job for job in self._waiting if job.is_wanted)

    def _work(self) -> None:
        prepared: Predictor | None = None
        while batch := self._take():
            predictor, started_s = batch[0].loaded.predictor, time.monotonic()
            found: Sequence[Prediction | ClfctlError]
            try:
                if predictor is not prepared:
                    predictor.begin_thread()
                    prepared = predictor
                found = self._answers(predictor, batch)
            except Exception as error:  # the thread must live on
                failed = (
                    error if isinstance(error, ClfctlError) else ModelError(f"the model fails: {first_line(error)}")
                )
                found = [failed for _ in batch]
            self._note(found, time.monotonic() - started_s)
            with suppress(RuntimeError):  # the loop has ended before: nobody waits
                self._loop.call_soon_threadsafe(_give, batch, found)

    def _note(self, found: "Sequence[Prediction | ClfctlError]", took_s: float) -> None:
        """Note how long a batch took."""
        with self._changed:
            self._image_s += (NEWEST if self._image_s else 1) * (took_s / len(found) - self._image_s)
        self.numbers.add_batch(found, took_s)

    def _take(self) -> list[Job]:
        """Return the images to compute next: what came within a few milliseconds, shared among the free threads.

        They are all for the same model. None at the end.
        """
        with self._changed:
            self._n_free += 1
            try:
                while not self._is_due():
                    if self._is_closed and not self._waiting:
                        return []
                    self._changed.wait(self._left_s())
                n = min(math.ceil(len(self._waiting) / self._n_free), self._most())
                batch = [self._waiting.popleft()]
                while len(batch) < n and self._waiting[0].loaded is batch[0].loaded:
                    batch.append(self._waiting.popleft())
                if self._waiting:
                    self._changed.notify()  # it may have been this thread that was woken for them
                return batch
            finally:
                self._n_free -= 1

    def _most(self) -> int:
        return self.settings.max_batch or self._waiting[0].loaded.predictor.batch_size

    def _is_due(self) -> bool:
        if not self._waiting:
            return False
        return self._is_closed or len(self._waiting) >= self._most() * self._n_free or self._left_s() == 0

    def _left_s(self) -> float | None:
        """Return how long the first in the queue may still wait for others; None if there is none."""
        if not self._waiting:
            return None
        return max(0.0, self._waiting[0].came_s + self.settings.batch_wait_ms / 1000 - time.monotonic())

    def _answers(self, predictor: Predictor, batch: Sequence[Job]) -> "list[Prediction | ClfctlError]":
        """Return a prediction for each image, or why there is none. Raises whatever a model raises."""
        max_pixels = self.settings.max_megapixels * MILLION
        read = [read_upload(job.upload.content, predictor, max_pixels) for job in batch]
        images = [each for each in read if not isinstance(each, str)]
        rows: Iterator[NDArray[np.float32]] = iter(())
        if images:
            found, expected = self._probabilities(predictor, images), (len(images), len(predictor.info.classes))
            if found.shape != expected:
                raise ModelError(f"the model's answers are {found.shape}, and not {expected}")
            rows = iter(found)
        return [
            Prediction(job.upload.name, error=each) if isinstance(each, str) else _prediction(job, next(rows))
            for job, each in zip(batch, read, strict=True)
        ]

    def _probabilities(self, predictor: Predictor, images: list[Seen]) -> NDArray[np.float32]:
        if predictor.is_parallel:
            return predictor.probabilities(images)
        return self._alone.submit(predictor.probabilities, images).result()


def _prediction(job: Job, probabilities: NDArray[np.float32]) -> "Prediction | ClfctlError":
    if not np.isfinite(probabilities).all():
        return ModelError("the model's answer is not finite")
    return Prediction(job.upload.name, choose(probabilities, job.loaded.predictor.info.classes, job.choice))


def _give(batch: Sequence[Job], found: "Sequence[Prediction | ClfctlError]") -> None:
    for job, each in zip(batch, found, strict=True):
        if job.answer.done():  # who asked has left
            continue
        if isinstance(each, ClfctlError):
            job.answer.set_exception(each)
        else:
            job.answer.set_result(each)
