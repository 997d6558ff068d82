"""What is sent to a server: images and models are measured before they are decoded, and lead nowhere."""

import io
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import xxhash
from onnx import TensorProto, helper
from PIL import Image, ImageFile

from clfctl.errors import ModelError
from clfctl.inference.open import open_predictor
from clfctl.inference.prediction import Choice
from clfctl.inference.sent_images import MOST_SCANS, SCAN
from clfctl.inference.stream import answers
from clfctl.inference.uploads import Limits, open_sent_image, open_sent_model
from clfctl.runs.folder import RunFolder
from clfctl.runs.header import CHECKSUM_BYTES, META
from clfctl.storage.tensor_file import make_header, read_header, read_metadata
from tests.inference.conftest import digit
from tests.serving.colours import rle_bmp

LIMITS = Limits(image_bytes=100_000, model_bytes=100_000_000, pixels=10_000)
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n"


def saved(picture: Image.Image, kind: str = "png") -> bytes:
    file = io.BytesIO()
    picture.save(file, kind)
    return file.getvalue()


def test_an_image_within_the_limits_is_opened_and_not_decoded() -> None:
    image = open_sent_image(saved(Image.new("RGB", (100, 100))), LIMITS)
    assert image.size == (100, 100)
    assert isinstance(image, ImageFile.ImageFile)
    assert image.tile  # what Pillow has yet to decode


BAD: list[tuple[Callable[[], bytes], str]] = [
    (lambda: bytes(100_001), "has 0.1 MB, and at most 0.1 MB are taken"),
    (lambda: saved(Image.new("1", (101, 100))), "has 101 x 100 pixels, and 0.01 million is the most"),
    (lambda: EPS, "cannot identify image file"),
    (lambda: saved(Image.new("RGB", (16, 16)), "ico"), "cannot identify image file"),
    (lambda: saved(Image.new("RGB", (16, 16)), "jpeg2000"), "cannot identify image file"),
    (lambda: saved(Image.new("RGB", (16, 16)), "jpeg") + SCAN * MOST_SCANS, "is a JPEG of more than 100 scans"),
    (lambda: saved(Image.new("I;16", (99, 99))), "99 x 99 pixels of more than 8 bits, and 0.0025 million"),
    (lambda: rle_bmp(99, 99), "is a BMP of a kind that takes too long to decode"),
    (lambda: b"", "has no bytes"),
    (lambda: b"no image", "cannot identify image file"),
]


@pytest.mark.parametrize(("content", "why"), BAD)
def test_an_image_beyond_them_is_not(content: Callable[[], bytes], why: str) -> None:
    with pytest.raises(OSError, match=why):
        open_sent_image(content(), LIMITS)


def test_a_bomb_is_refused_by_what_its_header_says() -> None:
    content = bytearray(saved(Image.new("1", (8, 8))))
    content[16:24] = (30_000).to_bytes(4, "big") * 2  # 900 million pixels in 70 bytes, its checksum wrong besides
    with pytest.raises(OSError, match=r"exceeds limit|cannot identify"):
        open_sent_image(bytes(content), Limits())


def asked(predictor: Any) -> np.ndarray:
    found = answers(predictor, [("", predictor.look(digit(0)))], Choice(10))[0]
    return np.array([probability for _, probability in sorted(found.classes)])


@pytest.mark.parametrize("which", ["best", "onnx"])
def test_a_model_that_is_sent_answers_as_its_file_does(which: str, run: RunFolder, tmp_path: Path) -> None:
    file: Path = getattr(run, which)
    before = {*tmp_path.rglob("*")}
    sent = open_sent_model(file.read_bytes(), f"../../etc/{file.name}", LIMITS, 1)
    assert np.abs(asked(sent) - asked(open_predictor(file, 1, lambda _: None))).max() < 1e-6
    assert {*tmp_path.rglob("*")} == before


def changed(file: Path, **values: Any) -> bytes:
    """A checkpoint whose JSON says something else, with a checksum that fits."""
    content = file.read_bytes()
    header = read_header(io.BytesIO(content))
    meta = {**json.loads(header.metadata[META]), **values}
    raw = make_header(header.entries, {META: json.dumps(meta)}).raw + content[len(header.raw) : -CHECKSUM_BYTES]
    return raw + xxhash.xxh3_128(raw).digest()


