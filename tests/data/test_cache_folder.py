"""The folder of the cache: what its files give back, whose images they are of, and what is swept up."""

import io
import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clfctl.data.cache.file import Seal, open_pictures, pieces
from clfctl.data.cache.folder import free_memory, lock_for, sweep
from clfctl.data.cache.images import Stored
from clfctl.data.cache.key import content_digest
from clfctl.data.pixels.decode import Pixels
from clfctl.data.sources.base import ArrayImages, TorchvisionImages
from clfctl.data.sources.open import open_data
from clfctl.settings.data import DataSettings
from clfctl.storage.files import temporary_for
from clfctl.storage.lock import locked

shapes = st.lists(st.none() | st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=8)


def filled(shapes: Sequence[tuple[int, int] | None]) -> list[Stored]:
    draw = np.random.default_rng(0)
    return [draw.integers(0, 256, (*shape, 3), np.uint8) if shape else None for shape in shapes]


def write(path: Path, seal: Seal, pictures: Sequence[Stored]) -> bytes:
    path.write_bytes(content := b"".join(map(bytes, pieces(seal, pictures))))
    return content


@given(shapes)
def test_a_file_gives_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, shapes: list[tuple[int, int] | None]
) -> None:
    path, seal, pictures = tmp_path_factory.mktemp("file") / "x.pixels", Seal(b"d" * 16, len(shapes), 8), filled(shapes)
    write(path, seal, pictures)
    found = open_pictures(path, seal)
    assert found is not None
    for index, each in enumerate(pictures):
        stored: Pixels | None = found[index]
        assert (stored is None) == (each is None)
        assert stored is None or (each is not None and np.array_equal(stored, each))


def test_a_picture_of_many_megabytes_is_written_in_pieces(tmp_path: Path) -> None:
    large, seal = np.random.default_rng(0).integers(0, 256, (700, 900, 3), np.uint8), Seal(b"d" * 16, 1, 700)
    assert max(len(each) for each in pieces(seal, [large])) < 1 << 20
    write(tmp_path / "x.pixels", seal, [large])
    found = open_pictures(tmp_path / "x.pixels", seal)
    assert found is not None
    assert (first := found[0]) is not None
    assert np.array_equal(first, large)


def test_a_file_that_is_cut_flipped_or_of_other_images_is_no_cache(tmp_path: Path) -> None:
    path, seal, pictures = tmp_path / "x.pixels", Seal(b"d" * 16, 3, 8), filled([(4, 5), None, (8, 8)])
    content = write(path, seal, pictures)
    assert open_pictures(path, seal)
    for other in (Seal(b"e" * 16, 3, 8), Seal(b"d" * 16, 4, 8), Seal(b"d" * 16, 3, 9)):
        assert open_pictures(path, other) is None
    for n in range(len(content)):
        path.write_bytes(content[:n])
        assert open_pictures(path, seal) is None, n
    n_pixels = 4 * 5 * 3 + 8 * 8 * 3
    for bit in range(8 * n_pixels, 8 * len(content)):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        assert open_pictures(path, seal) is None, bit
    path.write_bytes(content + b"\0")
    assert open_pictures(path, seal) is None
    assert open_pictures(tmp_path / "none", seal) is None


ALL = np.arange(24)


def test_digest_of_files_follows_names_sizes_and_times_but_not_their_folder(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def digest(root: str = str(photos), indices: np.ndarray = ALL) -> bytes:
        return content_digest(open_data(DataSettings(data=root, batch_size=4), 0).train.source, indices)

    first, file = digest(), photos / "red" / "3.jpg"
    assert digest() == first
    assert digest(indices=ALL[1:]) != first
    monkeypatch.chdir(photos.parent)
    assert digest("photos") == first
    status = file.stat()
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns + 1000))
    touched = digest()
    file.write_bytes(file.read_bytes() + b"\0")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    grown = digest()
    file.rename(file.with_name("33.jpg"))
    renamed = digest()
    file.with_name("33.jpg").rename(file)
    file.write_bytes(file.read_bytes()[:-1])
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert len({first, touched, grown, renamed}) == 4
    assert digest() == first


