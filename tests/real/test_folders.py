"""Folders as people keep them: what is read of each, what is said about it, and what is refused."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from clfctl.data.sources.base import Data
from clfctl.data.sources.labelled import open_other
from clfctl.data.sources.names import is_named
from clfctl.data.sources.open import open_data
from clfctl.data.sources.walk import SUFFIXES
from clfctl.errors import DataError
from clfctl.inference.inputs import find_inputs
from clfctl.settings.data import DataSettings
from clfctl.settings.groups import TrainSettings
from tests.real import folders as real

Make = Callable[[Path], Path]
PETS = ("cat", "dog")


def opened(root: Path) -> Data:
    return open_data(DataSettings(data=str(root), val_split=0.5, batch_size=1), 0)


@pytest.mark.parametrize(
    ("make", "classes", "counts", "notes", "left_out"),
    [
        (real.image_folder, PETS, (5, 5, 0), (), ""),
        (real.keras_train_and_validation, PETS, (12, 6, 0), (), ""),
        (real.kaggle_brain_tumor, real.TUMORS, (12, 8, 8), (), ""),
        (real.kaggle_covid, PETS, (8, 4, 6), (), ""),
        (real.kaggle_competition, PETS, (6, 4, 0), ("test/ has no class folders, and is not read",), ""),
        (real.keras_unlabelled_test, PETS, (6, 4, 0), ("test/ has none of the class folders of train/",), ""),
        (real.roboflow_classification, PETS, (10, 4, 2), (), ""),
        (real.windows_made, ("Hunde - Kopie", "Katzen (süß)"), (4, 4, 0), (), ""),
        (real.made_by_macos, PETS, (4, 4, 0), (), ""),
        (real.synology_share, PETS, (4, 4, 0), (), ""),
        (
            real.phone_export,
            PETS,
            (5, 6, 0),
            (),
            "3 .dng, 1 .mov, 1 without an ending",
        ),
        (real.raw_with_originals, PETS, (8, 4, 0), ("not read, since train/, val/ are there: originals/",), ""),
        (real.with_cover, PETS, (4, 4, 0), (), ""),
        (
            real.transport,
            ("bus", "car", "train"),
            (6, 6, 0),
            ("train/ is read as a class, as bus/, car/ are, since",),
            "",
        ),
        (real.environments, ("dev", "prod", "staging"), (6, 6, 0), ("dev/ is read as a class",), ""),
        (real.station_and_tube, ("TrainTrack", "beaker", "test tube", "train station"), (8, 8, 0), (), ""),
        (real.two_kinds_of_trains, ("bullet train", "steam train", "trainers"), (6, 6, 0), (), ""),
        (
            real.run_in_a_part,
            PETS,
            (8, 8, 0),
            ("left out: custom-1/, where clfctl keeps its runs",),
            "",
        ),
        (
            real.link_to_itself,
            PETS,
            (4, 4, 0),
            ("left out: all, up, links to folders", "left out: cat/more, a link to a folder that it lies in"),
            "",
        ),
        (real.linked_classes, PETS, (4, 4, 0), ("left out: cat/everything, a link to a folder",), ""),
        (
            real.linked_twice,
            ("cat", "dog", "kitty", "wolf"),
            (7, 6, 0),
            ("5 files are in two classes by links, such as", "1 class has a single image, kept for training"),
            "",
        ),
        (real.run_in_the_data, PETS, (4, 4, 0), ("left out: runs/, where", "left out: cat/custom-1/, where"), ""),
        (real.almost_alike, ("Cat", "cat", "cat ", "dog"), (8, 8, 0), ("'Cat' and 'cat' and 'cat ' differ only",), ""),
        (
            real.one_image_each,
            ("cat", "dog", "fox", "owl"),
            (6, 4, 0),
            ("2 classes have a single image each, kept for training and so missing in validation: fox, owl",),
            "",
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_read(
    make: Make,
    classes: tuple[str, ...],
    counts: tuple[int, int, int],
    notes: tuple[str, ...],
    left_out: str,
    tmp_path: Path,
) -> None:
    data = opened(make(tmp_path / "data"))
    assert data.classes == classes
    assert (len(data.train), len(data.val), len(data.test or ())) == counts
    assert len(data.notes) == len(notes), data.notes
    for expected, note in zip(notes, data.notes, strict=True):
        assert expected in note
    assert data.left_out == left_out


@pytest.mark.parametrize(
    ("make", "reason", "hint"),
    [
        (real.training_and_photos, "Training/ looks like training images, but has no class folders", "rename"),
        (real.training_and_loose_photos, "in Training/, and 5 images beside it", "data/Training alone"),
        (real.training_and_the_same_classes, "in train/, and the class folders cat, dog beside it", "train alone"),
        (real.val_and_valid, "val/ and valid/ both name the validation images", "rename one"),
        (
            real.only_parts_without_classes,
            "test/, train/ look like test, training images, but have no class folders",
            "train.csv says which class",
        ),
        (real.flat_validation, "val/ looks like validation images, but has no class folders", "a folder for each"),
        (real.without_training, "has Testing/, but no folder of training images", "data/train"),
        (real.kaggle_cats_and_dogs, "test_set/, training_set/ look like parts of the data", "call them train/, test/"),
        (real.kaggle_intel_scenes, "seg_test/, seg_train/ look like parts of the data", "call them train/, test/"),
        (real.kaggle_leaves, "test_images/, train_images/ look like parts of the data", "train.csv says which class"),
        (real.train_images_with_classes, "TrainImages/, ValImages/ look like parts", "call them train/, val/"),
        (real.nested_train, "or a class, as bus/, car/ beside it", "rename train/ if it is a class"),
        (real.zip_in_a_folder, "one class only (pets)", "if they lie in"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_refused(make: Make, reason: str, hint: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        opened(make(tmp_path / "data"))
    assert caught.value.field == "data"
    assert reason in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.skipif(".heic" in SUFFIXES, reason="pillow-heif is installed")
def test_what_is_said_about_heic_where_it_cannot_be_read(tmp_path: Path) -> None:
    root, read = real.only_heic(tmp_path / "data"), "pip install 'clfctl[heic]'"
    with pytest.raises(DataError, match="fox has no images") as caught:
        opened(root)
    assert f"left out: 3 .heic; for HEIC: {read}" in caught.value.hint
    real.picture(root / "fox" / "0.jpg")
    assert f".heic files are read with {read}" in opened(root).notes


@pytest.mark.parametrize(
    ("make", "split", "classes", "n"),
    [
        (real.kaggle_brain_tumor, "test", real.TUMORS, 8),
        (real.without_training, "test", PETS, 8),
        (real.roboflow_classification, "val", PETS, 4),
        (real.image_folder, "val", PETS, 10),
        (real.environments, "test", ("dev", "prod", "staging"), 12),
        (real.link_to_itself, "val", PETS, 8),
        (real.run_in_the_data, "val", PETS, 8),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_eval_reads_of_other_data(
    make: Make, split: str, classes: tuple[str, ...], n: int, tmp_path: Path
) -> None:
    found = open_other(DataSettings(data=str(make(tmp_path / "data"))), split)
    assert found.classes == classes
    assert len(found.part) == n


@pytest.mark.parametrize("name", ["runs", "results", "."])
def test_the_runs_folder_is_not_data(name: str, tmp_path: Path) -> None:
    """Whatever it is called and whatever lies in it; a runs_dir that is the data itself hides nothing but the runs."""
    root = real.classes(tmp_path / "data")
    run = root / name / "mine"
    (run / "checkpoints").mkdir(parents=True)
    (run / "config.toml").write_text("")
    real.picture(root / name / "mine" / "plot.png")
    if name != ".":
        real.picture(root / name / "other.png")
    settings = TrainSettings(data=str(root), runs_dir=root / name, batch_size=1)
    data = open_data(settings, 0)
    assert data.classes == PETS
    assert len(data.train) + len(data.val) == 8


@pytest.mark.slow
def test_training_again_in_the_folder_of_classes_and_resuming(
    tmp_path: Path, cli: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = real.classes(tmp_path / "data", n=6)
    monkeypatch.chdir(root)
    quick = ("--data", ".", "--epochs", "1", "--batch-size", "4", "--image-size", "32", "--no-export")
    for name in ("one", "two"):
        assert cli("train", *quick, "--run-name", name).exit_code == 0
    resumed = cli("resume", "runs/one", "--epochs", "2")
    assert resumed.exit_code == 0, resumed.stderr


def data_named(name: str, data_dir: Path) -> Data:
    return open_data(DataSettings(data=name, data_dir=data_dir, batch_size=1), 0)


def test_a_folder_here_goes_before_a_built_in_name(tmp_path: Path, cli: Callable[..., Result]) -> None:
    """Everywhere alike: in training, of other data for eval, in bench-data and in check-data."""
    assert data_named("digits", tmp_path).classes == tuple("0123456789")
    real.classes(Path("digits"))
    assert data_named("digits", tmp_path).classes == PETS
    assert data_named("./digits", tmp_path).notes == ()
    said = "digits is the folder digits/ here, not the data set of that name"
    other = open_other(DataSettings(data="digits"), "val")
    assert other.classes == PETS
    assert said in other.notes[0]
    small = ("--data", "digits", "--batch-size", "2", "--image-size", "32")
    for words in (
        ("train", *small, "--dry-run"),
        ("bench-data", *small, "--seconds", "0.01"),
        ("check-data", "digits"),
    ):
        result = cli(*words)
        assert result.exit_code == 0, result.stderr
        assert said in result.stderr + result.stdout, words


def test_what_torchvision_downloaded_is_the_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `data_dir=.` a download makes a folder that is called as the data set is."""
    (tmp_path / "eurosat" / "2750").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert is_named("eurosat", Path())
    assert not is_named("eurosat", tmp_path / "data")


@pytest.mark.parametrize(("make", "n"), [(real.run_in_the_data, 8), (real.link_to_itself, 8), (real.made_by_macos, 8)])
def test_what_predict_finds_in_a_folder(make: Make, n: int, tmp_path: Path) -> None:
    root = make(tmp_path / "data")
    found = list(find_inputs([str(root)]))
    assert len(found) == n
    assert not [name for name in found if "plots" in name]
    # A run that is named itself is looked into.
    if make is real.run_in_the_data:
        assert len(list(find_inputs([str(root / "runs" / "custom-1")]))) == 1
