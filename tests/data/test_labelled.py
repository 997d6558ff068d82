"""Images to measure a model on: opened with little asked of them, and matched with the model's classes by name."""

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from clfctl.data.sources.base import FileImages, Part
from clfctl.data.sources.labelled import ALL, Labelled, held_out, match, open_other
from clfctl.data.sources.open import open_data
from clfctl.errors import ClfctlError, DataError, UsageError
from clfctl.settings.data import DataSettings

RUN = ("blue", "green", "red")


def settings_for(data: Path | str, **values: object) -> DataSettings:
    return DataSettings(data=str(data), **values)


def counts(labelled: Labelled) -> dict[str, int]:
    labels = [labelled.part.source.labels[index] for index in labelled.part.indices]
    return {name: labels.count(number) for number, name in enumerate(labelled.classes)}


def test_a_folder_without_parts_is_measured_whole(photos: Path) -> None:
    found = open_other(settings_for(photos, val_split=0.25, max_per_class=1), "val")
    assert (found.classes, found.split, counts(found)) == (RUN, ALL, {"blue": 8, "green": 8, "red": 8})


def test_one_class_is_enough_and_empty_ones_do_no_harm(photos: Path) -> None:
    shutil.rmtree(photos / "red")
    for image in (photos / "green").iterdir():
        image.unlink()
    assert counts(open_other(settings_for(photos), "test")) == {"blue": 8, "green": 0}


def test_parts_need_no_training_images(photos: Path) -> None:
    data = photos.parent / "data"
    shutil.move(photos, data / "test")
    found = open_other(settings_for(data), "test")
    assert (found.split, sum(counts(found).values())) == ("test", 24)
    with pytest.raises(UsageError, match="has no val images") as error:
        open_other(settings_for(data), "val")
    assert error.value.hint == "there are: test"


def test_a_class_that_is_called_test_is_a_class(photos: Path) -> None:
    (photos / "red").rename(photos / "test")
    assert open_other(settings_for(photos), "test").classes == ("blue", "green", "test")


def test_training_images_are_not_measured(photos: Path) -> None:
    data = photos.parent / "data"
    shutil.move(photos, data / "train")
    with pytest.raises(UsageError) as error:
        open_other(settings_for(data), "val")
    assert error.value.hint == "there are only training images"


def test_a_table_may_have_one_class_or_only_test_rows(photos: Path) -> None:
    table = photos.parent / "t.csv"
    table.write_text("path,label\nphotos/red/0.jpg,red\nphotos/red/1.jpg,red\n")
    assert counts(open_other(settings_for(table), "val")) == {"red": 2}
    table.write_text("path,label,split\nphotos/red/0.jpg,red,test\nphotos/blue/1.jpg,blue,test\n")
    found = open_other(settings_for(table), "test")
    assert (found.split, counts(found)) == ("test", {"blue": 1, "red": 1})
    with pytest.raises(UsageError, match="has no val images"):
        open_other(settings_for(table), "val")


def test_data_known_by_name_is_measured_whole_where_it_has_no_parts() -> None:
    found = open_other(settings_for("digits"), "val")
    assert (found.split, len(found.part)) == (ALL, 1797)
    assert len(held_out("digits", open_data(settings_for("digits"), 0), "val").part) == 359


@pytest.mark.parametrize("make", ["empty", "loose", "gone", "file"])
def test_what_cannot_be_measured_is_said(make: str, tmp_path: Path) -> None:
    root = tmp_path / "x"
    if make in ("empty", "loose"):
        root.mkdir()
    if make == "loose":
        Image.new("RGB", (8, 8)).save(root / "a.png")
    if make == "file":
        root.write_text("no")
    with pytest.raises(ClfctlError, match=r"data: .*x "):
        open_other(settings_for(root), "val")


@given(st.permutations(["a", "b", "c", "d", "new", "newer"]), st.permutations(["a", "b", "c", "d", "old"]), st.data())
def test_labels_are_those_of_the_names(theirs: list[str], ours: list[str], data: st.DataObject) -> None:
    """Whatever the order of the classes on either side, an image keeps the name of its class."""
    theirs = theirs[: data.draw(st.integers(1, 6))]
    labels = data.draw(st.lists(st.integers(0, len(theirs) - 1), min_size=1, max_size=20))
    indices = sorted(data.draw(st.sets(st.integers(0, len(labels) - 1), min_size=1)))
    images = Labelled(tuple(theirs), Part(FileImages([f"{i}" for i in range(len(labels))], labels), indices), "val")
    names = {index: theirs[labels[index]] for index in indices}
    if not set(names.values()) & set(ours):
        with pytest.raises(DataError, match="none of its classes"):
            match(images, ours)
        return
    found = match(images, ours)
    assert {i: ours[found.part.source.labels[i]] for i in found.part.indices} == {
        i: name for i, name in names.items() if name in ours
    }
    assert found.unknown == {
        name: list(names.values()).count(name) for name in theirs if name not in ours and name in names.values()
    }
    assert set(found.absent) == set(ours) - set(names.values())
    assert [found.part.source.name(i) for i in found.part.indices] == [str(i) for i in found.part.indices]


def test_nothing_is_renumbered_where_the_classes_are_the_same(photos: Path) -> None:
    labelled = open_other(settings_for(photos), "val")
    assert match(labelled, RUN).part is labelled.part
