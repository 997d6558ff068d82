"""Small folders in the shapes in which people keep their images, each named after what it stands for."""

import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

TUMORS = ("glioma", "meningioma", "notumor", "pituitary")
PETS = ("cat", "dog")


def picture(path: Path) -> Path:
    """Write a small image whose content depends on the last three parts of its path, and so is that of no other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(zlib.crc32("/".join(path.parts[-3:]).encode("utf-8", "surrogateescape")))
    image = Image.fromarray(draw.integers(0, 256, (12, 14, 3), np.uint8))
    image.save(path, "JPEG" if path.suffix.lower() in (".jpg", ".jpeg", ".jpe", ".jfif") else "PNG")
    return path


def classes(top: Path, names: Sequence[str] = PETS, n: int = 4) -> Path:
    """Write class folders with `n` images each."""
    for name in names:
        for i in range(n):
            picture(top / name / f"{i}.jpg")
    return top


def image_folder(root: Path) -> Path:
    """A folder for each class, as torchvision's ImageFolder and Keras read them; one class is nested."""
    for name in ("husky", "pug"):
        picture(root / "dog" / name / "0.jpg")
    return classes(root, n=4)


def keras_train_and_validation(root: Path) -> Path:
    """Two parts, as Google's cats_and_dogs_filtered.zip has them, with a script beside."""
    classes(root / "train", n=6)
    classes(root / "validation", n=3)
    (root / "vectorize.py").write_text("print()\n")
    return root


def kaggle_brain_tumor(root: Path) -> Path:
    """Training/ and Testing/ with capitals, as masoudnickparvar/brain-tumor-mri-dataset."""
    classes(root / "Training", TUMORS, 5)
    classes(root / "Testing", TUMORS, 2)
    return root


def kaggle_covid(root: Path) -> Path:
    """Three parts with capitals, some with spaces around: Training, Validation and Testing."""
    classes(root / "Training ", n=4)
    classes(root / "Validation", n=2)
    classes(root / "TESTING", n=3)
    return root


def kaggle_competition(root: Path) -> Path:
    """train/ with classes, a flat test/ of images that nobody has labelled, and a sample submission."""
    classes(root / "train", n=5)
    for i in range(7):
        picture(root / "test" / f"{i}.jpg")
    (root / "sample_submission.csv").write_text("id,label\n0,cat\n")
    return root


def keras_unlabelled_test(root: Path) -> Path:
    """As `kaggle_competition`, but the test images lie in a folder, as Keras's flow_from_directory needs it."""
    classes(root / "train", n=5)
    for i in range(7):
        picture(root / "test" / "unknown" / f"{i}.jpg")
    return root


def roboflow_classification(root: Path) -> Path:
    """Roboflow's export of a classification: train/, valid/ and test/, and two texts about it."""
    for part, n in (("train", 5), ("valid", 2), ("test", 1)):
        classes(root / part, n=n)
    (root / "README.dataset.txt").write_text("# pets > 2024-01-01\n")
    (root / "README.roboflow.txt").write_text("\n")
    return root


def windows_made(root: Path) -> Path:
    """Names as Windows and cameras make them: capitals, spaces, brackets, umlauts, and its own files between."""
    for i in range(4):
        picture(root / "Katzen (süß)" / f"IMG_{i:04}.JPG")
        picture(root / "Hunde - Kopie" / f"Foto ({i}).jpeg")
    for name in ("Thumbs.db", "desktop.ini"):
        (root / "Hunde - Kopie" / name).write_bytes(b"\0")
        (root / name).write_bytes(b"\0")
    (root / "$RECYCLE.BIN" / "S-1-5-21").mkdir(parents=True)
    (root / "System Volume Information").mkdir()
    return root


