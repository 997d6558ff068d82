"""What several processes need to have alike before they train: what one has not is refused in all."""

import hashlib
from functools import cache
from pathlib import Path

import timm
import torch

from clfctl.data.sources.base import Data
from clfctl.data.sources.fingerprint import list_images
from clfctl.engine.world import World
from clfctl.errors import UsageError
from clfctl.settings.groups import TrainSettings
from clfctl.storage.json_lines import dump_json
from clfctl.version import __version__

PACKAGE = Path(__file__).parent.parent


def check_alike(world: World, settings: TrainSettings, data: Data) -> None:
    """Raise UsageError, in all processes, if one has other code, settings or images than the first."""
    if world.is_alone:
        return
    with world.agreeing():
        listing = list_images(data, settings.data)
        digest = hashlib.blake2b(digest_size=16)
        parts = [[*map(int, part.indices)] for part in (data.train, data.val)]
        for each in (data.classes, parts, sorted(listing.sizes.items()), sorted(listing.contents.items())):
            digest.update(dump_json(each).encode())
        # Where things lie may differ between machines.
        alike = settings.model_dump(mode="json", exclude={"data", "data_dir", "runs_dir", "workers", "device"})
        known = {"images": digest.hexdigest(), "settings": dump_json(alike), "code": _code()}
    found = {name: world.texts(text) for name, text in known.items()}
    for name, texts in found.items():
        other = next((rank for rank, text in enumerate(texts) if text != texts[0]), None)
        if other is not None:
            what = f"process {other + 1} of {world.size} has other {name} than the first"
            hint = "all machines need the same version of clfctl, the same images and the same options"
            raise world.known(UsageError(what, hint, field="data" if name == "images" else ""))


@cache
def _code() -> str:
    """Return the versions of what computes, and a digest of this program's own files."""
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted(PACKAGE.rglob("*.py")):
        digest.update(path.read_bytes())
    return f"{__version__} {torch.__version__} {timm.__version__} {digest.hexdigest()}"
