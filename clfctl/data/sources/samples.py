"""The samples of a WebDataset shard: which members of a .tar file belong together, and what class they are of."""

import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from clfctl.data.sources.walk import SUFFIXES, is_visible
from clfctl.errors import DataError, UsageError, shortened
from clfctl.storage.files import BLOCK_BYTES

JSON_KEYS = ("label", "cls", "class")
HINT = 'each image needs its class beside it: for 0001.jpg, 0001.cls or 0001.json with {"label": …}'


class Member(NamedTuple):
    """A file in a shard: its name, and the bytes that it consists of."""

    name: str
    offset: int
    size: int


@dataclass(slots=True)
class _Sample:
    """Adjacent members with one key; `members` are the suffixes so far."""

    key: str
    image: Member | None = None
    class_name: str | None = None
    has_cls: bool = False


@dataclass
class Counts:
    """What was seen in shards that the user may not expect."""

    repeated: int = 0
    first_repeated: str = ""
    several_images: int = 0
    without_image: int = 0
    without_end: list[str] = field(default_factory=list)
    dotted: str = ""

    def notes(self) -> list[str]:
        """Return a sentence for each kind."""
        notes = []
        if self.repeated:
            n = f"{self.repeated:,} keys occur" if self.repeated > 1 else "1 key occurs"
            what = f"{n} more than once in a shard ({shortened(self.first_repeated)})"
            notes.append(f"{what}: each time it is a sample of its own, as WebDataset reads it")
        if self.several_images:
            n = f"{self.several_images:,} samples have" if self.several_images > 1 else "1 sample has"
            notes.append(f"{n} several images, of which the first is used")
        if self.without_image:
            n = f"{self.without_image:,} samples are" if self.without_image > 1 else "1 sample is"
            notes.append(f"{n} left out, with a class but no image")
        if self.without_end:
            n = f"{len(self.without_end):,} shards have" if len(self.without_end) > 1 else "1 shard has"
            notes.append(f"{n} no end mark and may have been cut ({shortened(self.without_end[0])})")
        return notes

    def why(self) -> str:
        """Return why there may be no images, if that is known."""
        if not self.dotted:
            return ""
        key = self.dotted.rpartition("/")[2].partition(".")[0]
        return f"WebDataset takes a name up to its first dot for the key, which is {key!r} of {shortened(self.dotted)}"


def read_samples(path: Path, file: Path, counts: Counts) -> Iterator[tuple[Member, str]]:
    """Yield the image and the class of each sample of the shard `path`, which is read from `file`, in their order.

    Adjacent members with the same key are a sample; a suffix that such members already have begins another one.
    Members of a sample may lie apart if there is no doubt that they belong together. Raises UsageError if there is no
    such file, DataError for one that cannot be read, an image without a class, and keys that are ambiguous.
    """
    try:
        samples = list(_adjacent(path, file, counts))
    except FileNotFoundError:
        raise UsageError(f"{path} does not exist", HINT, field="data") from None
    except (OSError, tarfile.TarError, ValueError) as error:
        hint = "shards are .tar files, as the package webdataset writes them"
        raise DataError(f"{path} cannot be read: {shortened(error)}", hint, field="data") from None
    by_key: dict[str, list[_Sample]] = {}
    for sample in samples:
        by_key.setdefault(sample.key, []).append(sample)
    for key, same in by_key.items():
        if len(same) > 1:
            _join(path, key, same, counts)
    for sample in samples:
        if sample.image is None:
            counts.without_image += sample.class_name is not None
        elif sample.class_name is None:
            raise DataError(f"{path}: {shortened(sample.image.name)} has no class", HINT, field="data")
        else:
            yield sample.image, sample.class_name


