"""WebDataset shards as people make them: each function writes some, and returns the path to give as the data."""

import gzip
import io
import lzma
import tarfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

COLORS = {"cat": 0, "dog": 1, "eel": 2}
Member = tuple[str, bytes]


def jpeg(name: str, number: int) -> bytes:
    """Return an image in the colour of its class; no two are the same."""
    pixels = np.random.default_rng(number).integers(0, 60, (24, 24, 3), np.uint8)
    pixels[..., COLORS[name]] += 180
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


def sample(key: str, name: str, number: int = 0) -> list[Member]:
    return [(f"{key}.jpg", jpeg(name, number)), (f"{key}.cls", name.encode())]


def samples(n: int = 4, names: Iterable[str] = ("cat", "dog")) -> list[Member]:
    return [member for name in names for i in range(n) for member in sample(f"{name}{i:03}", name, i)]


def shard(path: Path, members: Iterable[Member], form: int = tarfile.USTAR_FORMAT, mode: str = "w") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode, format=form) as tar:  # type: ignore[call-overload]  # the modes are "w" and "a"
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def keys_begin_again(root: Path) -> Path:
    """Each class was numbered from 0000 on: 10 cats, 6 dogs, 4 eels, and ten keys."""
    counts = {"cat": 10, "dog": 6, "eel": 4}
    return shard(
        root / "x.tar", (m for name, n in counts.items() for i in range(n) for m in sample(f"{i:04}", name, i))
    )


def corrected_sample_appended(root: Path) -> Path:
    """`tar rf x.tar cat003.jpg cat003.cls`, after the class was corrected: another sample, as WebDataset reads it."""
    shard(root / "x.tar", samples())
    return shard(root / "x.tar", sample("cat003", "dog", 3), mode="a")


def last_sample_appended(root: Path) -> Path:
    """The same with the last sample of the shard, so that all members of the key are adjacent."""
    shard(root / "x.tar", samples())
    return shard(root / "x.tar", sample("dog003", "cat", 3), mode="a")


def images_before_classes(root: Path) -> Path:
    """`tar cf x.tar *.jpg *.cls`."""
    return shard(root / "x.tar", sorted(samples(), key=lambda member: member[0].endswith(".cls")))


def folders_of_parts(root: Path) -> Path:
    """train/ and val/ with shards, and no part in the names of the files."""
    for part, n in (("train", 3), ("val", 1)):
        for name in COLORS:
            shard(root / part / f"{name}.tar", samples(n, [name]))
    return root


def cloned_repository(root: Path) -> Path:
    """A data repository of Hugging Face: data/train-0000.tar, a card, and a picture for it."""
    shard(root / "data/train-0000.tar", samples(3))
    shard(root / "data/validation-0000.tar", samples(1))
    (root / "README.md").write_text("---\nlicense: mit\n---\n")
    return root


def tar_gz(root: Path) -> Path:
    plain = shard(root / "x.tar", samples())
    (root / "x.tar.gz").write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()
    return root / "x.tar.gz"


def folder_of_tgz(root: Path) -> Path:
    for part, n in (("train", 3), ("test", 1)):
        plain = shard(root / f"{part}.tar", samples(n))
        (root / f"{part}.tgz").write_bytes(gzip.compress(plain.read_bytes()))
        plain.unlink()
    return root


def xz_called_tar(root: Path) -> Path:
    """Compressed, though its name does not say so."""
    plain = shard(root / "x.tar", samples())
    plain.write_bytes(lzma.compress(plain.read_bytes()))
    return plain


def several_images(root: Path) -> Path:
    """A sample with its original, a mask and a preview."""
    members = samples()
    for i in range(4):
        mask = [(f"cat{i:03}.seg.png", b"a mask"), (f"cat{i:03}.png", b"a preview")]
        members[i * 4 + 2 : i * 4 + 2] = mask
    return shard(root / "x.tar", members)


def made_on_a_mac(root: Path) -> Path:
    """Beside each file one of the same name with `._` before it, which holds what macOS knows of it."""
    members = [each for name, content in samples() for each in ((f"./._{name}", b"Mac OS X"), (f"./{name}", content))]
    return shard(root / "x.tar", members, tarfile.PAX_FORMAT)


def long_names(root: Path) -> Path:
    members = [(f"{'folder/' * 30}{name}", content) for name, content in samples()]
    return shard(root / "x.tar", members, tarfile.GNU_FORMAT)


def made_with_notepad(root: Path) -> Path:
    """Classes and names of classes in UTF-8 with a byte order mark."""
    members = [(name, b"\xef\xbb\xbf" + content if name.endswith(".cls") else content) for name, content in samples()]
    path = shard(root / "x.tar", members)
    (root / "class_names.json").write_text("{}", encoding="utf-8-sig")
    return path
