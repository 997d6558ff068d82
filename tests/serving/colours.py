"""A real model.onnx that takes no training: it names the strongest of three colours, as slowly as is wanted."""

import io
import json
import os
import signal
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
from onnx import TensorProto, helper
from PIL import Image

from clfctl.data.pixels.transform import Preprocess
from clfctl.inference.onnx_file import INPUT, OUTPUT, to_metadata, with_checksum
from clfctl.models.card import Card

COLOURS = ("red", "green", "blue")
SIDE = 16
# A product of two matrices of this many rows takes some hundredths of a second.
SLOW_ROWS = 1024
START_S = 60.0
Files = list[tuple[str, tuple[str, bytes, str]]]


def colours_model(classes: tuple[str, ...] = COLOURS, n_products: int = 0, **other: Any) -> bytes:
    """Return a model of three classes for what is mostly red, green and blue; each batch takes `n_products` more.

    Of `other`, `last` is its last operator, `records` are as in `to_metadata`.
    """
    constants: dict[str, Any] = {
        "steep": np.float32(8 / 255),
        "nothing": np.float32(0),
        "rows": np.array([SLOW_ROWS if n_products else 1] * 2, np.int64),
    }
    nodes = [
        helper.make_node("Cast", [INPUT], ["seen"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["seen"], ["means"], axes=[1, 2], keepdims=0),
        helper.make_node("Mul", ["means", "steep"], ["logits0"]),
        helper.make_node("ReduceMean", ["seen"], ["all"], axes=[0, 1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["all", "nothing"], ["zero"]),
        helper.make_node("Expand", ["zero", "rows"], ["product0"]),
    ]
    nodes += [helper.make_node("MatMul", [f"product{n}"] * 2, [f"product{n + 1}"]) for n in range(n_products)]
    nodes += [
        helper.make_node("ReduceMax", [f"product{n_products}"], ["still_zero"], axes=[0, 1], keepdims=0),
        helper.make_node("Add", ["logits0", "still_zero"], ["logits"]),
        helper.make_node(other.get("last", "Softmax"), ["logits"], [OUTPUT]),
    ]
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["batch", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", 3])],
        [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    for key, text in to_metadata(Card("colours", classes, Preprocess(SIDE)), "1", other.get("records")).items():
        model.metadata_props.add(key=key, value=text)
    return with_checksum(model.SerializeToString())


def picture(colour: str, size: tuple[int, int] = (40, 30), kind: str = "PNG") -> bytes:
    """Return the bytes of a file of one colour."""
    file = io.BytesIO()
    Image.new("RGB", size, colour if colour != "green" else "lime").save(file, kind)
    return file.getvalue()


def files(*named: tuple[str, bytes]) -> Files:
    """Return a form of several images, as httpx sends it."""
    return [("image", (name, content, "image/png")) for name, content in named]


def class_of(body: bytes) -> str:
    """Return the class that an answer names for its first image."""
    found: str = json.loads(body)["predictions"][0]["class"]
    return found


@dataclass(frozen=True)
class Served:
    """A process of `clfctl serve`, and where it answers."""

    process: subprocess.Popen[str]
    url: str

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        url = httpx.URL(self.url)
        assert url.port is not None
        return url.host, url.port

    def resident_bytes(self) -> int:
        """Return the memory that it has."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Tell it to stop; return its exit code and what it wrote to standard error."""
        self.process.send_signal(number)
        _, err = self.process.communicate(timeout=60)
        return self.process.returncode, err


def start(model: Path, *words: str, prepare: str = "", **variables: str) -> Served:
    """Start `clfctl serve` at a free port; `prepare` is Python that is run in the process before."""
    code = f"{prepare}\nimport sys\nfrom clfctl.__main__ import main\nsys.argv = ['clfctl', *sys.argv[1:]]\nmain()\n"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "serve", str(model), "--port", "0", "--json", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | variables,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise AssertionError(process.communicate(timeout=START_S)[1])
    return Served(process, json.loads(line)["url"])


def rle_bmp(width: int, height: int) -> bytes:
    """A BMP of four bits a pixel, compressed to a hundredth: Pillow goes from pixel to pixel to decode it."""
    palette = bytes((0, 0, 255, 0)) + bytes((0, 255, 0, 0)) * 15
    rows = (b"\xff\x01" * (width // 255) + bytes((width % 255, 1)) + b"\0\0") * height
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 4, 2, len(rows), 0, 0, 16, 0)
    return struct.pack("<2sIHHI", b"BM", 14 + 104 + len(rows), 0, 0, 14 + 104) + head + palette + rows
