"""A folder that has what the documents' commands mention, and how each command is run there, made short."""

import csv
import shutil
from pathlib import Path

from PIL import Image
from typer.testing import CliRunner, Result

from clfctl.cli.app import make_app
from clfctl.runs.folder import RunFolder
from clfctl.settings.dump import saved_config
from clfctl.settings.groups import TrainSettings
from clfctl.storage.json_lines import write_json_lines
from tests.docs.documents import OWN, PICTURES, ROOT, Command, blocks

# Later options win. 24 images of three colours at 32 pixels are two batches of nine: half a second an epoch. Neither
# the number of epochs nor the size of the data is what a document's training command is about; the schedule is.
SHORT = ("--data", "photos/", "--no-download", "--image-size", "32", "--batch-size", "9", "--epochs", "2")
# Of a training only: docs/inference.md has commands that export.
NO_EXPORT = "--no-export"
# What a real run needs cannot be had or takes long: published weights are downloaded, and timm's networks take some
# seconds for each. Everything but the training itself is done.
DRY = ("--dry-run", "--no-pretrained")
NEEDS_DRY = ("efficientnet", "--pretrained", "--model")
# One writes into the user's shell configuration, the others never end.
NOT_RUN = ("--install-completion", "--watch", "serve", "app")
# `runs/x` of the guide, with its four epochs: what follows in the guide shows them.
RUN_X = ("train", "--scheduler", "cosine", "--runs-dir", "runs", "--run-name", "x", *SHORT, "--epochs", "4", NO_EXPORT,
         "--keep", "every 2")  # fmt: skip


# The study that docs/tuning.md goes on with.
STUDY = "runs/tune-1"
MAKE_STUDY = ("tune", *SHORT, "--epochs", "1", "--trials", "1", "--search", "lr=1e-4..1e-2:log", "--run-name", "tune-1")


def make_workspace(root: Path) -> Path:
    """Fill `root`: photos/, new-photos/, album/, cat.jpg, the losses of the guide, the module of own schedules."""
    for n, color in enumerate(("blue", "green", "red")):
        for i in range(8):
            path = root / "photos" / color / f"{i}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixel = [40 + 3 * i] * 3
            pixel[n] = 250 - 5 * i
            Image.new("RGB", (48, 40), tuple(pixel)).save(path)
    shutil.copy(root / "photos/red/0.jpg", root / "cat.jpg")
    # Not the run's own images: one is missing.
    shutil.copytree(root / "photos", root / "new-photos", ignore=lambda _, names: {"0.jpg"} & {*names})
    shutil.copytree(root / "new-photos", root / "album/test")
    (root / PICTURES).mkdir(parents=True)
    shutil.copy(ROOT / "docs/losses.csv", root / "docs/losses.csv")
    shutil.copytree(ROOT / "docs/noise", root / "docs/noise")
    (root / "my_schedules.py").write_text(blocks(OWN, "python")[0][1], encoding="utf-8")
    make_flat(RunFolder(root / "runs/flat"))
    return root


def make_flat(run: RunFolder) -> None:
    """Make the run of docs/losses.csv as far as it is known: its settings and its history."""
    run.path.mkdir(parents=True)
    with (ROOT / "docs/losses.csv").open(encoding="utf-8", newline="") as file:
        losses = [float(row["val_loss"]) for row in csv.DictReader(file)]
    settings = TrainSettings(scheduler="constant", epochs=len(losses), lr=1e-4)
    run.config.write_text(saved_config(settings), encoding="utf-8")
    records = ({"epoch": n, "lr_start": 1e-4, "lr": 1e-4, "val_loss": loss} for n, loss in enumerate(losses, 1))
    write_json_lines(run.history, records)


def train_x() -> None:
    """Make runs/x, and the runs that the README calls custom-1 and probe-1, in the working folder."""
    result = invoke(RUN_X)
    assert result.exit_code == 0, result.output
    for name in ("custom-1", "probe-1"):
        Path("runs", name).symlink_to("x", target_is_directory=True)


def invoke(words: tuple[str, ...]) -> Result:
    """Run a command line in this process."""
    return CliRunner().invoke(make_app(words[0]), list(words))


