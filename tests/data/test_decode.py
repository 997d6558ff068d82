"""Pixels of every kind of file are those that Pillow and torchvision see, upright and in RGB, to a stated tolerance."""

import io
from functools import cache

import numpy as np
import pytest
from PIL import Image, ImageOps
from sklearn.datasets import load_sample_images

from clfctl.data.pixels import decode as module
from clfctl.data.pixels.decode import Pixels, decode, mirrored, orientation_of, resize, upright_size
from clfctl.data.pixels.fit import Box
from clfctl.data.pixels.transform import Preprocess, to_pixels

# Mean and largest difference in levels of 255. Without the decoder's scaling: the rounding of one resize. With it:
# another filter where the picture gets smaller, and a box rounded to whole decoded pixels.
EXACT, SCALED_MEAN = 1, 4.0
BOXES: list[Box] = [(0, 0, 640, 427), (101, 33, 400, 300), (300, 7, 639, 346), (8, 16, 520, 400)]


@cache
def photo(n: int, mode: str = "RGB", orientation: int = 1, width: int = 640) -> bytes:
    """A real photograph of scikit-learn's as a JPEG file; one that shows upright what an orientation says."""
    image = Image.fromarray(load_sample_images().images[n]).convert(mode)
    if width != image.width:
        image = image.resize((width, 427 * width // 640), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[module.ORIENTATION] = orientation
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90, exif=exif)
    return file.getvalue()


def part_of(file: bytes, box: Box, least: int) -> Pixels:
    with Image.open(io.BytesIO(file)) as image:
        return decode(image, orientation_of(image), box, (least, least))


def difference(a: Pixels, b: Pixels) -> np.ndarray:
    return abs(np.asarray(a).astype(int) - np.asarray(b).astype(int))


def cropped_by_torchvision(file: bytes, box: Box, size: int) -> Pixels:
    from torchvision.transforms.v2 import functional

    left, top, right, bottom = box
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(file))).convert("RGB")
    crop = functional.resized_crop(image, top, left, bottom - top, right - left, [size, size], antialias=True)
    return np.asarray(crop)


@pytest.mark.parametrize("n", [0, 1])
@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("box", BOXES, ids=str)
def test_a_crop_is_that_of_torchvision(n: int, mode: str, box: Box) -> None:
    file = photo(n, mode)
    ours = resize(part_of(file, box, 224), 224, 224)
    assert difference(ours, cropped_by_torchvision(file, box, 224)).max() <= EXACT


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_crop_is_taken_of_the_upright_image(orientation: int) -> None:
    file = photo(0, orientation=orientation)
    box = (31, 52, 390, 400)
    with Image.open(io.BytesIO(file)) as image:
        assert orientation_of(image) == orientation
        assert upright_size(image, orientation) == ((640, 427) if orientation < 5 else (427, 640))
    assert difference(resize(part_of(file, box, 224), 224, 224), cropped_by_torchvision(file, box, 224)).max() <= EXACT
    # Decoded at half its size.
    small = difference(resize(part_of(file, box, 64), 64, 64), cropped_by_torchvision(file, box, 64))
    assert small.mean() < SCALED_MEAN * 1.5


@pytest.mark.parametrize(("width", "step"), [(640, 2), (1200, 4), (2400, 8), (4800, 8)])
def test_the_decoders_scaling_is_hardly_seen(width: int, step: int) -> None:
    file = photo(0, width=width)
    box = (0, 0, width, 427 * width // 640)
    part = part_of(file, box, 192)
    assert part.shape[:2] == (round(box[3] / step), round(box[2] / step))
    assert difference(resize(part, 192, 192), cropped_by_torchvision(file, box, 192)).mean() < SCALED_MEAN


@pytest.mark.parametrize("n", [0, 1])
@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("width", [640, 1601])
def test_validation_sees_what_resize_and_center_crop_of_torchvision_see(
    n: int, mode: str, orientation: int, width: int
) -> None:
    from torchvision.transforms import v2

    file = photo(n, mode, orientation, width)
    with Image.open(io.BytesIO(file)) as image:
        ours = to_pixels(image, Preprocess(224))
    theirs = v2.Compose([v2.Resize(256), v2.CenterCrop(224)])(
        ImageOps.exif_transpose(Image.open(io.BytesIO(file))).convert("RGB")
    )
    found = difference(ours, theirs)
    assert found.mean() < SCALED_MEAN
    if width == 640:
        assert found.max() <= EXACT


def reopened(image: Image.Image, kind: str, **options: object) -> Pixels:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return part_of(file.getvalue(), (0, 0, *image.size), 1000)


def test_sixteen_bits_are_scaled_and_not_clipped() -> None:
    values = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
    for kind in ("PNG", "TIFF"):
        pixels = reopened(Image.fromarray(values), kind)
        assert difference(pixels, np.rint(values / 257)[..., None].repeat(3, 2)).max() == 0


def test_transparency_is_laid_on_white() -> None:
    image = Image.new("RGBA", (8, 8), (200, 0, 0, 0))
    image.paste((0, 100, 0, 255), (0, 0, 4, 8))
    for seen in (reopened(image, "PNG"), reopened(image, "WEBP", lossless=True)):
        assert seen[0, 0].tolist() == [0, 100, 0]
        assert seen[0, 7].tolist() == [255, 255, 255]
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([0, 0, 0, 10, 20, 30])
    assert reopened(palette, "PNG")[0, 0].tolist() == [10, 20, 30]
    assert reopened(palette, "PNG", transparency=1)[0, 0].tolist() == [255, 255, 255]


def test_cmyk_and_animations_are_what_pillow_shows() -> None:
    cmyk = Image.fromarray(load_sample_images().images[0]).convert("CMYK")
    assert difference(reopened(cmyk, "JPEG", quality=95), np.asarray(cmyk.convert("RGB"))).mean() < SCALED_MEAN
    frames = [Image.new("RGB", (16, 16), color) for color in ("red", "blue")]
    assert reopened(frames[0], "GIF", save_all=True, append_images=frames[1:])[3, 3].tolist() == [255, 0, 0]


def test_a_tiff_is_turned_once() -> None:
    image = Image.fromarray(load_sample_images().images[0])
    exif = Image.Exif()
    exif[module.ORIENTATION] = 6
    file = io.BytesIO()
    image.save(file, "TIFF", exif=exif)
    with Image.open(file) as opened:
        size = upright_size(opened, orientation_of(opened))
    assert size == (427, 640)
    turned = part_of(file.getvalue(), (0, 0, *size), 1000)
    assert difference(turned, np.rot90(np.asarray(image), -1)).max() == 0


def test_what_the_strict_decoder_refuses_is_left_to_pillow() -> None:
    file = photo(0)
    with pytest.raises(OSError, match="truncated"):
        part_of(file[: len(file) // 2], BOXES[0], 224)
    # Bytes that belong to nothing are only warned of; the picture is there.
    part = part_of(file[:-2] + b"\x00\x01\x02" + file[-2:], BOXES[0], 224)
    assert difference(part, part_of(file, BOXES[0], 224)).max() == 0


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (224, 224), (31, 400)])
def test_mirrored_is_read_from_the_right(size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)
    assert difference(mirrored(pixels), pixels[:, ::-1]).max() == 0
