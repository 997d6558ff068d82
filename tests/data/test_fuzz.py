"""Spoilt files of every format: what Pillow refuses when it decodes a file is bad everywhere, and nothing else is.

`python -m tests.data.test_fuzz 1000` tries that many files of each kind.
"""

import io
import random
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, features
from sklearn.datasets import load_sample_images

from clfctl.bench.stages import Work, pixels_of
from clfctl.data.cache.images import Wanted, stored_pictures
from clfctl.data.check import read_or_note
from clfctl.data.findings import Finding
from clfctl.data.loader import BadImages, Loader
from clfctl.data.pixels.decode import resize_by_pillow, see_and_close
from clfctl.data.pixels.fit import Scaling
from clfctl.data.pixels.transform import LIGHT, Preprocess, to_pixels
from clfctl.data.pixels.unreadable import reason_of
from clfctl.data.pixels.views import Crop
from clfctl.data.sources.base import FileImages, Part
from clfctl.inference.inputs import open_input

N_FILES = 24
LONGEST_S = 20.0
SEEN = Preprocess(32)


@cache
def photo() -> Image.Image:
    return Image.fromarray(load_sample_images().images[0]).resize((120, 80))


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


# How each kind is saved: Pillow's format, the mode, options.
KINDS: dict[str, tuple[str, str, Callable[[], dict[str, object]]]] = {
    "JPEG": ("JPEG", "RGB", lambda: {"exif": turned()}),
    "JPEG progressive": ("JPEG", "RGB", lambda: {"progressive": True}),
    "JPEG grey": ("JPEG", "L", dict),
    "JPEG CMYK": ("JPEG", "CMYK", dict),
    "JPEG with restarts": ("JPEG", "RGB", lambda: {"restart_marker_rows": 1}),
    "MPO": ("MPO", "RGB", lambda: {"save_all": True, "append_images": [photo()]}),
    "PNG": ("PNG", "RGB", lambda: {"exif": turned()}),
    "PNG, palette": ("PNG", "P", lambda: {"transparency": 0}),
    "PNG, 16 bits": ("PNG", "I;16", dict),
    "WebP": ("WEBP", "RGB", lambda: {"exif": turned()}),
    "WebP, lossless": ("WEBP", "RGB", lambda: {"lossless": True}),
    "TIFF": ("TIFF", "RGB", lambda: {"exif": turned()}),
    "TIFF, LZW": ("TIFF", "RGB", lambda: {"compression": "tiff_lzw"}),
    "TIFF, deflate": ("TIFF", "RGB", lambda: {"compression": "tiff_adobe_deflate"}),
    "TIFF, JPEG": ("TIFF", "RGB", lambda: {"compression": "jpeg"}),
    "GIF": ("GIF", "P", dict),
    "BMP": ("BMP", "RGB", dict),
    "PPM": ("PPM", "RGB", dict),
    "PGM": ("PPM", "L", dict),
    "JPEG 2000": ("JPEG2000", "RGB", dict),
    "AVIF": ("AVIF", "RGB", lambda: {"exif": turned()}),
}
NEEDED = {"JPEG 2000": "jpg_2000", "AVIF": "avif", "WebP": "webp", "WebP, lossless": "webp"}


@cache
def whole_file(kind: str) -> bytes:
    style, mode, options = KINDS[kind]
    file = io.BytesIO()
    image = photo().convert("L" if mode == "I;16" else mode)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
    image.save(file, style, **options())
    return file.getvalue()


def spoil(file: bytes, number: int) -> bytes:
    """Change one byte anywhere, or a few bits, half of them in the header, or cut off the end, in turns."""
    draw = random.Random(number)
    content = bytearray(file)
    match number % 3:
        case 0:
            content[draw.randrange(len(content))] ^= draw.randrange(1, 256)
        case 1:
            for _ in range(draw.randint(1, 6)):
                content[draw.randrange(min(len(content), draw.choice([200, len(content)])))] ^= 1 << draw.randrange(8)
        case _:
            del content[draw.randrange(1, len(content)) :]
    return bytes(content)


