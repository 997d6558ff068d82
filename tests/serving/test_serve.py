"""What the server answers, and what it refuses: asked in this process, with a real model."""

import asyncio
import io
import re
import socket
import struct
import sys
import threading
import zlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from typer.testing import Result

from clfctl.data.pixels.decode import Picture
from clfctl.errors import DamagedError, UsageError
from clfctl.inference.open import open_predictor
from clfctl.inference.predictor import Seen
from clfctl.inference.sent_images import MOST_SCANS, SCAN
from clfctl.runs.ensemble import Ensemble, EnsembleFolder, Member
from clfctl.serving import current as current_module
from clfctl.serving.current import Current, Loaded
from clfctl.serving.images import read_upload
from clfctl.settings.groups import ServeSettings
from clfctl.settings.sources import resolve
from tests.serving.colours import COLOURS, colours_model, picture, rle_bmp
from tests.serving.conftest import asking, service_of

Cli = Callable[..., Result]
TOKEN = "a-word-that-nobody-guesses"
Files = list[tuple[str, tuple[str, bytes, str]]]


def files(*named: tuple[str, bytes]) -> Files:
    return [("image", (name, content, "image/png")) for name, content in named]


def post(colours: Path, url: str = "/predict", said: list[str] | None = None, settings: Any = None, **body: Any) -> Any:
    """Return the answer to one request of a server with these settings."""

    async def ask(client: httpx.AsyncClient) -> httpx.Response:
        return await client.post(url, **body)

    return asking(service_of(colours, said, **(settings or {})), ask)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_raw_bytes_are_named(colours: Path, kind: str) -> None:
    for type_ in ("image/png", "application/octet-stream", "application/x-www-form-urlencoded"):
        answer = post(colours, content=picture("green", kind=kind), headers={"content-type": type_})
        assert answer.status_code == 200, answer.text
        (found,) = answer.json()["predictions"]
        assert found["class"] == "green"
        assert {*found["classes"]} == {*COLOURS}
        assert [*found["classes"].values()] == sorted(found["classes"].values(), reverse=True)


def test_a_form_of_several_is_named_in_its_order(colours: Path) -> None:
    named = [(f"{n}/{name}.png", picture(name)) for n, name in enumerate(("blue", "red", "green", "red"))]
    named.insert(2, ("../../etc/passwd", b"not an image"))
    answer = post(colours, "/predict?top_k=1&threshold=0.3", files=files(*named))
    assert answer.status_code == 200, answer.text
    found = answer.json()["predictions"]
    assert [each["image"] for each in found] == [name for name, _ in named]
    assert found[2] == {"image": "../../etc/passwd", "error": "is not in an image format that can be read"}
    assert [each.get("class") for each in found] == ["blue", "red", None, "green", "red"]
    assert all(len(each["classes"]) == 1 for each in found if "classes" in each)
    unsure = post(colours, "/predict?threshold=1", files=files(*named[:1])).json()["predictions"]
    assert unsure == [{"image": "0/blue.png", "class": None, "probability": None, "classes": {}}]


def test_what_cannot_be_read_has_its_reason_and_status(colours: Path) -> None:
    answer = post(colours, files=files(("a", b"GIF89a"), ("b", b""), ("c", picture("red")[:60])))
    assert answer.status_code == 422
    assert all(each["error"] and "/" not in each["error"] for each in answer.json()["predictions"])