def test_no_path_in_a_checkpoint_is_looked_at(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = list[str]()
    real = os.stat

    def watched(path: Any, *more: Any, **named: Any) -> os.stat_result:
        seen.append(str(path))
        return real(path, *more, **named)

    monkeypatch.setattr(os, "stat", watched)
    settings = json.loads(read_metadata(run.best)[META])["settings"]
    paths = {"data": "secret/images", "data_dir": "secret/data", "cache_dir": "secret/cache", "distill": "secret/run"}
    content = changed(run.best, settings={**settings, **paths}, given_in="/secret")
    open_sent_model(content, "x.safetensors", LIMITS, 1)
    assert seen
    assert not [path for path in seen if "secret" in path]


LEADS: list[tuple[Mapping[str, Any], str]] = [
    ({"model": "local-dir:/etc"}, "'local-dir:/etc', is none that is taken from others"),
    ({"model": "hf-hub:someone/net"}, "'hf-hub:someone/net', is none that is taken from others"),
    ({"model": "vit_giant_patch14_224"}, "does not hold the weights of vit_giant_patch14_224"),
    ({"preprocess": {"image_size": 100_000}}, "sees 100000 x 100000 pixels"),
    ({"model": None}, "is none that is taken"),
    ({"settings": 3}, "is not a checkpoint of clfctl"),
]


@pytest.mark.parametrize(("values", "why"), LEADS)
def test_a_checkpoint_that_asks_for_more_than_itself_is_refused(
    values: Mapping[str, Any], why: str, run: RunFolder
) -> None:
    with pytest.raises(ModelError, match=why):
        open_sent_model(changed(run.best, **values), "x.safetensors", LIMITS, 1)


def pickled() -> bytes:
    file = io.BytesIO()
    torch.save({"model": torch.zeros(3)}, file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("x.pth", pickled(), "neither a checkpoint"),
        ("x.safetensors", pickled(), "it is not a safetensors file"),
        ("x.safetensors", b"", "it is empty"),
        ("x.onnx", pickled(), "it cannot be read"),
        ("x.onnx", b"", "it"),
        ("safetensors", b"", "neither a checkpoint"),
    ],
)
def test_what_is_no_model_is_refused_and_never_unpickled(name: str, content: bytes, why: str) -> None:
    with pytest.raises(ModelError, match=why) as caught:
        open_sent_model(content, name, LIMITS, 1)
    assert "clfctl-" not in str(caught.value)  # the folder that it lay in for a moment


def test_a_damaged_checkpoint_is_refused(run: RunFolder) -> None:
    content = bytearray(run.best.read_bytes())
    content[-1000] ^= 1
    with pytest.raises(ModelError, match="its checksum does not match its content"):
        open_sent_model(bytes(content), "x.safetensors", LIMITS, 1)
    with pytest.raises(ModelError, match="cut short"):
        open_sent_model(bytes(content[:-1]), "x.safetensors", LIMITS, 1)


def test_a_model_that_is_too_large_is_refused() -> None:
    with pytest.raises(ModelError, match=r"it has 0.1 MB, and at most 0.1 MB are taken"):
        open_sent_model(bytes(100_001), "x.onnx", Limits(model_bytes=100_000), 1)


@pytest.mark.parametrize("as_constant", [False, True])
def test_an_onnx_file_that_names_other_files_does_not_see_them(
    as_constant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its weights may lie in another file: in the working folder of the server, for one that was sent as bytes."""
    Path("secret").write_bytes(np.arange(4, dtype=np.float32).tobytes())
    weights = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    weights.external_data.add(key="location", value="secret")
    made = helper.make_node("Constant", [], ["w"], value=weights) if as_constant else None
    nodes = [*([made] if made else []), helper.make_node("Add", ["x", "w"], ["y"])]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in "xy"]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], [] if made else [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    with pytest.raises(ModelError, match="it cannot be read"):
        open_sent_model(model.SerializeToString(), "x.onnx", LIMITS, 1)
    assert isinstance(model, onnx.ModelProto)
