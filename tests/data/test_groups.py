"""Images that belong together stay on one side of the split, and in one fold of a cross-validation."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from typer.testing import Result

from clfctl.data.sources.groups import about_groups, grouped_split
from clfctl.data.sources.open import open_data
from clfctl.errors import ClfctlError
from clfctl.probing.heads import fit_head
from clfctl.settings.data import DataSettings

SETS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 11)), min_size=12, max_size=120)


@given(SETS, st.floats(0.05, 0.6), st.integers(0, 3))
def test_no_group_is_divided_and_every_class_is_trained(images: list[tuple[int, int]], share: float, seed: int) -> None:
    labels, groups = [label for label, _ in images], np.array([group for _, group in images], np.int64)
    try:
        train, val = grouped_split(labels, groups, share, seed)
    except ClfctlError:  # whose sentence the table below has
        return
    assert sorted([*train, *val]) == list(range(len(images)))
    assert not {*groups[train]} & {*groups[val]}
    assert {labels[index] for index in train} == {*labels}
    assert grouped_split(labels, groups, share, seed) == (train, val)
    # What goes there brings the counts nearer to the share than an empty validation set is.
    counts, found = np.bincount(labels, minlength=3), np.bincount([labels[index] for index in val], minlength=3)
    assert ((counts * share - found) ** 2).sum() < ((counts * share) ** 2).sum()


def test_many_small_groups_are_split_as_exactly_as_single_images() -> None:
    labels = [n % 5 for n in range(3000)]
    groups = np.arange(3000) // 15  # 200 groups with three images of each class
    train, val = grouped_split(labels, groups, 0.2, 0)
    assert np.bincount([labels[index] for index in val]).tolist() == [120] * 5
    assert len(train) == 2400
    assert grouped_split(labels, groups, 0.2, 1)[1] != val


def test_a_class_of_one_group_is_named() -> None:
    labels, groups = [0, 0, 1, 1, 1], np.array([0, 0, 1, 2, 2])
    (note,) = about_groups(labels, groups, ("cat", "dog"))
    assert note == "1 class is of one group only, kept for training and so missing in validation: cat"


def test_a_folder_goes_by_the_paths(tmp_path: Path) -> None:
    for label in ("cat", "dog"):
        for patient in range(5):
            for number in range(4):
                path = tmp_path / "photos" / label / f"patient_{label}{patient}_{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (8, 8), (10 * patient, 20 * number, 0)).save(path)
    data = open_data(DataSettings(data=str(tmp_path / "photos"), group_by="patient_([a-z0-9]+)"), 0)
    found = [
        {data.train.source.name(index).rsplit("_", 1)[0] for index in part.indices} for part in (data.train, data.val)
    ]
    assert not found[0] & found[1]
    assert (len(data.train), len(data.val)) == (32, 8)
    assert data.train.groups is not None


def table_of(tmp_path: Path, rows: list[str]) -> str:
    for number in range(12):
        Image.new("RGB", (8, 8), (20 * number, 0, 0)).save(tmp_path / f"{number}.png")
    (tmp_path / "table.csv").write_text("\n".join(rows) + "\n")
    return str(tmp_path / "table.csv")


def test_a_table_goes_by_a_column(tmp_path: Path) -> None:
    rows = [f"{n}.png,{'ab'[n % 2]},{'' if n > 9 else n // 2}" for n in range(12)]
    data = open_data(DataSettings(data=table_of(tmp_path, ["path,label,patient", *rows]), group_by="patient"), 0)
    groups = data.train.groups
    assert groups is not None
    assert len({*groups.tolist()}) == 7  # five patients, and two images that belong to nothing
    assert not {*groups[np.asarray(data.train.indices)]} & {*groups[np.asarray(data.val.indices)]}


def test_groups_on_both_sides_of_a_given_split_are_told(tmp_path: Path) -> None:
    rows = [f"{n}.png,{'ab'[n % 2]},{'val' if n > 7 else 'train'},{n // 3}" for n in range(12)]
    data = open_data(DataSettings(data=table_of(tmp_path, ["path,label,split,who", *rows]), group_by="who"), 0)
    assert "1 group has images in training and in validation, whose accuracy is then too good" in data.notes


@pytest.mark.parametrize(
    ("given_", "sentence"),
    [
        ("patient_(", "--group-by: 'patient_(' is not a regular expression"),
        ("nobody", "is not found in"),
        ("photos", "of 1 group of images none can be kept for validation"),
    ],
)
def test_what_does_not_do_is_a_sentence(cli: Callable[..., Result], photos: Path, given_: str, sentence: str) -> None:
    result = cli("train", "--data", str(photos), "--group-by", given_, "--dry-run")
    assert result.exit_code in (1, 2)
    assert sentence in " ".join(result.stderr.split())


def test_a_table_without_the_column_is_told(cli: Callable[..., Result], tmp_path: Path) -> None:
    table = table_of(tmp_path, ["path,label", "0.png,a", "1.png,b"])
    result = cli("train", "--data", table, "--group-by", "patient", "--dry-run")
    assert result.exit_code == 1
    assert "has no column 'patient'; it has path, label" in " ".join(result.stderr.split())


def test_cross_validation_keeps_groups_together() -> None:
    """Images of a group are alike beyond their class: a choice by divided groups takes that for knowledge."""
    draw = np.random.default_rng(0)
    groups = np.repeat(np.arange(30), 6)
    labels = groups % 2
    own = draw.normal(size=(30, 40))[groups]
    features = np.concatenate(
        [own + 0.05 * draw.normal(size=own.shape), 0.5 * labels[:, None] + draw.normal(size=(180, 1))], 1
    )
    views = features.astype(np.float32)[None]
    divided, together = fit_head(views, labels, 2, 0), fit_head(views, labels, 2, 0, groups)
    assert max(each.top1 for each in divided.tried) > 0.95
    assert max(each.top1 for each in together.tried) < 0.9
