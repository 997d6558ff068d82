"""Data sets as Hugging Face's libraries write them, without those libraries: Parquet repositories, and save_to_disk."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from tests.real.shards import jpeg

PETS = ("cat", "dog")
IMAGE = pa.struct({"bytes": pa.binary(), "path": pa.string()})
IMAGE_FEATURE = {"_type": "Image"}
LABEL_FEATURE = {"names": list(PETS), "_type": "ClassLabel"}
FEATURES: Mapping[str, Any] = {"image": IMAGE_FEATURE, "label": LABEL_FEATURE}
CARD = "---\ndataset_info:\n  features:\n  - name: image\n    dtype: image\n---\n# Pets\n"


def columns(labels: Sequence[Any], name: str = "label", first: int = 0) -> dict[str, Any]:
    """Return images in the colours of their labels (names, or numbers of PETS; others are cats)."""
    words = [label if label in PETS else PETS[label] if label in (0, 1) else "cat" for label in labels]
    images = [{"bytes": jpeg(word, first + i), "path": f"{first + i}.jpg"} for i, word in enumerate(words)]
    return {"image": pa.array(images, IMAGE), name: labels}


def write(path: Path, table: Mapping[str, Any], features: Mapping[str, Any] | None = FEATURES) -> Path:
    """Write a Parquet file in blocks of three rows, with the features in its metadata as `datasets` keeps them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = pa.table(table)
    if features is not None:
        info = json.dumps({"info": {"features": features}})
        made = made.replace_schema_metadata({"huggingface": info})
    parquet.write_table(made, path, row_group_size=3, compression="snappy")
    return path


def cloned_repository(root: Path) -> Path:
    """`git clone https://huggingface.co/datasets/…`: two files of train, one of test, a card, and a picture for it."""
    write(root / "data/train-00000-of-00002.parquet", columns([0, 1, 0, 1]))
    write(root / "data/train-00001-of-00002.parquet", columns([1, 0, 1, 0], first=4))
    write(root / "data/test-00000-of-00001.parquet", columns([0, 1], first=8))
    (root / "assets").mkdir()
    (root / "assets/banner.jpg").write_bytes(jpeg("eel", 0))
    (root / "README.md").write_text(CARD)
    return root


def with_a_configuration(root: Path) -> Path:
    """Files in a folder that is called as the only configuration, as cifar10/plain_text/."""
    write(root / "plain_text/train-00000-of-00001.parquet", columns([0, 1, 0, 1]))
    write(root / "plain_text/test-00000-of-00001.parquet", columns([0, 1], first=4))
    (root / "README.md").write_text(CARD)
    return root


def single_file(root: Path) -> Path:
    return write(root / "pets.parquet", columns([0, 1, 0, 1]))


def with_words(root: Path) -> Path:
    """Classes in words, in a file that another program wrote."""
    return write(root / "pets.parquet", columns(["cat", "dog"] * 2, "category"), None)


def with_bytes(root: Path) -> Path:
    """Images as plain bytes, as pandas writes them."""
    table = columns(["cat", "dog"] * 2)
    table["image"] = pa.array([each["bytes"] for each in table["image"].to_pylist()], pa.large_binary())
    return write(root / "pets.parquet", table, None)


def without_test_labels(root: Path) -> Path:
    """A repository whose test labels are kept secret: all are -1."""
    write(root / "data/train-00000-of-00001.parquet", columns([0, 1, 0, 1]))
    write(root / "data/validation-00000-of-00001.parquet", columns([0, 1], first=4))
    write(root / "data/test-00000-of-00001.parquet", columns([-1, -1], first=6))
    return root


def on_disk(folder: Path, labels: Sequence[Any] | None, first: int = 0) -> Path:
    """Write one split as `save_to_disk` does; None leaves out the column of labels."""
    table = columns(labels if labels is not None else [0, 1], first=first)
    features = dict(FEATURES)
    if labels is None:
        del table["label"], features["label"]
    folder.mkdir(parents=True)
    made = pa.table(table)
    with (
        pa.OSFile(str(folder / "data-00000-of-00001.arrow"), "wb") as file,
        pa.ipc.new_stream(file, made.schema) as out,
    ):
        out.write_table(made)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}))
    (folder / "dataset_info.json").write_text(json.dumps({"features": features}))
    return folder


def saved(root: Path, **splits: Sequence[Any] | None) -> Path:
    """A DatasetDict."""
    for number, (name, labels) in enumerate(splits.items()):
        on_disk(root / name, labels, 10 * number)
    (root / "dataset_dict.json").write_text(json.dumps({"splits": list(splits)}))
    return root


def imagenet_like(root: Path) -> Path:
    """ImageNet-1k: the test split has the label -1 throughout."""
    return saved(root, train=[0, 1, 0, 1], validation=[0, 1], test=[-1, -1])


def without_label_column(root: Path) -> Path:
    return saved(root, train=[0, 1, 0, 1], validation=[0, 1], test=None)


def partly_labelled(root: Path) -> Path:
    return saved(root, train=[0, 1, 0, 1], validation=[0, -1, 1, None], unsupervised=[-1])


def test_only(root: Path) -> Path:
    return saved(root, test=[0, 1])
