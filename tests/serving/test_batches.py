"""Requests that wait and are computed together, each by one model, and models that fail them."""

import asyncio
import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from clfctl.data.pixels.decode import Picture
from clfctl.inference.predictor import Seen
from clfctl.serving.current import Current, Loaded
from tests.serving.colours import colours_model, files, picture
from tests.serving.conftest import asking, service_of


class Slow:
    """A model that computes when it is told to; it notes how many images it was asked about at once."""

    def __init__(self, loaded: Loaded) -> None:
        self.inner = loaded.predictor
        self.info, self.title, self.computed_by = self.inner.info, self.inner.title, self.inner.computed_by
        self.is_parallel, self.batch_size = False, 4
        self.may_go = threading.Event()
        self.batches: list[int] = []

    def begin_thread(self) -> None:
        self.inner.begin_thread()

    def look(self, image: Picture) -> Seen:
        return self.inner.look(image)

    def probabilities(self, images: Sequence[Seen]) -> NDArray[np.float32]:
        self.batches.append(len(images))
        assert self.may_go.wait(10)
        return self.inner.probabilities(images)


def test_a_full_queue_says_when_to_come_again_and_loses_nothing(colours: Path) -> None:
    service = service_of(colours, max_waiting=8, max_images=4, max_batch=4)
    slow = Slow(service.current.loaded)
    service.current.loaded = Loaded(slow, "slow", 0.0)

    async def ask(client: httpx.AsyncClient) -> tuple[list[httpx.Response], httpx.Response]:
        async def one() -> httpx.Response:
            return await client.post("/predict", content=picture("red"))

        first = [asyncio.create_task(one()) for _ in range(30)]
        while not any(each.done() for each in first):
            await asyncio.sleep(0.01)
        health = await client.get("/health")
        slow.may_go.set()
        return await asyncio.gather(*first), health

    answers, health = asking(service, ask)
    by_status = {code: [each for each in answers if each.status_code == code] for code in (200, 429)}
    assert health.status_code == 200
    assert sum(map(len, by_status.values())) == 30
    assert len(by_status[200]) >= 8
    assert all(int(each.headers["retry-after"]) >= 1 for each in by_status[429])
    assert service.numbers.refused.labels("queue")._value.get() == len(by_status[429]) > 0
    assert all(each.json()["predictions"][0]["class"] == "red" for each in by_status[200])
    assert max(slow.batches) == 4
    assert sum(slow.batches) == len(by_status[200])


def test_what_comes_together_is_computed_together(colours: Path) -> None:
    service = service_of(colours, max_batch=8, batch_wait_ms=1000)
    slow = Slow(service.current.loaded)
    service.current.loaded = Loaded(slow, "slow", 0.0)

    async def ask(client: httpx.AsyncClient) -> str:
        asked = [asyncio.create_task(client.post("/predict", content=picture("red"))) for _ in range(16)]
        while not slow.batches or service.batches._waiting:
            await asyncio.sleep(0.001)
        slow.may_go.set()  # not before both threads have taken what they take: one could come back for the other's
        await asyncio.gather(*asked)
        return (await client.get("/metrics")).text

    # Two threads share what came.
    assert re.search(r"^clfctl_batch_images_count 2\.0$", asking(service, ask), re.MULTILINE)
    assert slow.batches == [8, 8]


def test_a_model_that_fails_fails_its_requests_alone(colours: Path) -> None:
    said: list[str] = []
    service = service_of(colours, said)
    good = service.current.loaded

    class Broken(Slow):
        def probabilities(self, images: Sequence[Seen]) -> NDArray[np.float32]:
            raise RuntimeError("/secret/path is broken")

    async def ask(client: httpx.AsyncClient) -> list[httpx.Response]:
        service.current.loaded = Loaded(Broken(good), "broken", 0.0)
        failed = [await client.post("/predict", content=picture("red")) for _ in range(3)]
        service.current.loaded = good
        return [*failed, await client.post("/predict", content=picture("red"))]

    answers = asking(service, ask)
    assert [each.status_code for each in answers] == [500, 500, 500, 200]
    assert "/secret" not in "".join(each.text for each in answers)
    assert len(said) == 1
    assert "/secret/path is broken" in said[0]


@pytest.mark.parametrize("fault", ["columns", "rows", "nan", "thread"])
def test_answers_that_do_not_fit_fail_their_requests_alone(colours: Path, fault: str) -> None:
    service = service_of(colours)
    good = service.current.loaded

    class Odd(Slow):
        def begin_thread(self) -> None:
            if fault == "thread":
                raise RuntimeError("no thread for this")

        def probabilities(self, images: Sequence[Seen]) -> NDArray[np.float32]:
            shape = {"columns": (len(images), 5), "rows": (0, 3)}.get(fault, (len(images), 3))
            return np.full(shape, np.nan if fault == "nan" else 0.1, np.float32)

    async def ask(client: httpx.AsyncClient) -> tuple[list[httpx.Response], bool]:
        service.current.loaded = Loaded(Odd(good), "odd", 0.0)
        n = service.batches.n_threads + 2
        failed = [await asyncio.wait_for(client.post("/predict", content=picture("red")), 10) for _ in range(n)]
        service.current.loaded = good
        alive = all(each.is_alive() for each in service.batches._threads)
        return [*failed, await client.post("/predict", content=picture("red"))], alive

    answers, alive = asking(service, ask)
    assert [each.status_code for each in answers] == [500] * (len(answers) - 1) + [200]
    assert alive


def test_all_images_of_a_request_are_answered_by_one_model(colours: Path, tmp_path: Path) -> None:
    service = service_of(colours, max_batch=1)
    slow = Slow(service.current.loaded)
    service.current.loaded = Loaded(slow, "old", 0.0)
    path = tmp_path / "new.onnx"
    path.write_bytes(colours_model(("rot", "gruen", "blau")))

    async def ask(client: httpx.AsyncClient) -> list[Any]:
        first = asyncio.create_task(client.post("/predict", files=files(*[("a", picture("red"))] * 6)))
        while not slow.batches:
            await asyncio.sleep(0.001)
        service.current.loaded = Current(path, 1, print).loaded
        second = asyncio.create_task(client.post("/predict", content=picture("red")))
        await asyncio.sleep(0.01)
        slow.may_go.set()
        return [each.json() for each in await asyncio.gather(first, second)]

    first, second = asking(service, ask)
    assert first["mark"] == "old"
    assert [each["class"] for each in first["predictions"]] == ["red"] * 6
    assert [each["class"] for each in second["predictions"]] == ["rot"]
    assert second["mark"] != "old"
