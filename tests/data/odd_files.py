"""Images that are not plain RGB, each with the levels of RGB that people see in it: files and modes of Pillow's."""

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

WHITE = [255, 255, 255]
Levels = NDArray[np.uint8]


def png(
    rows: NDArray[np.uint8], width: int, depth: int, color: int, *before: tuple[bytes, bytes], after: bytes = b""
) -> bytes:
    """Return a PNG of `rows` (H, bytes a row) with chunks (name, content) before its pixels and some behind them."""
    header = struct.pack(">IIBBBBB", width, len(rows), depth, color, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    chunks = [(b"IHDR", header), *before, (b"IDAT", pixels)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks) + after + chunk(b"IEND", b"")


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def tiff(values: NDArray[np.generic]) -> bytes:
    return saved(Image.fromarray(values), "TIFF")


def keyed_png(depth: int, color: int, rows: list[list[int]], width: int, key: list[int]) -> bytes:
    """Return a PNG whose colour `key`, in its own depth, is transparent."""
    return png(np.asarray(rows, np.uint8), width, depth, color, (b"tRNS", struct.pack(f">{len(key)}H", *key)))


def grey(*levels: int) -> list[list[int]]:
    return [[each] * 3 for each in levels]


def palette(alpha: bytes | int | None) -> bytes:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    return saved(image, "PNG", **({} if alpha is None else {"transparency": alpha}))


def lab_tiff() -> bytes:
    """Return a TIFF in CIELAB of a red and a blue pixel."""
    image = Image.new("RGB", (2, 1), (200, 30, 40))
    image.putpixel((1, 0), (20, 60, 180))
    rgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    converted = ImageCms.profileToProfile(image, rgb, lab, outputMode="LAB")
    assert converted is not None
    return saved(converted, "TIFF")


# What each file shows, row by row from the left, [R, G, B] a pixel.
FILES: dict[str, tuple[Callable[[], bytes], list[list[int]]]] = {
    # Transparent colours, in the depth of their file.
    "RGB": (lambda: keyed_png(8, 2, [[9, 8, 7, 1, 2, 3]], 2, [9, 8, 7]), [WHITE, [1, 2, 3]]),
    "RGB, no transparent colour": (lambda: keyed_png(8, 2, [[9, 8, 7, 1, 2, 3]], 2, [9, 8, 0]), [[9, 8, 7], [1, 2, 3]]),
    "RGB of 16 bits": (
        lambda: keyed_png(16, 2, [[9, 1, 8, 2, 7, 3, 1, 0, 2, 0, 3, 0]], 2, [0x901, 0x802, 0x703]),
        [WHITE, [1, 2, 3]],
    ),
    "grey of 8 bits": (lambda: keyed_png(8, 0, [[7, 200]], 2, [7]), [WHITE, [200] * 3]),
    "grey of 4 bits": (lambda: keyed_png(4, 0, [[0x2F]], 2, [2]), [WHITE, WHITE]),
    "grey of 4 bits, the other": (lambda: keyed_png(4, 0, [[0x23]], 2, [3]), [[34] * 3, WHITE]),
    "grey of 2 bits": (lambda: keyed_png(2, 0, [[0b01100000]], 2, [2]), [[85] * 3, WHITE]),
    "grey of 1 bit, black": (lambda: keyed_png(1, 0, [[0b01000000]], 2, [0]), [WHITE, WHITE]),
    "grey of 1 bit, white": (lambda: keyed_png(1, 0, [[0b01000000]], 2, [1]), [[0] * 3, WHITE]),
    "grey of 16 bits": (lambda: keyed_png(16, 0, [[1, 2, 0x80, 0x80]], 2, [0x102]), [WHITE, [128] * 3]),
    "palette": (lambda: palette(None), [[10, 20, 30], [40, 50, 60]]),
    "palette, a colour transparent": (lambda: palette(1), [[10, 20, 30], WHITE]),
    "palette, half transparent": (lambda: palette(b"\xff\x80"), [[10, 20, 30], [147, 152, 157]]),
    # Numbers of other kinds.
    "uint16": (lambda: tiff(np.array([[0, 257, 65535]], np.uint16)), grey(0, 1, 255)),
    "uint16, dark": (lambda: tiff(np.array([[0, 255]], np.uint16)), grey(0, 1)),
    "int32 to 255": (lambda: tiff(np.array([[0, 100, 255]], np.int32)), grey(0, 100, 255)),
    "int32 to 65535": (lambda: tiff(np.array([[0, 257, 65535]], np.int32)), grey(0, 1, 255)),
    "int32, larger": (lambda: tiff(np.array([[1_000_000, 1_100_000, 2_000_000]], np.int32)), grey(0, 26, 255)),
    "int32, negative": (lambda: tiff(np.array([[-100, 0, 100]], np.int32)), grey(0, 128, 255)),
    "float to 1": (lambda: tiff(np.array([[0, 0.2, 1]], np.float32)), grey(0, 51, 255)),
    "float to 255": (lambda: tiff(np.array([[0, 100.4, 255]], np.float32)), grey(0, 100, 255)),
    "float to 65535": (lambda: tiff(np.array([[0, 257, 65535]], np.float32)), grey(0, 1, 255)),
    "float, negative": (lambda: tiff(np.array([[-1, 0, 1]], np.float32)), grey(0, 128, 255)),
    "float with holes": (lambda: tiff(np.array([[np.nan, 0.2, 1, np.inf]], np.float32)), grey(0, 51, 255, 255)),
    "float, nothing but holes": (lambda: tiff(np.array([[np.nan, np.nan]], np.float32)), grey(0, 0)),
    "float, all alike": (lambda: tiff(np.array([[-3, -3]], np.float32)), grey(0, 0)),
    "PGM of 10 bits": (lambda: b"P5 2 1 1023\n\x00\x04\x03\xff", grey(1, 255)),
    "PGM of 16 bits, dark": (lambda: b"P5 2 1 65535\n\x00\xff\x00\x00", grey(1, 0)),
    "PFM": (lambda: b"Pf\n2 1\n-1.0\n" + struct.pack("<2f", 0.2, 1), grey(51, 255)),
    # Other colours.
    "CIELAB": (lab_tiff, [[200, 30, 40], [20, 60, 180]]),
}
# One pixel of each mode that Pillow has, and its colour.
MODES: dict[str, tuple[float | tuple[int, ...], list[int]]] = {
    "1": (255, WHITE),
    "L": (77, [77] * 3),
    "LA": ((100, 128), [177] * 3),
    "La": ((50, 128), [177] * 3),
    "RGB": ((1, 2, 3), [1, 2, 3]),
    "RGBA": ((10, 20, 30, 0), WHITE),
    "RGBa": ((0, 0, 0, 0), WHITE),
    "RGBX": ((1, 2, 3, 4), [1, 2, 3]),
    "CMYK": ((255, 0, 0, 0), [0, 255, 255]),
    "YCbCr": ((128, 128, 128), [128] * 3),
    "HSV": ((0, 255, 255), [255, 0, 0]),
    "LAB": ((255, 128, 128), WHITE),
    "I": (200, [200] * 3),
    "F": (0.6, [153] * 3),
    "I;16": (25700, [100] * 3),
    "I;16L": (25700, [100] * 3),
    "I;16B": (25700, [100] * 3),
}
