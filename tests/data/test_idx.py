"""IDX files: whole, cut, and of another kind."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from clfctl.data.sources.idx import SYSTEM_FOLDERS, find_idx, read_idx
from clfctl.data.sources.open import open_data
from clfctl.errors import DataError
from clfctl.settings.groups import DataSettings

HEADER = b"\0\0\x08\x02" + struct.pack(">II", 2, 3)


@pytest.mark.parametrize("zipped", [False, True])
def test_reads_what_was_written(tmp_path: Path, zipped: bool) -> None:
    content = HEADER + bytes(range(6))
    path = tmp_path / ("x.gz" if zipped else "x")
    path.write_bytes(gzip.compress(content) if zipped else content)
    assert np.array_equal(read_idx(path), [[0, 1, 2], [3, 4, 5]])


@pytest.mark.parametrize(
    "content", [b"", b"\0\0", HEADER, HEADER + b"12345", b"\0\0\x0d\x01" + bytes(8), b"PNG" + bytes(9)]
)
def test_refuses_what_is_not_whole(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(DataError, match="not an IDX file"):
        read_idx(path)


@pytest.mark.skipif(
    not SYSTEM_FOLDERS["fashion-mnist"].is_dir(), reason="Debian's dataset-fashion-mnist is not installed"
)
def test_finds_and_splits_the_system_package(tmp_path: Path) -> None:
    assert find_idx("fashion-mnist", "FashionMNIST", tmp_path, "train")
    data = open_data(DataSettings(data="fashion-mnist", data_dir=tmp_path), 0)
    assert data.test is not None
    assert [len(part) for part in (data.train, data.val, data.test)] == [48000, 12000, 10000]
    assert data.classes[9] == "Ankle boot"
