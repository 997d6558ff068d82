"""A model that needs no training, and a server that runs in the test's own process."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from clfctl.serving.app import make_app
from clfctl.serving.current import Current
from clfctl.serving.service import Service, make_service
from clfctl.settings.serving import ServeSettings
from tests.serving.colours import colours_model

T = TypeVar("T")
Ask = Callable[[httpx.AsyncClient], Awaitable[T]]


@pytest.fixture(scope="session")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("colours") / "model.onnx"
    path.write_bytes(colours_model())
    return path


def service_of(path: Path, said: list[str] | None = None, **settings: Any) -> Service:
    """Return a server of a model in this process; what it says is added to `said`."""
    tell = (list[str]() if said is None else said).append
    stated = ServeSettings(**settings)
    return make_service(Current(path, stated.threads, tell), stated, tell, 2)


def asking(service: Service, ask: Ask[T]) -> T:
    """Run a server while its client asks; return what the client returns."""

    async def run() -> T:
        app = make_app(service)
        transport = httpx.ASGITransport(app)
        async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://x") as to:
            return await ask(to)

    return asyncio.run(run())
