"""The images of a request, read into memory and nowhere else: raw bytes, or the files of a form.

Starlette's own reader of forms writes what is larger than a megabyte to a temporary file; this one never does, and
stops reading as soon as a limit is passed.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from clfctl.inference.sent_images import MILLION
from clfctl.serving.refused import Refused, try_later
from clfctl.settings.serving import ServeSettings

FORM = "multipart/form-data"
# What curl says of `--data-binary @cat.jpg` is the last but one; some clients say nothing.
RAW = ("application/octet-stream", "application/x-www-form-urlencoded", "")
UNNAMED, LONGEST_NAME = "image", 200
MAX_HEADERS, MAX_HEADER_BYTES = 8, 2048
# Of all requests together: as many of the largest, or as much, whichever is more.
SOME_REQUESTS, SOME_BYTES = 4, 256 * MILLION


@dataclass(frozen=True)
class Upload:
    """A file that came with a request. `name` is what the sender calls it: text for the answer, never a path."""

    name: str
    content: bytes


@dataclass
class Room:
    """The memory that the bodies of all requests take; who finds none left is told to come again."""

    most: float
    n_bytes: int = 0

    @contextmanager
    def held(self) -> Iterator["Share"]:
        """Yield what a request takes of it; it is given back when the request ends."""
        share = Share(self)
        try:
            yield share
        finally:
            self.n_bytes -= share.n_bytes


@dataclass
class Share:
    """What one request takes of the room."""

    room: Room
    n_bytes: int = 0

    def take(self, n: int) -> None:
        """Take so many bytes more. Raises Refused if there are not so many left."""
        if self.room.n_bytes + n > self.room.most:
            raise try_later("memory", "too much is being sent at the moment", 1)
        self.room.n_bytes += n
        self.n_bytes += n


def room_for(settings: ServeSettings) -> Room:
    """Return the room for the bodies of all requests."""
    return Room(max(SOME_REQUESTS * settings.max_megabytes * MILLION, SOME_BYTES))


def check_head(request: Request, settings: ServeSettings) -> str:
    """Return the media type of a request whose body has not been read yet. Raises Refused: 413 or 415."""
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length[:20]) > settings.max_megabytes * MILLION:
        raise too_large(settings)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in (FORM, *RAW) and not kind.startswith("image/"):
        message = f"{kind[:60]!r} is no type of an image: send {FORM}, image/…, or application/octet-stream"
        raise Refused(415, message)
    if request.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise Refused(415, "images are compressed already: send them without a content-encoding")
    return kind


def too_large(settings: ServeSettings) -> Refused:
    """Return the refusal of a request of too many bytes."""
    return Refused(413, f"the request has more than {settings.max_megabytes:g} million bytes")


async def read_uploads(request: Request, settings: ServeSettings, share: Share) -> list[Upload]:
    """Return the images of a request. Raises Refused, and starlette's ClientDisconnect if the sender leaves."""
    kind = check_head(request, settings)
    chunks = _limited(request, settings, share)
    if kind == FORM:
        found = await _of_form(request.headers["content-type"], chunks, settings.max_images)
    else:
        found = [Upload(UNNAMED, b"".join([chunk async for chunk in chunks]))]
        found = [each for each in found if each.content]
    if not found:
        raise Refused(400, "there is no image in the request")
    return found


async def _limited(request: Request, settings: ServeSettings, share: Share) -> AsyncIterator[bytes]:
    most = settings.max_megabytes * MILLION
    async for chunk in request.stream():
        share.take(len(chunk))
        if share.n_bytes > most:
            raise too_large(settings)
        yield chunk


async def _of_form(content_type: str, chunks: AsyncIterator[bytes], max_images: int) -> list[Upload]:
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if not boundary:
        raise Refused(400, "the form does not say what its boundary is")
    form = _Form(max_images)
    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": form.begin,
                "on_header_field": form.header_name,
                "on_header_value": form.header_value,
                "on_header_end": form.header_end,
                "on_headers_finished": form.headers_end,
                "on_part_data": form.data,
                "on_part_end": form.end,
                "on_end": form.finish,
            },
            max_header_count=MAX_HEADERS,
            max_header_size=MAX_HEADER_BYTES,
        )
        async for chunk in chunks:
            parser.write(chunk)
    except FormParserError as error:
        raise Refused(400, f"the form cannot be read: {str(error)[:100]}") from None
    if not form.is_whole:
        raise Refused(400, "the form is cut short")
    return form.uploads


@dataclass
class _Form:
    """The files of a form as its parser comes to them."""

    max_images: int
    uploads: list[Upload] = field(default_factory=list)
    is_whole: bool = False
    headers: dict[bytes, bytes] = field(default_factory=dict)
    name: bytes = b""
    value: bytes = b""
    file_name: str = UNNAMED
    parts: list[bytes] = field(default_factory=list)

    def begin(self) -> None:
        self.headers, self.parts = {}, []
        if len(self.uploads) == self.max_images:
            raise Refused(413, f"the request has more than {self.max_images} images")

    def header_name(self, data: bytes, start: int, end: int) -> None:
        self.name += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self.value += data[start:end]

    def header_end(self) -> None:
        self.headers[self.name.lower()] = self.value
        self.name = self.value = b""

    def headers_end(self) -> None:
        disposition = self.headers.get(b"content-disposition", b"")
        _, options = parse_options_header(disposition)
        # A name that is written as `filename*=` is not read, but its part is a file.
        is_file = b"filename" in options or b"filename*" in disposition
        if not is_file and not self.headers.get(b"content-type", b"").startswith(b"image/"):
            field_name = options.get(b"name", b"").decode("utf-8", "replace")[:60]
            raise Refused(400, f"the form's field {field_name!r} is no file; what else is asked for stands in the URL")
        self.file_name = options.get(b"filename", b"").decode("utf-8", "replace")[:LONGEST_NAME] or UNNAMED

    def data(self, data: bytes, start: int, end: int) -> None:
        self.parts.append(data[start:end])

    def end(self) -> None:
        self.uploads.append(Upload(self.file_name, b"".join(self.parts)))
        self.parts = []

    def finish(self) -> None:
        self.is_whole = True
