"""The addresses of the server, for FastAPI: what is asked, what is answered, and how each is described."""

import hmac
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clfctl.display.predictions import record_of
from clfctl.errors import ClfctlError, shortened
from clfctl.inference.prediction import Choice
from clfctl.serving.connections import LOST
from clfctl.serving.numbers import OTHER
from clfctl.serving.page import page
from clfctl.serving.refused import Refused
from clfctl.serving.service import Service
from clfctl.storage.json_lines import dump_json
from clfctl.version import __version__

ABOUT = "Names the classes of the images that are sent to it."
BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"image": {"type": "array", "items": {"type": "string", "format": "binary"}}},
                }
            },
            "image/*": {"schema": {"type": "string", "format": "binary"}},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}
# What the numbers of an address may be.
ALLOWED = {"top_k": "a whole number, 1 or more", "threshold": "a number from 0 to 1"}
PATHS = ("/predict", "/health", "/model", "/metrics", "/docs", "/openapi.json")
# The page has no script, style or picture from elsewhere, and no other site may show it in a frame.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; "
POLICY += "img-src blob: data:; frame-ancestors 'none'"
SAFE = ((b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"))


class Answer(BaseModel):
    """What is said of one image"""

    image: str = Field(description="What the sender called it.")
    error: str = Field("", description="Why it cannot be read; nothing else is said then.")
    best: str | None = Field(None, alias="class", description="The likeliest class, null if none was likely enough.")
    probability: float | None = None
    classes: dict[str, float] = Field({}, description="The likeliest classes, best first.")


class Answers(BaseModel):
    """What is said of the images of a request, in their order"""

    mark: str = Field(description="Which model answered, as in /model.")
    predictions: list[Answer]


class Failure(BaseModel):
    """Why there is no answer"""

    error: str


def make_app(service: Service) -> FastAPI:
    """Return the application; what it consists of runs while its lifespan does."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:  # noqa: ARG001 (FastAPI's protocol)
        async with service.running():
            yield

    app = FastAPI(
        title="clfctl serve", version=__version__, description=ABOUT, docs_url=None, redoc_url=None, lifespan=lifespan
    )
    app.state.service = service
    app.add_middleware(_Counted, service=service)
    locked = [Depends(_with_token)] if service.settings.token else []
    errors: dict[int | str, dict[str, Any]] = {
        code: {"model": Failure} for code in (400, *((401,) if locked else ()), 403, 413, 415, 429, 500)
    }
    app.add_api_route(
        "/predict", predict, methods=["POST"], dependencies=locked, response_model=Answers, openapi_extra=BODY,
        responses={**errors, 422: {"model": Answers, "description": "None of the images can be read"}},
    )  # fmt: skip
    ill: dict[int | str, dict[str, Any]] = {503: {"description": "It stops, or nothing computes"}}
    app.add_api_route("/health", health, methods=["GET"], responses=ill)
    app.add_api_route("/health", health, methods=["HEAD"], include_in_schema=False)
    app.add_api_route("/model", model, methods=["GET"], dependencies=locked)
    app.add_api_route("/metrics", metrics, methods=["GET"], dependencies=locked)
    app.add_api_route("/docs", docs, methods=["GET"], include_in_schema=False)
    app.add_api_route("/", lambda: RedirectResponse("/docs"), methods=["GET"], include_in_schema=False)
    for kind, handler in HANDLERS.items():
        app.add_exception_handler(kind, handler)
    return app


async def predict(
    request: Request,
    top_k: Annotated[int | None, Query(ge=1, description="Classes to name for each image.")] = None,
    threshold: Annotated[float | None, Query(ge=0, le=1, description="Name no class of a smaller probability.")] = None,
) -> Response:
    """Name the classes of the images in the body: the raw bytes of one, or the files of a form."""
    if request.headers.get("sec-fetch-site") == "cross-site":  # which browsers say, and scripts cannot change
        raise Refused(403, "this server answers no page of another site")
    service = _service(request)
    settings = service.settings
    choice = Choice(settings.top_k if top_k is None else top_k, settings.threshold if threshold is None else threshold)
    found, mark = await service.ask(request, choice)
    is_any_read = any(not each.error for each in found)
    return _json({"mark": mark, "predictions": [record_of(each) for each in found]}, 200 if is_any_read else 422)


async def health(request: Request) -> Response:
    """Say whether requests are answered: 503 if not."""
    service = _service(request)
    trouble = service.trouble()
    said = {"status": trouble or "ok", "mark": service.current.loaded.mark, "newer_file": service.newer_file()}
    return _json(said, 503 if trouble else 200)


async def model(request: Request) -> Response:
    """Say which model answers: its classes, what it is shown of an image, what a request may be."""
    return _json(_service(request).about())


async def metrics(request: Request) -> Response:
    """Return what was counted, for Prometheus."""
    numbers = _service(request).numbers
    return Response(numbers.text(), headers={"content-type": numbers.content_type})


async def docs(request: Request) -> Response:
    """Return a page that describes the server and tries it."""
    text = page(request.app.openapi(), has_token=bool(_service(request).settings.token))
    return HTMLResponse(text, headers={"content-security-policy": POLICY})


async def _with_token(
    request: Request,
    given: Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))] = None,
) -> None:
    """Raise Refused if a request does not bring the token."""
    expected = _service(request).settings.token.encode()
    # In a time that does not depend on where they differ.
    if given is None or not hmac.compare_digest(given.credentials.encode("utf-8", "replace"), expected):
        message = "this server asks for a token: send the header Authorization: Bearer TOKEN"
        raise Refused(401, message, {"WWW-Authenticate": "Bearer"})


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def _json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(dump_json(value) + "\n", status, headers, "application/json")


async def _refused(request: Request, error: Exception) -> Response:  # noqa: ARG001 (starlette's protocol, as below)
    assert isinstance(error, Refused)
    return _json({"error": error.message}, error.status, error.headers)


async def _http(request: Request, error: Exception) -> Response:  # noqa: ARG001 (starlette's protocol)
    assert isinstance(error, HTTPException)
    what = {404: f"there are {', '.join(PATHS)}", 405: "this is not asked with that method"}
    message = what.get(error.status_code, str(error.detail))
    return _json({"error": message}, error.status_code, dict(error.headers or {}))


async def _invalid(request: Request, error: Exception) -> Response:  # noqa: ARG001 (starlette's protocol)
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    name = str(first["loc"][-1])
    allowed = f": it must be {ALLOWED[name]}" if name in ALLOWED else ""
    return _json({"error": f"{name}: {shortened(first.get('input'), 40)!r} is not allowed{allowed}"}, 400)


async def _left(request: Request, error: Exception) -> Response:  # noqa: ARG001 (starlette's protocol)
    return Response(status_code=400)  # nobody reads it


async def _failed(request: Request, error: Exception) -> Response:
    return _failure(_service(request), error)


def _failure(service: Service, error: Exception) -> Response:
    service.tell_once(f"A request failed: {type(error).__name__}: {shortened(error, 300)}")
    # Not the error itself: it may name files.
    return _json({"error": "the model could not be asked; what the server has printed says why"}, 500)


HANDLERS = {
    Refused: _refused,
    HTTPException: _http,
    RequestValidationError: _invalid,
    ClientDisconnect: _left,
    ClfctlError: _failed,
}


class _Counted:
    """Counts requests by path and status, and how long those to /predict took; adds headers that make answers safe.

    What no handler knows becomes an answer here: further out it would be printed with its traceback.
    """

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self.app, self.service, self.numbers = app, service, service.numbers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started_s, path, is_begun = time.perf_counter(), scope["path"], False

        async def counted(message: Message) -> None:
            nonlocal is_begun
            is_begun = True
            if message["type"] == "http.response.start" and not scope.get("state", {}).get(LOST):
                message["headers"] = [*message.get("headers", ()), *SAFE]
                self.numbers.add_request(message["status"], path if path in PATHS else OTHER)
                if path == PATHS[0]:
                    self.numbers.request_s.observe(time.perf_counter() - started_s)
            await send(message)

        try:
            await self.app(scope, receive, counted)
        except Exception as error:
            if is_begun:
                raise
            await _failure(self.service, error)(scope, receive, counted)