def words_to_run(command: Command, runs_dir: Path) -> tuple[str, ...]:
    """Return the words with what makes them short; a run gets a place of its own, so that its name is free."""
    words = command.words
    if words[0] == "resume" and len(words) > 2:
        # Of a copy: the other commands show the run as it is.
        run = shutil.copytree(words[1], runs_dir / "copy")
        return (words[0], str(run), *words[2:])
    if words[0] == "compare":
        return (words[0], *(_copied(word, runs_dir.parent) for word in words[1:]))
    if words[0] in ("eval", "predict", "export", "ensemble"):
        for word in words[1:]:
            _make_run(Path(word))
        return (*words, "--runs-dir", str(runs_dir)) if words[0] == "ensemble" else words
    if words[0] == "branch":
        return (*words, "--runs-dir", str(runs_dir))
    if words[0] == "bench-data":
        # A model of the custom kind, whose steps take milliseconds.
        model = ("--model", "custom") if "--model" in words else ()
        # Not here, where every other command would read it.
        words = tuple(str(runs_dir.parent / word) if word.endswith(".toml") else word for word in words)
        return (*words, *SHORT, *model, "--seconds", "0.01")
    if words[0] == "lr-find":
        words = tuple(str(runs_dir.parent / word) if word.endswith(".toml") else word for word in words)
        of_run = len(words) > 1 and words[1].startswith("runs/")
        return (*words, *(() if of_run else SHORT), "--steps", "25", "--repeats", "1")
    if words[0] == "probe":
        # The custom CNN is the one that takes no seconds to be made.
        named = words.index("--model") + 1
        words = (*words[:named], "custom", *words[named + 1 :])
        return (*words, "--no-pretrained", "--image-size", "32", "--runs-dir", str(runs_dir))
    if words[0] == "tune":
        return _words_of_tune(words, runs_dir)
    if words[0] != "train":
        return words
    if "probe-then-finetune" in words:
        words = (*words, "--unfreeze-at", "1")  # within two epochs
    dry = DRY if any(word.startswith(mark) for word in words for mark in NEEDS_DRY) else ()
    return (*words, *SHORT, NO_EXPORT, *dry, "--runs-dir", str(runs_dir))


def _words_of_tune(words: tuple[str, ...], runs_dir: Path) -> tuple[str, ...]:
    """Return the words of a study with one trial, of what the last options say; two of a study that goes on."""
    words = tuple(str(runs_dir.parent / word) if word.endswith(".toml") else word for word in words)
    if words[1] == STUDY:
        made = invoke((*MAKE_STUDY, "--runs-dir", str(runs_dir)))
        assert made.exit_code == 0, made.output
        more = ("--trials", "2") if "--trials" in words else ()
        return (words[0], str(runs_dir / Path(STUDY).name), *words[2:], *more)
    words = tuple(f"sqlite:///{runs_dir.parent}/studies.db" if "://" in word else word for word in words)
    of_study = ("--trials", "1", "--confirm", "0", "--runs-dir", str(runs_dir))
    if "probe" in words:
        words = tuple("model=custom,resnet9_small" if word.startswith("model=") else word for word in words)
        model = ("--model", "custom") if "--model" in words else ()
        return (*words, *model, "--no-pretrained", "--image-size", "32", *of_study)
    words = tuple("batch-size=4,8" if word.startswith("batch-size=") else word for word in words)
    short = [word for word in SHORT if word not in ("--batch-size", "9")]
    return (*words, *short, "--epochs", "1", *of_study)


def _make_run(path: Path) -> None:
    """Make what stands for a run, or an ensemble, that a document names: runs/x again, or two of it as runs/e."""
    if path.parent != Path("runs") or path.exists():
        return
    if path.name == "e":
        for name in ("a", "b"):
            _make_run(Path("runs", name))
        assert invoke(("ensemble", "runs/a", "runs/b", "--run-name", "e", "--no-export")).exit_code == 0
    elif path.name in ("a", "b"):
        # The weights of an ensemble are fitted on 20 validation images or more.
        words = ("train", *SHORT, "--val-split", "0.84", "--batch-size", "2", NO_EXPORT, "--run-name", path.name)
        assert invoke(words).exit_code == 0
    else:
        shutil.copytree("runs/x", path)


def _copied(word: str, root: Path) -> str:
    """Return what stands for a run that a comparison names: a copy of runs/x of its own."""
    parts = Path(word).parts
    if parts[0] == "runs" and not (root / "runs" / parts[1]).exists():
        shutil.copytree("runs/x", root / "runs" / parts[1])
    return str(root / word) if parts[0] == "runs" or word == "last-or-best/" else word
