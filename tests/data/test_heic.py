"""HEIC images are read everywhere where the extra `heic` is installed, and counted where it is not."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from clfctl.data.pixels.image_file import load, read_image
from clfctl.data.sources.open import open_data
from clfctl.settings.data import DataSettings

heif = pytest.importorskip("pillow_heif", exc_type=ImportError)


def test_heic_is_read_in_training_and_checked(photos: Path, cli: Callable[..., Result]) -> None:
    pixels = np.full((24, 32, 3), (250, 20, 20), np.uint8)
    path = photos / "red" / "IMG_0001.HEIC"
    heif.from_bytes("RGB", (32, 24), pixels.tobytes()).save(path, quality=95)
    data = open_data(DataSettings(data=str(photos), batch_size=1), 0)
    assert len(data.train) + len(data.val) == 25
    assert data.left_out == ""
    image = read_image(path)
    load(image)
    assert image.size == (32, 24)
    assert np.abs(np.asarray(image.convert("RGB")).mean((0, 1)) - pixels[0, 0]).max() < 8
    assert cli("check-data", str(photos)).exit_code == 0
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert cli("check-data", str(photos)).exit_code == 1
    with pytest.raises(OSError):  # noqa: PT011 (whichever of Pillow's)
        load(read_image(path))
