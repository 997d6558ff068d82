"""int8 is judged by the names of classes, and not on images of which it cannot be said that they were held out."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clfctl.data.sources.base import Data
from clfctl.data.sources.fingerprint import list_images, write_listing
from clfctl.data.sources.open import open_data
from clfctl.errors import ModelError
from clfctl.inference.run_data import as_trained
from clfctl.runs.folder import RunFolder
from clfctl.settings.groups import TrainSettings

LEVELS = {"a": 10, "b": 120, "c": 240}


def write(folder: Path, name: str, n: int = 6) -> None:
    """Write n pictures of a class that all its pixels tell."""
    (folder / name).mkdir(parents=True)
    for number in range(n):
        pixels = np.full((8, 8, 3), LEVELS[name] + number, np.uint8)
        Image.fromarray(pixels).save(folder / name / f"{number}.png")


def begun(folder: Path) -> tuple[RunFolder, TrainSettings]:
    """Return a run that knows which images there are now, as training leaves it."""
    settings, run = TrainSettings(data=str(folder), val_split=0.5), RunFolder(folder.parent / "run")
    run.data.parent.mkdir(parents=True)
    write_listing(run.data, list_images(open_data(settings, 0), settings.data))
    return run, settings


def are_by_name(data: Data) -> bool:
    """Return whether each picture has the number of its class in `classes`, by its pixels."""
    found = []
    for part in (data.train, data.val):
        for index in part.indices:
            level = int(np.asarray(part.source.open(index))[0, 0, 0])
            found.append(abs(level - LEVELS[data.classes[part.source.labels[index]]]) < 10)
    return bool(found) and all(found)


def test_data_that_changed_since_is_no_judge(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    for name in "bc":
        write(folder, name)
    run, settings = begun(folder)
    told = list[str]()
    same = as_trained(run, settings, ("b", "c"), open_data(settings, 0), told.append)
    assert are_by_name(same)
    write(folder, "a")
    with pytest.raises(ModelError, match=r"int8: .* has changed since the run began: 6 added \(a/0.png") as caught:
        as_trained(run, settings, ("b", "c"), open_data(settings, 0), told.append)
    assert "may have been trained on" in caught.value.hint
    assert not told
    run.data.write_bytes(b"damaged")
    assert are_by_name(as_trained(run, settings, ("b", "c"), open_data(settings, 0), told.append))
    assert "unknown whether the data has changed" in told[0]


def test_where_the_user_held_images_out_classes_are_matched_by_name(tmp_path: Path) -> None:
    """A class that sorts before the others moves their numbers: every answer would be wrong, before int8 and after."""
    folder = tmp_path / "data"
    for part in ("train", "val"):
        for name in "bc":
            write(folder / part, name)
    run, settings = begun(folder)
    for part in ("train", "val"):
        write(folder / part, "a")
    told = list[str]()
    opened = open_data(settings, 0)
    assert opened.classes == ("a", "b", "c")
    found = as_trained(run, settings, ("b", "c"), opened, told.append)
    assert found.classes == ("b", "c")
    assert (len(found.train), len(found.val)) == (12, 12)
    assert are_by_name(found)
    assert told == [
        f"6 images are left out of the {what} images, as the model does not know the class."
        for what in ("training", "validation")
    ]
