"""Files with flipped bits and cut ends: each is an image or counted as bad, and none crashes or hangs the program.

`python -m tests.data.test_fuzz 20000` tries more of them; what libtiff says of its share goes to standard error.
"""

import io
import random
import sys
import time
import warnings
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from clfctl.data.loader import BadImages, Loader
from clfctl.data.pixels.transform import LIGHT, Preprocess
from clfctl.data.sources.base import Part

N_FILES = 2000
LONGEST_S = 10.0
PHOTO = Image.fromarray(load_sample_images().images[0]).resize((120, 80))
KINDS: dict[str, dict[str, Any]] = {
    "JPEG": {}, "JPEG progressive": {"progressive": True}, "JPEG grey": {}, "JPEG CMYK": {}, "PNG": {}, "GIF": {},
    "WEBP": {}, "TIFF": {"compression": "tiff_lzw"}, "BMP": {},
}  # fmt: skip
MODES = {"JPEG grey": "L", "JPEG CMYK": "CMYK", "GIF": "P"}


def whole_files() -> list[bytes]:
    exif = Image.Exif()
    exif[0x0112] = 6
    files = []
    for kind, options in KINDS.items():
        file = io.BytesIO()
        extra = {"exif": exif} if kind in ("JPEG", "PNG", "WEBP") else {}
        PHOTO.convert(MODES.get(kind, "RGB")).save(file, kind.split()[0], **options, **extra)
        files.append(file.getvalue())
    return files


def spoil(file: bytes, draw: random.Random) -> bytes:
    """Flip up to eight bits, half of the time in the header, cut the end of every third file."""
    content = bytearray(file)
    for _ in range(draw.randint(0, 8)):
        content[draw.randrange(min(len(content), draw.choice([200, len(content)])))] ^= 1 << draw.randrange(8)
    return bytes(content[: draw.randrange(len(content))]) if draw.random() < 1 / 3 else bytes(content)


class SpoiltFiles:
    """Every file is made when it is opened, from its number."""

    def __init__(self, n_files: int) -> None:
        self.labels = range(n_files)
        self.whole = whole_files()

    def open(self, index: int) -> Image.Image:
        return Image.open(io.BytesIO(spoil(self.whole[index % len(self.whole)], random.Random(index))))

    def name(self, index: int) -> str:
        return f"file {index}"


class CountedImages(BadImages):
    """Counts, without an end."""

    def add(self, name: str, error: Exception) -> None:
        self.found[name] = str(error)


def fuzz(n_files: int) -> tuple[int, int, float]:
    """Return how many of the files were images, how many bad, and the longest time between two batches, in s."""
    bad = CountedImages("skip", n_files)
    part = Part(SpoiltFiles(n_files), range(n_files))
    n_images, longest, started = 0, 0.0, time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Pillow warns of in damaged metadata
        for n, augment in ((0, LIGHT), (1, None)):
            n_images = 0
            loader = Loader(part, Preprocess(32), 20, 2, bad, shuffle_seed=n, augment=augment)
            for batch in loader.batches():
                n_images += len(batch.labels)
                now = time.perf_counter()
                longest, started = max(longest, now - started), now
    return n_images, len(bad.found), longest


def test_every_spoilt_file_is_an_image_or_counted() -> None:
    n_images, n_bad, longest = fuzz(N_FILES)
    # A file may be bad for one crop and not for another, never neither.
    assert n_images + n_bad >= N_FILES
    assert n_bad > N_FILES / 5
    assert n_images > N_FILES / 5
    assert longest < LONGEST_S


@pytest.mark.parametrize("kind", KINDS)
def test_the_files_are_whole_before(kind: str) -> None:
    file = whole_files()[list(KINDS).index(kind)]
    with Image.open(io.BytesIO(file)) as image:
        assert np.asarray(image.convert("RGB")).std() > 10


if __name__ == "__main__":
    n_files = int(sys.argv[1])
    n_images, n_bad, longest = fuzz(n_files)
    print(f"{n_files} files: {n_images} images, {n_bad} bad, at most {longest:.2f} s between two batches of 20")
    sys.exit(n_images + n_bad < n_files)