def made_by_macos(root: Path) -> Path:
    """A zip that macOS made, unpacked elsewhere: __MACOSX/, .DS_Store and ._ files with its metadata."""
    classes(root)
    for name in PETS:
        (root / name / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
        (root / "__MACOSX" / name).mkdir(parents=True)
        for place in (root / name, root / "__MACOSX" / name):
            (place / "._0.jpg").write_bytes(b"\0\5\x16\7")
    (root / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    return root


def synology_share(root: Path) -> Path:
    """A share of a Synology: thumbnails in @eaDir/ everywhere, and its recycle bin."""
    classes(root)
    picture(root / "cat" / "@eaDir" / "0.jpg" / "SYNOPHOTO_THUMB_XL.jpg")
    picture(root / "@eaDir" / "cat" / "x.jpg")
    (root / "#recycle").mkdir()
    return root


def phone_export(root: Path) -> Path:
    """Photos of phones and of the web: .jfif and .jpe among .jpg, raw ones, and what belongs to some of them."""
    classes(root)
    for name in ("1.jfif", "2.jpe", "3.JFIF"):
        picture(root / "cat" / name)
    for i in range(3):
        (root / "dog" / f"IMG_{i}.DNG").write_bytes(b"II*\0")
    (root / "dog" / "IMG_0.MOV").write_bytes(b"\0")
    (root / "dog" / "LICENSE").write_text("free\n")
    return root


def raw_with_originals(root: Path) -> Path:
    """train/ and val/ that were made from originals/, which still lies beside with a copy of everything."""
    for part, n in (("train", 4), ("val", 2)):
        classes(root / part, n=n)
        for path in sorted((root / part).rglob("*.jpg")):
            copy = root / "originals" / f"{part}-{path.parent.name}-{path.name}"
            copy.parent.mkdir(exist_ok=True)
            copy.write_bytes(path.read_bytes())
    return root


def with_cover(root: Path) -> Path:
    """Class folders, and one of their images again beside them, as the cover of an album."""
    classes(root)
    (root / "cover.jpg").write_bytes((root / "cat" / "3.jpg").read_bytes())
    return root


def transport(root: Path) -> Path:
    """Classes one of which is called like a part: bus, car and train."""
    return classes(root, ("bus", "car", "train"))


def environments(root: Path) -> Path:
    """Screenshots of environments: dev, prod and staging."""
    return classes(root, ("dev", "prod", "staging"))


def station_and_tube(root: Path) -> Path:
    """Classes with the word of a part in their names, among others."""
    return classes(root, ("test tube", "train station", "TrainTrack", "beaker"))


def two_kinds_of_trains(root: Path) -> Path:
    """Classes with the same part's word in their names, with folders in them."""
    for name in ("bullet train", "steam train", "trainers"):
        classes(root / name, ("day", "night"), 2)
    return root


def run_in_a_part(root: Path) -> Path:
    """Training was called in train/ without runs_dir: a run lies between the class folders, and one in val/."""
    for part in ("train", "val"):
        classes(root / part)
        (root / part / "custom-1" / "checkpoints").mkdir(parents=True)
        (root / part / "custom-1" / "config.toml").write_text("")
        picture(root / part / "custom-1" / "plots" / "curves.png")
    return root


def link_to_itself(root: Path) -> Path:
    """Classes, and links to the folder itself, to the one above it, and inside a class to the class."""
    classes(root)
    (root / "all").symlink_to(root, target_is_directory=True)
    (root / "up").symlink_to(root.parent, target_is_directory=True)
    (root / "cat" / "more").symlink_to(root / "cat", target_is_directory=True)
    return root


def linked_classes(root: Path) -> Path:
    """Classes whose folders are links to an archive elsewhere, which has a link to all of itself."""
    archive = classes(root.parent / "archive", n=4)
    (archive / "cat" / "everything").symlink_to(archive, target_is_directory=True)
    root.mkdir()
    for name in PETS:
        (root / name).symlink_to(archive / name, target_is_directory=True)
    return root


def linked_twice(root: Path) -> Path:
    """A class that is a link to another, and one image that is linked into a third."""
    classes(root)
    (root / "kitty").symlink_to(root / "cat", target_is_directory=True)
    (root / "wolf").mkdir()
    (root / "wolf" / "9.jpg").symlink_to(root / "dog" / "0.jpg")
    return root


def run_in_the_data(root: Path) -> Path:
    """Training was called in the folder of classes itself: runs/ lies beside them, and a run in one of them."""
    classes(root)
    for place in (root / "runs" / "custom-1", root / "cat" / "custom-1"):
        (place / "checkpoints").mkdir(parents=True)
        (place / "config.toml").write_text("")
        picture(place / "plots" / "curves.png")
    return root


def almost_alike(root: Path) -> Path:
    """Two people have named the same class: Cat, cat, and one with a space behind it."""
    return classes(root, ("Cat", "cat", "cat ", "dog"))


def one_image_each(root: Path) -> Path:
    """Collections in which some classes have a single image yet."""
    classes(root)
    for name in ("fox", "owl"):
        picture(root / name / "0.jpg")
    return root


def training_and_photos(root: Path) -> Path:
    """Somebody began to sort: Training/ without classes in it, and a folder of photos beside."""
    return classes(root, ("Training", "photos"), 3)


def training_and_loose_photos(root: Path) -> Path:
    """Some photos are sorted into Training/, others still lie beside it."""
    classes(root / "Training")
    for i in range(5):
        picture(root / f"{i}.jpg")
    return root


def training_and_the_same_classes(root: Path) -> Path:
    """The class folders were copied into train/, and stayed where they were."""
    classes(root / "train")
    return classes(root)


def val_and_valid(root: Path) -> Path:
    """Two folders for one part."""
    for part in ("train", "val", "valid"):
        classes(root / part)
    return root


def only_parts_without_classes(root: Path) -> Path:
    """train/ and test/ whose images are named in a table."""
    classes(root, ("train", "test"))
    (root / "train.csv").write_text("path,label\n")
    return root


def flat_validation(root: Path) -> Path:
    """train/ with classes, and val/ without."""
    classes(root / "train")
    return classes(root, ("val",))


def without_training(root: Path) -> Path:
    """Images to test with only."""
    classes(root / "Testing")
    return root


def kaggle_cats_and_dogs(root: Path) -> Path:
    """training_set/ and test_set/, each in a folder of its own name, as tongpython/cat-and-dog."""
    for part in ("training_set", "test_set"):
        classes(root / part / part)
    return root


def kaggle_intel_scenes(root: Path) -> Path:
    """seg_train/, seg_test/, and seg_pred/ without classes, as puneetbansal14/intel-image-classification."""
    for part in ("seg_train", "seg_test"):
        classes(root / part / part)
    for i in range(3):
        picture(root / "seg_pred" / "seg_pred" / f"{i}.jpg")
    return root


def kaggle_leaves(root: Path) -> Path:
    """train_images/ and test_images/ without classes, and a table that has them, as the cassava competition."""
    classes(root, ("train_images", "test_images"))
    (root / "train.csv").write_text("image_id,label\n")
    return root


def train_images_with_classes(root: Path) -> Path:
    """TrainImages and ValImages with class folders, and notes beside."""
    for part in ("TrainImages", "ValImages"):
        classes(root / part)
    return classes(root, ("notes",), 1)


def nested_train(root: Path) -> Path:
    """Classes of vehicles: bus, car, and train, which is sorted into kinds."""
    classes(root, ("bus", "car"))
    classes(root / "train", ("steam", "diesel"))
    return root


def zip_in_a_folder(root: Path) -> Path:
    """A zip unpacked into a folder of its own name: the classes lie one deeper."""
    classes(root / "pets")
    return root


def only_heic(root: Path) -> Path:
    """A class that was photographed by a telephone."""
    classes(root)
    for i in range(3):
        (root / "fox" / f"{i}.heic").parent.mkdir(exist_ok=True)
        (root / "fox" / f"{i}.heic").write_bytes(b"\0\0\0\x18ftypheic")
    return root


def link_beside_its_folder(root: Path) -> Path:
    """A class that holds a/ and a link to it, b."""
    classes(root)
    picture(root / "cat" / "a" / "9.jpg")
    (root / "cat" / "b").symlink_to("a", target_is_directory=True)
    return root


def validation_of_links(root: Path) -> Path:
    """val/ was made of links to files in train/, and one whole class of it is a link."""
    classes(root / "train")
    (root / "val" / "cat").mkdir(parents=True)
    (root / "val" / "cat" / "0.jpg").symlink_to("../../train/cat/0.jpg")
    (root / "val" / "dog").symlink_to("../train/dog", target_is_directory=True)
    return root


def training_of_links(root: Path) -> Path:
    """train/ holds links into originals/: a class that is one, and one of links to files. Nothing is there twice."""
    classes(root / "originals")
    (root / "train" / "cat").mkdir(parents=True)
    for path in sorted((root / "originals" / "cat").iterdir()):
        (root / "train" / "cat" / path.name).symlink_to(path)
    (root / "train" / "dog").symlink_to("../originals/dog", target_is_directory=True)
    return root


def hard_links(root: Path) -> Path:
    """One file under three names, as `cp -l` makes them: in two classes, and twice in one."""
    classes(root)
    (root / "dog" / "8.jpg").hardlink_to(root / "cat" / "0.jpg")
    (root / "cat" / "9.jpg").hardlink_to(root / "cat" / "1.jpg")
    return root
