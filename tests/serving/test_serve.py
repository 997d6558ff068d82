"""What the server answers, and what it refuses: asked in this process, with a real model."""

import io
import re
import socket
import struct
import sys
import zlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from typer.testing import Result

from clfctl.errors import UsageError
from clfctl.inference.sent_images import MOST_SCANS, SCAN
from clfctl.serving.current import Current
from clfctl.serving.images import read_upload
from clfctl.settings.groups import ServeSettings
from clfctl.settings.sources import resolve
from tests.serving.colours import COLOURS, files, picture, rle_bmp
from tests.serving.conftest import asking, service_of

Cli = Callable[..., Result]
TOKEN = "a-word-that-nobody-guesses"


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
