"""Images and models that are sent to a server: measured before they are decoded; no name of theirs reaches the disk."""

import json
import tempfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import xxhash
from PIL import Image

from clfctl.data.onlookers import no_line
from clfctl.data.pixels.unreadable import BadImageError
from clfctl.errors import ClfctlError, ModelError, shortened
from clfctl.inference.open import open_predictor
from clfctl.inference.predictor import Predictor
from clfctl.inference.sent_images import MILLION, open_guarded
from clfctl.models.custom import N_PARAMETERS
from clfctl.models.timm_table import read_table
from clfctl.runs.checkpoint import CHECKSUM, EMA, MEAN, MODEL
from clfctl.runs.folder import CHECKPOINT_SUFFIX, ONNX_SUFFIX
from clfctl.runs.header import CHECKSUM_BYTES, META
from clfctl.settings.image_size import ImageSize, read_image_size, sides
from clfctl.settings.in_browser import MEGABYTES, MEGAPIXELS, MODEL_MEGABYTES
from clfctl.settings.network import NetworkSettings
from clfctl.storage.files import replace_file
from clfctl.storage.json_lines import dump_json
from clfctl.storage.tensor_file import Header, make_header, read_header

# Height times width of what a model sees: 2,048 pixels squared are more than any network is trained on.
MOST_SEEN = 2048 * 2048
# The settings that a network is built from.
_OF_NETWORK = NetworkSettings.model_fields.keys() - {"model"}
MODELS = (CHECKPOINT_SUFFIX, ONNX_SUFFIX)


@dataclass(frozen=True)
class Limits:
    """The most that is taken: the bytes of an image and of a model, and an image's pixels."""

    image_bytes: int = MEGABYTES * MILLION
    model_bytes: int = MODEL_MEGABYTES * MILLION
    pixels: int = MEGAPIXELS * MILLION


def open_sent_image(content: bytes, limits: Limits) -> Image.Image:
    """Open an image from its bytes; no pixel is decoded yet. Raises BadImageError, with the reason."""
    if len(content) > limits.image_bytes:
        raise BadImageError(f"has {_mega(len(content))} MB, and at most {_mega(limits.image_bytes)} MB are taken")
    return open_guarded(content, limits.pixels)


def open_sent_model(content: bytes, name: str, limits: Limits, n_threads: int) -> Predictor:
    """Return the model of a checkpoint or an .onnx file that was sent; of its `name` only the ending counts.

    It is never unpickled, and runs no code of its own. Raises ClfctlError, in whose message the model has no name.
    """
    suffix = next((each for each in MODELS if name.lower().endswith(each)), "")
    if not suffix:
        raise ModelError(f"it is neither a checkpoint ({CHECKPOINT_SUFFIX}) nor an {ONNX_SUFFIX} file")
    if len(content) > limits.model_bytes:
        what = f"it has {_mega(len(content))} MB, and at most {_mega(limits.model_bytes)} MB are taken"
        raise ModelError(what)
    if suffix == CHECKPOINT_SUFFIX:
        content = _without_paths(content)
    # Two folders down: a checkpoint that lies there has no run around it.
    with tempfile.TemporaryDirectory(prefix="clfctl-") as folder:
        file = Path(folder) / "sent" / "here" / f"model{suffix}"
        file.parent.mkdir(parents=True)
        replace_file(file, [content])
        try:
            predictor = open_predictor(file, n_threads, no_line)
            for view in predictor.info.views:
                _check_view(*view.size)
            return predictor
        except ClfctlError as error:
            raise ModelError(_plain(error.message, file)) from None
        except ValueError as error:
            raise ModelError(shortened(error, 200)) from None
        except Exception as error:  # a stranger's file may say anything of itself
            raise ModelError(f"it cannot be used: {type(error).__name__}") from None


def _without_paths(content: bytes) -> bytes:
    """Return a checkpoint with nothing in it but what its network is, verified. Raises ModelError."""
    try:
        header = read_header(BytesIO(content))
        if header.n_bytes != len(content) or not header.entries or header.entries[-1] != CHECKSUM:
            raise ValueError("it is cut short, or was not written by clfctl")
        if xxhash.xxh3_128(content[:-CHECKSUM_BYTES]).digest() != content[-CHECKSUM_BYTES:]:
            raise ValueError("it is damaged: its checksum does not match its content")
        meta = dict(json.loads(header.metadata[META]))
        _check_size(header, str(meta["model"]), read_image_size(meta["preprocess"]["image_size"]))
        settings = {key: value for key, value in meta["settings"].items() if key in _OF_NETWORK}
        meta = {**meta, "settings": settings, "given_in": ""}
    except ValueError as error:
        raise ModelError(shortened(error, 200)) from None
    except (KeyError, TypeError, AttributeError, RecursionError):
        raise ModelError("it is not a checkpoint of clfctl") from None
    new = make_header(header.entries, {META: dump_json(meta)}).raw
    whole = new + content[len(header.raw) : -CHECKSUM_BYTES]
    return whole + xxhash.xxh3_128(whole).digest()


def _check_size(header: Header, name: str, image_size: ImageSize) -> None:
    """Raise ValueError for a network that clfctl does not know by its name alone, or whose weights are not there.

    A name may lead to a folder or to a hub, and a small file must not ask for what fills the memory.
    """
    _check_view(*sides(image_size))
    row = read_table()[1].get(name.partition(".")[0])
    n_parameters = N_PARAMETERS.get(name) or (row.n_parameters if row else 0)
    if not n_parameters:
        raise ValueError(f"its network, {shortened(name)!r}, is none that is taken from others")
    weights = [each for each in header.entries if each.name.startswith((MODEL, EMA, MEAN))]
    # In 16 bits, with a head of other classes: half of what the table has would already be little.
    if sum(each.n_bytes for each in weights) < n_parameters:
        raise ValueError(f"it does not hold the weights of {name}")


def _check_view(height: int, width: int) -> None:
    if height * width > MOST_SEEN:
        raise ValueError(f"it sees {height} x {width} pixels, which is more than is computed for others")


def _mega(n: int) -> str:
    return f"{n / MILLION:,.1f}".removesuffix(".0")


def _plain(message: str, file: Path) -> str:
    """Return a message without the name that the file had for a moment."""
    return message.replace(str(file), "it")