def _adjacent(path: Path, file: Path, counts: Counts) -> Iterator[_Sample]:
    """Yield the samples with an image or a class, one for each run of members with the same key."""
    sample, suffixes, n_images = _Sample(""), set[str](), 0
    with tarfile.open(file, "r:") as tar:
        for member in tar:
            folder, slash, name = member.name.rpartition("/")
            stem, _, suffix = name.partition(".")
            suffix = suffix.lower()
            tar.members = []  # type: ignore[attr-defined]  # else it keeps the header of every member
            if not member.isfile() or not is_visible(name):
                continue
            key = f"{folder}{slash}{stem}"
            if key != sample.key or suffix in suffixes:
                if sample.image or sample.class_name is not None:
                    yield sample
                sample, suffixes = _Sample(key), set()
            suffixes.add(suffix)
            if f".{suffix}" in SUFFIXES:
                n_images += 1
                counts.several_images += sample.image is not None
                sample.image = sample.image or Member(member.name, member.offset_data, member.size)
            elif suffix in ("cls", "json") and (content := tar.extractfile(member)):
                _note_class(path, sample, member.name, suffix, content.read())
            elif f".{suffix.rpartition('.')[2]}" in SUFFIXES:
                counts.dotted = counts.dotted or member.name
        _check_end(path, file, tar.offset, n_images, counts)
    if sample.image or sample.class_name is not None:
        yield sample


def _check_end(path: Path, file: Path, offset: int, n_images: int, counts: Counts) -> None:
    """Check that a shard ends where its members do: tarfile takes a damaged header for the end, and stops there.

    An archive ends in blocks of zeros. Some writers leave them out, so that a file without them is only noted. Raises
    DataError if anything else follows.
    """
    with file.open("rb") as content:
        content.seek(offset)
        first = content.read(tarfile.BLOCKSIZE)
        if not first:
            counts.without_end.append(str(path))
        rest = iter(lambda: content.read(BLOCK_BYTES), b"")
        is_damaged = any(first)
        if not is_damaged and not any(block.count(0) < len(block) for block in rest):
            return
    if is_damaged:
        what = f"{path} is damaged at byte {offset:,}, after {n_images:,} images: no member of the archive begins there"
        raise DataError(what, "write or download this shard again", field="data")
    what = f"{path} goes on after the end of the archive at byte {offset:,}, after {n_images:,} images"
    raise DataError(what, "if several archives were joined, keep each in a file of its own", field="data")


def _note_class(path: Path, sample: _Sample, member: str, suffix: str, content: bytes) -> None:
    """Keep the class that a member names, if any; `.cls` wins over JSON. Raises DataError if it cannot be one."""
    try:
        if suffix == "cls":
            class_name = content.decode("utf-8-sig").strip()
            if not class_name:
                raise DataError(f"{path}: {shortened(member)} is empty", HINT, field="data")
            sample.class_name, sample.has_cls = class_name, True
            return
        value = json.loads(content)
    except ValueError as error:
        what = f"{path}: {shortened(member)} cannot be read: {shortened(error)}"
        raise DataError(what, HINT, field="data") from None
    label = next((value[each] for each in JSON_KEYS if each in value), None) if isinstance(value, dict) else None
    if isinstance(label, str | int) and str(label).strip() and not sample.has_cls:
        sample.class_name = str(label)


def _join(path: Path, key: str, same: list[_Sample], counts: Counts) -> None:
    """Make samples with the same key whole, where it is clear which belong together. Raises DataError where not."""
    if all(each.image and each.class_name is not None for each in same):
        counts.repeated += 1
        counts.first_repeated = counts.first_repeated or key
        return
    images = [each for each in same if each.image]
    classes = [each for each in same if each.class_name is not None]
    if not images:
        return
    if len(images) == len(classes) == 1:
        # Such as all images first, and then all classes.
        images[0].class_name, classes[0].class_name = classes[0].class_name, None
        return
    half = next(each for each in same if not each.image or each.class_name is None)
    what = half.image.name if half.image else f"a class of {key}"
    raise DataError(
        f"{path}: the key {shortened(key)} occurs {len(same)} times, and {shortened(what)} stands alone",
        "keep the members of a sample next to each other, or give each sample a key of its own",
        field="data",
    )
