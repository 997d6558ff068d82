"""What one server consists of, and how it answers a request for the classes of images."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import ClientDisconnect, Request

from clfctl.inference.prediction import Choice, Prediction
from clfctl.models.card import preprocess_as_json
from clfctl.serving.batches import Batches, Job
from clfctl.serving.current import Current, Tell
from clfctl.serving.numbers import Numbers
from clfctl.serving.refused import Refused
from clfctl.serving.uploads import Room, Upload, read_uploads, room_for
from clfctl.settings.serving import ServeSettings
from clfctl.version import __version__

# Between two looks at the model's file.
LOOK_S = 0.5
MOST_TOLD = 100
# Settings that whoever asks may know.
LIMITS = ("max_images", "max_megabytes", "max_megapixels", "max_waiting")


@dataclass
class Service:
    """A server: its model, its queue, its counters, and the memory that requests may take.

    `n_cut` is how many requests were accepted and not answered, because stopping took too long; `is_stopping` says
    whether it has begun to stop.
    """

    settings: ServeSettings
    current: Current
    batches: Batches
    numbers: Numbers
    room: Room
    tell: Tell
    n_cut: int = 0
    is_stopping: Callable[[], bool] = lambda: False
    _told: set[str] = field(default_factory=set)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Compute while entered, and look at the model's file now and then."""
        self._show_model()
        self.batches.start()
        looking = asyncio.create_task(self._look())
        try:
            yield
        finally:
            looking.cancel()
            with suppress(asyncio.CancelledError):
                await looking
            self.batches.stop()

    async def ask(self, request: Request, choice: Choice) -> tuple[list[Prediction], str]:
        """Return the predictions for the images of a request, and the mark of the model that made all of them.

        Raises Refused, ClfctlError if the model fails, and ClientDisconnect if nobody waits any more.
        """
        try:
            self.batches.check_room()  # before anything is read
            with self.room.held() as share:
                uploads = await read_uploads(request, self.settings, share)
                return await self._answered(request, uploads, choice)
        except asyncio.CancelledError:
            self.n_cut += 1
            raise
        except Refused as refused:
            if refused.full:
                self.numbers.refused.labels(refused.full).inc()
            raise

    async def _answered(
        self, request: Request, uploads: Sequence[Upload], choice: Choice
    ) -> tuple[list[Prediction], str]:
        jobs = self.batches.ask(uploads, choice)
        answers = asyncio.gather(*(job.answer for job in jobs))
        gone = asyncio.ensure_future(_gone(request))
        either: set[asyncio.Future[Any]] = {answers, gone}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not answers.done():
                raise ClientDisconnect
            found = answers.result()
        finally:
            gone.cancel()
            self._leave(jobs, answers)
        return found, jobs[0].loaded.mark

    def _leave(self, jobs: Sequence[Job], answers: "asyncio.Future[Any]") -> None:
        if not answers.done():
            self.batches.forget(jobs)
            answers.cancel()

    def trouble(self) -> str:
        """Return why requests are not answered, nothing if they are."""
        if self.is_stopping():
            return "stopping"
        return "" if self.batches.is_alive else "nothing computes"

    def newer_file(self) -> str:
        """Return what is wrong with a newer model than that which answers, nothing if there is none."""
        return "cannot be loaded" if self.current.problem else ""

    def about(self) -> dict[str, Any]:
        """Return what is told of the model that answers: nothing of where it lies."""
        loaded, settings = self.current.loaded, self.settings
        info = loaded.predictor.info
        return {
            "model": info.name,
            "mark": loaded.mark,
            "file": self.current.path.name,
            "classes": [*info.classes],
            "preprocess": [preprocess_as_json(view) for view in info.views],
            "computed_by": loaded.predictor.computed_by,
            "loaded_s": round(loaded.loaded_s, 3),
            "newer_file": self.newer_file(),
            "clfctl": __version__,
            "limits": {name: getattr(settings, name) for name in LIMITS},
            "top_k": settings.top_k,
            "threshold": settings.threshold,
        }

    def tell_once(self, text: str) -> None:
        """Say what went wrong inside, once: what a stranger causes must not fill a log."""
        if text not in self._told and len(self._told) < MOST_TOLD:
            self._told.add(text)
            self.tell(text)

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                is_loaded = await asyncio.to_thread(self.current.refresh)
            except Exception as error:  # it must go on looking
                self.tell_once(f"{self.current.path} was not looked at: {error}")
                continue
            if is_loaded is not None:
                self.numbers.loads.labels("loaded" if is_loaded else "failed").inc()
                self._show_model()

    def _show_model(self) -> None:
        loaded = self.current.loaded
        self.numbers.show_model(loaded.predictor.info.name, loaded.mark)


def make_service(current: Current, settings: ServeSettings, tell: Tell, n_cores: int) -> Service:
    """Return a server for a model."""
    numbers = Numbers()
    batches = Batches(current, settings, numbers, n_cores)
    return Service(settings, current, batches, numbers, room_for(settings), tell)


async def _gone(request: Request) -> None:
    """Return when whoever sent the request has left, or has its answer."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
