"""What several processes read of shards: each its own images, none twice, together those of one."""

import io
from collections import Counter
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clfctl.data.loader import BadImages, Loader
from clfctl.data.pixels.transform import Preprocess
from clfctl.data.sources.base import Part
from clfctl.data.sources.shards import TarImages, index_shards
from tests.real.shards import shard

N_SHARDS, N_EACH, BATCH = 3, 7, 5


@pytest.fixture
def images(tmp_path: Path) -> TarImages:
    """Images of one colour each inside of shards."""
    paths = []
    for n in range(N_SHARDS):
        members: list[tuple[str, bytes]] = []
        for i in range(N_EACH):
            file, number = io.BytesIO(), n * N_EACH + i
            Image.new("RGB", (8, 8), (10 * number, 0, 0)).save(file, "PNG")
            members += [(f"{i:04}.png", file.getvalue()), (f"{i:04}.cls", b"%d" % (number % 2))]
        paths.append(shard(tmp_path / f"train-{n}.tar", members))
    return index_shards({"train": paths}, tmp_path).parts["train"]


def batches_of(images: TarImages, rank: int, n_ranks: int, seed: int | None) -> list[list[int]]:
    """Return the colours of the images that a process gets of each batch."""
    part = Part(images, range(len(images.labels)))
    bad = BadImages("error", len(part))
    loader = Loader(part, Preprocess(8), BATCH, 0, bad, seed, rank=rank, n_ranks=n_ranks)
    return [each.images[:, 0, 0, 0].tolist() for each in loader.batches(epoch=2)]


@pytest.mark.parametrize("n_ranks", [2, 3, 6])
@pytest.mark.parametrize("seed", [4, None])
def test_each_image_is_read_once_by_one_process(
    n_ranks: int, seed: int | None, images: TarImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Counter[int]()
    content = TarImages.content

    def counted(self: TarImages, index: int) -> bytes:
        read[index] += 1
        return content(self, index)

    monkeypatch.setattr(TarImages, "content", counted)
    alone = batches_of(images, 0, 1, seed)
    n_read = read.total()
    shares = [batches_of(images, rank, n_ranks, seed) for rank in range(n_ranks)]
    assert {*read.values()} == {2}  # once alone, once by one of them
    assert read.total() == 2 * n_read
    # In the order of the processes their shares are the batches of one.
    assert [[*chain(*each)] for each in zip(*shares, strict=True)] == alone
    sizes = np.array([[len(batch) for batch in share] for share in shares])
    assert (sizes.max(0) - sizes.min(0) <= 1).all()