def test_digest_of_arrays_is_that_of_their_pixels() -> None:
    images = np.zeros((24, 8, 8), np.uint8)
    first = content_digest(ArrayImages("x", images, [0] * 24), ALL)
    assert content_digest(ArrayImages("y", images.copy(), [1] * 24), ALL) == first
    assert content_digest(ArrayImages("x", images.reshape(24, 4, 16), [0] * 24), ALL) != first
    images[7, 3, 2] = 1
    assert content_digest(ArrayImages("x", images, [0] * 24), ALL) != first


def test_digest_of_shards_follows_the_shard_and_the_places_in_it(photos: Path, tmp_path: Path) -> None:
    import tarfile

    def digest() -> bytes:
        return content_digest(open_data(DataSettings(data=str(shard), batch_size=4), 0).train.source, ALL)

    shard = tmp_path / "all.tar"
    with tarfile.open(shard, "w") as tar:
        for path in sorted(photos.rglob("*.jpg")):
            name = f"{path.parent.name}-{path.stem}"
            tar.add(path, f"{name}.jpg")
            label = tarfile.TarInfo(f"{name}.cls")
            label.size = len(path.parent.name)
            tar.addfile(label, io.BytesIO(path.parent.name.encode()))
    first = digest()
    assert digest() == first
    os.utime(shard, ns=(0, 0))
    assert digest() != first


def test_digest_of_arrow_files_follows_them_and_the_images_beside_them(photos: Path, tmp_path: Path) -> None:
    import pyarrow

    from clfctl.data.sources.arrow import ArrowImages

    outside = photos / "red" / "0.jpg"
    rows = [{"bytes": (photos / "red" / "1.jpg").read_bytes(), "path": "1.jpg"}, {"bytes": None, "path": str(outside)}]
    file = tmp_path / "x.arrow"
    file.touch()

    def digest() -> bytes:
        column = pyarrow.chunked_array([pyarrow.array(rows)])
        return content_digest(ArrowImages("x", [file], column, [0, 1]), np.arange(2))

    first = digest()
    assert digest() == first
    os.utime(outside, ns=(0, 0))
    second = digest()
    os.utime(file, ns=(0, 0))
    assert len({first, second, digest()}) == 3


def test_digest_of_torchvision_sets_follows_their_arrays_or_files(photos: Path) -> None:
    class InMemory:
        data = np.zeros((24, 8, 8, 3), np.uint8)

    class InFiles:
        _base_folder = photos

    def digest(kind: type) -> bytes:
        return content_digest(TorchvisionImages("x", kind(), [0] * 24), ALL)

    in_memory, in_files = digest(InMemory), digest(InFiles)
    assert (digest(InMemory), digest(InFiles)) == (in_memory, in_files)
    InMemory.data[3, 3, 3] = 1
    os.utime(photos / "red" / "3.jpg", ns=(0, 0))
    assert digest(InMemory) != in_memory
    assert digest(InFiles) != in_files


def test_what_is_still_being_written_is_not_swept_up(tmp_path: Path) -> None:
    """`live` is being made by another process, `dead` and `mine` were when theirs were killed."""
    left = {stem: temporary_for(tmp_path / f"{stem}-36-12345678-abc.pixels") for stem in ("live", "dead", "mine")}
    for path in left.values():
        path.write_bytes(bytes(100))
    (tmp_path / "mine-36-12345678-abc.pixels").touch()
    own = lock_for(tmp_path, "mine-36-12345678")
    with locked(lock_for(tmp_path, "live-36-12345678")), locked(own):
        assert sweep(tmp_path, own) == 200
    assert [stem for stem, path in left.items() if path.exists()] == ["live"]
    assert (tmp_path / "mine-36-12345678-abc.pixels").exists()


def test_without_locks_only_what_nobody_wrote_to_for_a_day_is_swept_up(tmp_path: Path) -> None:
    """A lock that is not held, as on a file system without any, says nothing of others."""
    young, old = (temporary_for(tmp_path / f"{name}-36-12345678-abc.pixels") for name in ("young", "old"))
    for path in (young, old):
        path.write_bytes(bytes(100))
    os.utime(old, (0, time.time() - 25 * 3600))
    assert sweep(tmp_path, lock_for(tmp_path, "mine-36-12345678")) == 100
    assert young.exists()


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="only Linux says so")
def test_free_memory_is_part_of_the_memory() -> None:
    free = free_memory()
    assert free is not None
    assert 0 <= free <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