def header_only_png(width: int, height: int) -> bytes:
    """A PNG of a few bytes that would be `width` x `height` pixels of 16 bits, which compress to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 16, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def test_a_small_bmp_would_keep_everything_else_waiting() -> None:
    """What is refused is a picture that Pillow decodes, from pixel to pixel in Python."""
    with Image.open(io.BytesIO(rle_bmp(900, 900))) as found:
        assert found.tile[0][0] in Image.DECODERS
        assert found.convert("RGB").getpixel((0, 0)) == (255, 0, 0)


def test_bombs_are_refused_by_their_headers(colours: Path) -> None:
    predictor = Current(colours, 1, print).loaded.predictor
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"
    assert not isinstance(read_upload(picture("red", (1000, 1000)), predictor, 1e6), str)
    for content, reason in (
        (picture("red", (1001, 1000)), "has 1001 x 1000 pixels, and 1 million is the most"),
        (header_only_png(999, 999), "999 pixels of more than 8 bits, and 0.25 million is the most"),
        (header_only_png(60_000, 60_000), "pixels"),
        (picture("red", kind="JPEG") + SCAN * MOST_SCANS, f"is a JPEG of more than {MOST_SCANS} scans"),
        (eps, "is not in an image format that can be read"),
        (rle_bmp(900, 900), "is a BMP of a kind that takes too long to decode"),
        (b"P1 9 9\n" + b"1 " * 81, "is a PPM of a kind that takes too long to decode"),
        (b"P6 9 9 100\n" + bytes(243), "is a PPM of a kind that takes too long to decode"),
        (b"", "has no bytes"),
    ):
        found = read_upload(content, predictor, 1e6)
        assert isinstance(found, str)
        assert reason in found


async def in_pieces(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 1000):
        yield content[start : start + 1000]


FORM = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n%s\r\n--x%s'
OF_FORM = {"content-type": "multipart/form-data; boundary=x"}
REFUSED: list[tuple[int, str, dict[str, Any]]] = [
    (400, "there is no image", {"content": b""}),
    (413, "more than 0.1 million bytes", {"content": bytes(100_001)}),
    (413, "more than 0.1 million bytes", {"content": in_pieces(bytes(100_001))}),
    (413, "more than 2 images", {"files": files(*[("a", b"x")] * 3)}),
    (415, "'text/html' is no type of an image", {"content": b"x", "headers": {"content-type": "text/html; a=b"}}),
    (415, "content-encoding", {"content": b"x", "headers": {"content-encoding": "gzip"}}),
    (400, "boundary", {"content": b"x", "headers": {"content-type": "multipart/form-data"}}),
    (400, "the form cannot be read", {"content": b"xyz", "headers": OF_FORM}),
    (400, "cut short", {"content": FORM % (b"1", b""), "headers": OF_FORM}),
    (400, "'top_k' is no file", {"files": {"top_k": (None, "3")}}),
    (400, "top_k: '0' is not allowed: it must be a whole", {"params": {"top_k": "0"}, "content": b"x"}),
    (400, "top_k: 'abc' is not allowed: it must be a whole number", {"params": {"top_k": "abc"}, "content": b"x"}),
    (400, "threshold: '2' is not allowed: it must be a number", {"params": {"threshold": "2"}, "content": b"x"}),
    (403, "answers no page of another site", {"headers": {"Sec-Fetch-Site": "cross-site"}, "content": b"x"}),
    (400, "threshold", {"params": {"threshold": "nan"}, "content": b"x"}),
]  # fmt: skip


@pytest.mark.parametrize(("status", "reason", "body"), REFUSED, ids=[each[1] for each in REFUSED])
def test_refusals_say_why(colours: Path, status: int, reason: str, body: dict[str, Any]) -> None:
    answer = post(colours, settings={"max_megabytes": 0.1, "max_images": 2}, **body)
    assert (answer.status_code, reason in answer.json()["error"]) == (status, True), answer.text


def test_a_whole_form_ends_with_its_boundary(colours: Path) -> None:
    answer = post(colours, content=FORM % (picture("blue"), b"--\r\n"), headers=OF_FORM)
    assert answer.json()["predictions"][0]["class"] == "blue"
    star = FORM.replace(b'filename="a.png"', b"filename*=UTF-8''%%c3%%a9.png")
    answer = post(colours, content=star % (picture("blue"), b"--"), headers=OF_FORM)
    # Newer versions of python-multipart leave such a name out, as its standard does.
    assert answer.json()["predictions"][0]["image"] in ("image", "é.png")


GIVEN = {"none": "", "wrong": "Bearer x", "basic": f"Basic {TOKEN}", "é": "Bearer é", "right": f"Bearer {TOKEN}"}


def test_the_token_is_asked_for(colours: Path) -> None:
    async def ask(client: httpx.AsyncClient) -> dict[str, int]:
        found = {}
        for name, given in GIVEN.items():
            headers = {b"authorization": given.encode()} if given else None
            found[name] = (await client.post("/predict", content=picture("red"), headers=headers)).status_code
            found[f"{name} model"] = (await client.get("/model", headers=headers)).status_code
            found[f"{name} metrics"] = (await client.get("/metrics", headers=headers)).status_code
            found[f"{name} health"] = (await client.get("/health", headers=headers)).status_code
        return found

    found = asking(service_of(colours, token=TOKEN), ask)
    assert {name for name, status in found.items() if status == 200} == {
        *("right", "right model", "right metrics"),
        *(f"{each} health" for each in GIVEN),
    }
    assert {*found.values()} == {200, 401}


def test_pages_need_nothing_from_elsewhere(colours: Path) -> None:
    async def ask(client: httpx.AsyncClient) -> dict[str, httpx.Response]:
        paths = ("/docs", "/", "/openapi.json", "/model", "/health", "/nowhere", "/predict")
        return {path: await client.get(path) for path in paths}

    found = asking(service_of(colours, token=TOKEN), ask)
    page = found["/docs"]
    assert not re.findall(r"(?:src|href)=\"(?!data:|openapi\.json)", page.text)
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["x-content-type-options"] == "nosniff"
    for path in ("/predict", "/health", "/model", "/metrics"):
        assert path in found["/openapi.json"].json()["paths"]
        assert path in page.text
    assert "multipart/form-data" in page.text
    assert [found[path].status_code for path in ("/", "/model", "/nowhere", "/predict")] == [307, 401, 404, 405]
    assert "error" in found["/nowhere"].json()


def test_the_model_and_the_counts_are_told(colours: Path) -> None:
    async def ask(client: httpx.AsyncClient) -> tuple[Any, str]:
        await client.post("/predict", files=files(("a", picture("red")), ("b", b"x")))
        await client.get("/made-up/path")
        return (await client.get("/model")).json(), (await client.get("/metrics")).text

    about, text = asking(service_of(colours), ask)
    assert (about["model"], about["classes"], about["file"]) == ("colours", list(COLOURS), "model.onnx")
    assert about["limits"]["max_images"] == 16
    assert str(colours.parent) not in str(about)
    for line in (
        'clfctl_requests_total{path="/predict",status="200"} 1.0',
        'clfctl_requests_total{path="other",status="404"} 1.0',
        'clfctl_images_total{result="answered"} 1.0',
        'clfctl_images_total{result="unreadable"} 1.0',
        f'clfctl_model_info{{mark="{about["mark"]}",name="colours"}} 1.0',
        "clfctl_waiting_images 0.0",
        "process_resident_memory_bytes",
    ):
        assert line in text


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


BAD_MODELS: list[tuple[str, tuple[str, ...], dict[str, Any]]] = [
    ("gives 3 probabilities, and names 2 classes", COLOURS[:2], {}),
    ("gives 3 probabilities, and names 4 classes", (*COLOURS, "none"), {}),
    ("are no probabilities", COLOURS, {"last": "Identity"}),
    ("are no probabilities", COLOURS, {"last": "Reciprocal"}),
    ("cannot be asked", COLOURS, {"last": "Det"}),
]  # fmt: skip


@pytest.mark.parametrize(("reason", "classes", "other"), BAD_MODELS)
def test_a_model_that_does_not_fit_its_card_never_answers(
    reason: str, classes: tuple[str, ...], other: dict[str, Any], tmp_path: Path
) -> None:
    path, said = tmp_path / "model.onnx", list[str]()
    path.write_bytes(colours_model())
    current = Current(path, 1, said.append)
    good = current.loaded
    path.write_bytes(colours_model(classes, **other))
    with pytest.raises(DamagedError, match=reason):
        Current(path, 1, said.append)
    assert [current.refresh() for _ in range(3)] == [None, False, None]
    assert current.loaded is good
    assert reason in said[-1]
    fewer = replace(good.predictor, info=replace(good.predictor.info, classes=classes[:1]))  # type: ignore[type-var]
    with pytest.raises(DamagedError, match="it says 2 x 3 numbers, and it names 1 classes"):
        current_module.try_out(path, fewer)


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


def test_the_mark_is_that_of_what_was_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, new = tmp_path / "model.onnx", tmp_path / "new"
    path.write_bytes(colours_model())
    n_left = 1

    def replaced_meanwhile(*given: Any) -> Any:
        nonlocal n_left
        found = open_predictor(*given)
        if n_left:
            n_left -= 1
            new.write_bytes(colours_model((str(n_left), "gruen", "blau")))
            new.replace(path)
        return found

    monkeypatch.setattr(current_module, "open_predictor", replaced_meanwhile)
    current = Current(path, 1, print)
    assert current.loaded.predictor.info.classes == ("0", "gruen", "blau")
    assert current.loaded.mark == current_module.mark_of(path)
    assert current.refresh() is None
    n_left = 100
    with pytest.raises(DamagedError, match="changes while it is read"):
        Current(path, 1, print)


def test_what_computes_is_told(tmp_path: Path) -> None:
    one, two = tmp_path / "one.onnx", tmp_path / "two.onnx"
    one.write_bytes(colours_model())
    two.write_bytes(colours_model(records={"int8": {}}))

    async def ask(client: httpx.AsyncClient) -> str:
        about: str = (await client.get("/model")).json()["computed_by"]
        return about

    found = [asking(service_of(path), ask) for path in (one, two)]
    assert found == ["ONNX Runtime", "ONNX Runtime, int8"]
    pair = open_predictor(Ensemble((Member(one, "a"), Member(two, "b"))), 1, print)
    assert pair.computed_by == "ONNX Runtime and ONNX Runtime, int8"
    assert pair.title == "a, b, mean of 2, ONNX Runtime and ONNX Runtime, int8"


def test_the_mark_of_an_ensemble_is_that_of_its_members(tmp_path: Path) -> None:
    whole = EnsembleFolder(tmp_path)
    whole.members.mkdir()
    (whole.members / "a.safetensors").write_bytes(b"one")
    whole.file.write_text("{}")
    before = current_module.mark_of(tmp_path), current_module.look_at(tmp_path)
    (whole.eval / "x").mkdir(parents=True)
    (tmp_path / "notes.txt").write_text("not the model's")
    assert (current_module.mark_of(tmp_path), current_module.look_at(tmp_path)) == before
    (whole.members / "a.safetensors").write_bytes(b"two")
    assert current_module.mark_of(tmp_path) != before[0]
    assert current_module.look_at(tmp_path) != before[1]


def test_health_is_503_where_nothing_answers(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(colours_model())
    service = service_of(path)

    async def ask(client: httpx.AsyncClient) -> list[tuple[int, str, str]]:
        async def health() -> tuple[int, str, str]:
            answer = await client.get("/health")
            return answer.status_code, answer.json()["status"], answer.json()["newer_file"]

        found = [await health()]
        path.write_bytes(b"damaged")
        assert [service.current.refresh() for _ in range(2)] == [None, False]
        found.append(await health())
        service.is_stopping = lambda: True
        found.append(await health())
        service.is_stopping = lambda: False
        service.batches.stop()
        assert (await client.head("/health")).status_code == 503
        return [*found, await health()]

    bad = "cannot be loaded"
    assert asking(service, ask) == [
        (200, "ok", ""),
        (200, "ok", bad),
        (503, "stopping", bad),
        (503, "nothing computes", bad),
    ]


def test_a_changed_file_is_loaded_and_a_damaged_one_is_not(tmp_path: Path) -> None:
    path, said = tmp_path / "model.onnx", list[str]()
    path.write_bytes(colours_model())
    current = Current(path, 1, said.append)
    first = current.loaded
    assert current.refresh() is None
    path.write_bytes(colours_model(("rot", "gruen", "blau")))
    assert current.refresh() is None, "it may still be written"
    assert current.refresh() is True
    assert current.loaded.predictor.info.classes == ("rot", "gruen", "blau")
    assert current.loaded.mark != first.mark
    second = current.loaded
    path.write_bytes(path.read_bytes()[:300])
    assert [current.refresh() for _ in range(3)] == [None, False, None]
    assert current.loaded is second
    assert current.problem
    path.unlink()
    assert [current.refresh() for _ in range(3)] == [None, None, None]
    path.write_bytes(colours_model())
    assert [current.refresh() for _ in range(2)] == [None, True]
    assert not current.problem
    assert len(said) == 3


def test_settings_are_judged_without_telling_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLFCTL_TOKEN", "tooshort-secret")
    with pytest.raises(UsageError) as caught:
        resolve(ServeSettings, {})
    assert "tooshort-secret" not in str(caught.value) + caught.value.hint
    assert caught.value.field == "token"
    monkeypatch.setenv("CLFCTL_TOKEN", TOKEN)
    assert resolve(ServeSettings, {}).settings.token == TOKEN
    with pytest.raises(UsageError, match="no request of 16 images would find room where 8 may wait"):
        resolve(ServeSettings, {"max_waiting": "8"})
    with pytest.raises(UsageError, match="a whole number at least 1 and at most 256"):
        resolve(ServeSettings, {"threads": "100000"})


def test_a_port_in_use_and_a_strange_address_are_one_sentence(colours: Path, cli: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = cli("serve", str(colours), "--port", port)
    assert result.exit_code == 1
    assert f"Error: --port: {port} is in use on 127.0.0.1" in result.stderr
    assert "--port 0 for any that is free" in result.stderr
    result = cli("serve", str(colours), "--host", "not a host")
    assert result.exit_code == 2
    assert "--host: 'not a host' is no address of this machine" in result.stderr
    result = cli("serve", "nowhere")
    assert result.exit_code == 2


def test_a_missing_extra_is_named_with_its_command(colours: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    result = cli("serve", str(colours))
    assert result.exit_code == 2
    assert "a server needs uvicorn" in result.stderr
    assert "pip install 'clfctl[serve]'" in result.stderr


def test_pictures_of_every_mode_are_answered(colours: Path) -> None:
    named = []
    for mode in ("1", "L", "LA", "P", "RGBA", "I;16", "CMYK"):
        file = io.BytesIO()
        Image.new(mode, (20, 20)).save(file, "TIFF" if mode == "CMYK" else "PNG")
        named.append((mode, file.getvalue()))
    answer = post(colours, files=files(*named))
    assert all("class" in each for each in answer.json()["predictions"]), answer.text