def is_refused_by_pillow(path: Path) -> bool:
    try:
        with Image.open(path) as image:
            image.load()
    except Exception:  # whatever it is
        return True
    return False


class CountedImages(BadImages):
    """Counts, without an end."""

    def add(self, name: str, error: Exception) -> None:
        self.found[name] = reason_of(error, name)


def bad_by_way(paths: list[Path]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each way to the pixels of files, and the files that are bad to it, with their reasons."""
    names = [str(path) for path in paths]
    source = FileImages(names, [0] * len(names))
    part = Part(source, range(len(names)))
    ways: dict[str, dict[str, Any]] = {
        "train": {"shuffle_seed": 0, "augment": LIGHT},
        "eval": {},
        "eval with views": {"crop": Crop(7 / 8)},
    }
    for way, options in ways.items():
        bad = CountedImages("skip", len(names))
        n_images = sum(len(batch.labels) for batch in Loader(part, SEEN, 8, 2, bad, **options).batches())
        assert n_images + len(bad.found) == len(names)
        yield way, bad.found
    bad = CountedImages("skip", len(names))
    stored = stored_pictures(Wanted(source, np.arange(len(names)), Scaling(36, 36), "", ""), bad, 2, lambda n: None)
    assert len([each for each in stored if each is None]) == len(bad.found)
    yield "cache", bad.found
    yield "predict", bad_to(names, lambda i: see_and_close(open_input(names[i]), by_pillow))
    work = Work(part, SEEN, LIGHT, 8, 0, bad, lambda images: None)
    yield "bench-data", bad_to(names, lambda i: pixels_of(work, i, i, lambda name: None))
    looks = [read_or_note(str(path.parent), path.name, 0) for path in paths]
    yield (
        "check-data",
        {name: look.reason for name, look in zip(names, looks, strict=True) if isinstance(look, Finding)},
    )


by_pillow = partial(to_pixels, preprocess=SEEN, resize=resize_by_pillow)


def bad_to(names: list[str], read: Callable[[int], object]) -> dict[str, str]:
    found = {}
    for index, name in enumerate(names):
        try:
            read(index)
        except OSError as error:
            found[name] = reason_of(error, name)
    return found


def compare(kind: str, n_files: int, folder: Path) -> tuple[int, float]:
    """Compare each way with Pillow; return how many files are bad, and the longest time that a way took, in s."""
    paths = [folder / f"{number:05}" for number in range(n_files)]
    for number, path in enumerate(paths):
        path.write_bytes(spoil(whole_file(kind), number))
    expected = {str(path) for path in paths if is_refused_by_pillow(path)}
    longest, started = 0.0, time.perf_counter()
    for way, bad in bad_by_way(paths):
        assert bad.keys() == expected, f"{way}: {sorted(bad.keys() ^ expected)}"
        for name, reason in bad.items():
            assert " " in reason, f"{way}: {name} {reason!r}"
            assert folder.name not in reason
        longest, started = max(longest, time.perf_counter() - started), time.perf_counter()
    return len(expected), longest


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore::UserWarning:PIL", "ignore::RuntimeWarning:PIL")
def test_what_pillow_refuses_is_bad_everywhere(kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    if kind in NEEDED and not features.check(NEEDED[kind]):
        pytest.skip(f"this Pillow has no {kind}")
    n_bad, longest = compare(kind, N_FILES, tmp_path)
    assert n_bad > 0
    assert longest < LONGEST_S
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", KINDS)
def test_the_files_are_whole_before(kind: str) -> None:
    if kind in NEEDED and not features.check(NEEDED[kind]):
        pytest.skip(f"this Pillow has no {kind}")
    with Image.open(io.BytesIO(whole_file(kind))) as image:
        assert np.asarray(image).std() > 10


def main(n_files: int) -> None:
    warnings.simplefilter("ignore")
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as folder:
            n_bad, longest = compare(kind, n_files, Path(folder))
        print(f"{kind}: {n_files} files, {n_bad} bad, at most {longest:.1f} s a way", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
