"""The model.onnx of clfctl: ONNX that any runtime reads, with what is needed to use it, and a checksum at its end.

Its graph takes `pixels` (B, H, W, 3) uint8 RGB and gives `probabilities` (B, n_classes) float32:
scaling by mean and standard deviation is part of it, so that nobody can do it wrong. Under the key `clfctl` its
metadata has a JSON object with all that is needed to make the pixels and to name the classes. An ensemble whose members
see an image in several ways takes each of them: `pixels`, `pixels_2`, `pixels_3`, …. A graph that takes whole images,
of any size, has one input, and does what `preprocess` says by itself. Records of what the export changed and found
stand beside that under names of their own.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xxhash

from clfctl.errors import DamagedError, ModelError
from clfctl.models.card import Card
from clfctl.storage.files import reason_of

# The second is that of several inputs, the third that of whole images, which an older clfctl would scale before the
# graph does; it says that it cannot read those, and still reads the others.
PREPARED, SEVERAL, OF_WHOLE = 1, 2, 3
FORMAT = OF_WHOLE
META, INPUT, OUTPUT = "clfctl", "pixels", "probabilities"
INT8, AGREEMENT = RECORDS = ("int8", "agreement")
_DIGEST_CHARS = 32
# One more entry of the metadata, as bytes: protocol buffers that are put one after the other are one message. Field 14
# of a ModelProto is a StringStringEntryProto, of a key and a value.
_KEY = b"clfctl_xxh3"
_ENTRY = bytes([0x0A, len(_KEY)]) + _KEY + bytes([0x12, _DIGEST_CHARS])
_BEFORE_DIGEST = bytes([0x72, len(_ENTRY) + _DIGEST_CHARS]) + _ENTRY


def to_metadata(card: Card, version: str, records: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Return the metadata of a model that clfctl `version` exports; `records` have names of RECORDS."""
    needed = OF_WHOLE if card.takes_whole else SEVERAL if card.others else PREPARED
    return {META: json.dumps({"format": needed, "clfctl": version, **card.as_json(), **(records or {})})}


def records_in(metadata: Mapping[str, str]) -> dict[str, Any]:
    """Return the records of a file's metadata, which `from_metadata` could read."""
    found = json.loads(metadata[META])
    return {name: found[name] for name in RECORDS if name in found}


def input_names(n_views: int) -> list[str]:
    """Return what the inputs of a graph are called that takes an image in so many views."""
    return [INPUT, *(f"{INPUT}_{n}" for n in range(2, n_views + 1))]


def from_metadata(path: Path, metadata: Mapping[str, str]) -> Card:
    """Return what the metadata of a file says. Raises ModelError if it says nothing, or says it in a newer format."""
    try:
        found: dict[str, Any] = json.loads(metadata[META])
        if found["format"] > FORMAT:
            raise ModelError(f"{path} was written by a newer clfctl (format {found['format']})", "update clfctl")
        return Card.from_json(found)
    except (KeyError, TypeError, ValueError, AttributeError):
        hint = "it does not say what its classes are; clfctl export makes one that does"
        raise ModelError(f"{path} was not made by clfctl export", hint) from None


def with_checksum(content: bytes) -> bytes:
    """Return a model with the checksum of all its bytes after them."""
    return content + _BEFORE_DIGEST + xxhash.xxh3_128_hexdigest(content).encode()


def read_onnx(path: Path) -> bytes:
    """Read a model, and verify its checksum if it ends with one: tools that change a model drop it.

    Raises DamagedError if it cannot be read, or is not what was written.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DamagedError(f"{path} cannot be read: {reason_of(error)}") from None
    model, before, digest = (
        content[: -_DIGEST_CHARS - len(_BEFORE_DIGEST)],
        content[-_DIGEST_CHARS - len(_BEFORE_DIGEST) : -_DIGEST_CHARS],
        content[-_DIGEST_CHARS:],
    )
    if before == _BEFORE_DIGEST and digest != xxhash.xxh3_128_hexdigest(model).encode():
        raise DamagedError(
            f"{path} is damaged: its checksum does not match its content", "clfctl export makes a new one"
        )
    return content
