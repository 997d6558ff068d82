"""Which images `eval` measures: other images are never taken for those that a run was trained on."""

import io
import json
import shutil
from collections.abc import Callable
from dataclasses import astuple, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from clfctl.cli.app import make_app
from clfctl.data.sources.fingerprint import Listing, compare, list_images, read_listing, write_listing
from clfctl.data.sources.open import open_data
from clfctl.inference.eval_images import Chosen, choose_data
from clfctl.inference.trained import TrainedModel, load_trained
from clfctl.runs.folder import RunFolder
from tests.conftest import SMALL
from tests.real import hugging_face, shards

Cli = Callable[..., Result]
Make = Callable[[Path, int, str], Path]
COLORS = ("blue", "green", "red")
N = 8


def image(seed: int, kind: str = "BMP") -> bytes:
    """Return an image of noise; a BMP of its size has always as many bytes."""
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (40, 48, 3), np.uint8)).save(file, kind)
    return file.getvalue()


def folder(root: Path, seed: int, kind: str = "BMP") -> Path:
    for n, color in enumerate(COLORS):
        (root / color).mkdir(parents=True, exist_ok=True)
        for i in range(N):
            (root / color / f"{i}.{kind.lower()}").write_bytes(image(1000 * seed + 10 * n + i, kind))
    return root


def table(root: Path, seed: int, kind: str = "BMP") -> Path:
    folder(root, seed, kind)
    rows = [f"{color}/{i}.{kind.lower()},{color}\n" for color in COLORS for i in range(N)]
    (root / "x.csv").write_text("path,label\n" + "".join(rows))
    return root / "x.csv"


def shard(root: Path, seed: int, kind: str = "BMP") -> Path:
    members = []
    for n, color in enumerate(COLORS):
        for i in range(N):
            content = image(1000 * seed + 10 * n + i, kind)
            members += [(f"{color}{i}.{kind.lower()}", content), (f"{color}{i}.cls", color.encode())]
    return shards.shard(root / "x.tar", members)


def copied(data: Path, root: Path) -> Path:
    """Copy the folder that the data is or lies in; return the data's place in the copy."""
    shutil.copytree(data if data.is_dir() else data.parent, root)
    return root if data.is_dir() else root / data.name


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos/ (BMP files) and runs/p, a run on them."""
    root = tmp_path_factory.mktemp("made")
    words = ["train", "--data", str(folder(root / "photos", 0)), *SMALL, "--epochs", "1"]
    result = CliRunner().invoke(make_app("train"), [*words, "--runs-dir", str(root / "runs"), "--run-name", "p"])
    assert result.exit_code == 0, result.output
    return root


@pytest.fixture
def trained(made: Path) -> TrainedModel:
    return load_trained(RunFolder(made / "runs/p"))


def begun_with(trained: TrainedModel, data: Path, run: Path) -> tuple[RunFolder, TrainedModel]:
    """Return a run that began with other data, as far as its listing tells."""
    run.mkdir()
    settings = trained.settings.model_copy(update={"data": str(data)})
    write_listing(RunFolder(run).data, list_images(open_data(settings, settings.seed), settings.data))
    return RunFolder(run), replace(trained, settings=settings)


def about(chosen: Chosen) -> tuple[bool, str, int, str]:
    return chosen.is_own, chosen.split, len(chosen.part), "".join(chosen.notes)


@pytest.mark.parametrize("make", [folder, table, shard])
@pytest.mark.parametrize("is_own_gone", [False, True])
def test_the_same_images_have_the_same_content(
    make: Make, is_own_gone: bool, trained: TrainedModel, tmp_path: Path
) -> None:
    """Others of the same names and sizes are measured whole; a copy of the run's own is known, and lies elsewhere."""
    data, other = make(tmp_path / "data/set", 1, "BMP"), make(tmp_path / "other/set", 2, "BMP")
    copy = copied(data, tmp_path / "copy/set")
    run, begun = begun_with(trained, data, tmp_path / "run")
    if is_own_gone:
        shutil.rmtree(tmp_path / "data")
    is_own, split, n, notes = about(choose_data(run, begun, str(other), "val"))
    assert (is_own, split, n) == (False, "all", 24)
    assert "but with other content: all of its images are measured as new ones" in notes
    is_own, split, n, notes = about(choose_data(run, begun, str(copy), "val"))
    assert (is_own, split, n) == (False, "val", 6)
    assert "holds the same images that the run was trained on: only those held out are measured" in notes
    if not is_own_gone:
        assert about(choose_data(run, begun, str(data), "val")) == (True, "val", 6, "")


@pytest.mark.parametrize(
    ("make", "kind", "is_own_gone", "expected"),
    [
        (folder, "JPEG", True, "only those held out are measured (by their names and sizes)"),
        (folder, "BMP", True, "whether they are the same cannot be told"),
        (folder, "BMP", False, "only those held out are measured (by their content)"),
        (shard, "BMP", True, "whether they are the same cannot be told"),
    ],
)
def test_older_runs_have_no_digests(
    make: Make, kind: str, is_own_gone: bool, expected: str, trained: TrainedModel, tmp_path: Path
) -> None:
    """Sizes that differ from image to image are enough; those of BMP files tell nothing."""
    data = make(tmp_path / "data/set", 1, kind)
    copy = copied(data, tmp_path / "copy/set")
    run, begun = begun_with(trained, data, tmp_path / "run")
    (tmp_path / "run/data_sample.json").unlink()
    if is_own_gone:
        shutil.rmtree(tmp_path / "data")
    chosen = choose_data(run, begun, str(copy), "val")
    assert expected in "".join(chosen.notes)
    assert chosen.split == ("val" if "held out" in expected else "all")


@pytest.mark.parametrize("spelling", ["./work/pics", "work//pics", "work/./pics/"])
@pytest.mark.parametrize("is_old", [False, True])
def test_a_folder_is_the_same_however_it_was_spelled(
    spelling: str, is_old: bool, trained: TrainedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs of earlier versions kept the folder in the names of their images."""
    data = folder(tmp_path / "work/pics", 1)
    monkeypatch.chdir(tmp_path)
    run, begun = begun_with(trained, Path("work/pics"), tmp_path / "run")
    spelled = begun.settings.model_copy(update={"data": spelling})
    listing = list_images(open_data(spelled, spelled.seed), spelling)
    assert "red/0.bmp" in listing.sizes
    if is_old:
        listing = Listing(*({f"work/pics/{name}": each for name, each in some.items()} for some in astuple(listing)))
    write_listing(run.data, listing)
    monkeypatch.chdir(tmp_path / "run")
    settings = begun.settings.model_copy(update={"data": str(data)})
    own = open_data(settings, settings.seed)
    assert not compare(read_listing(run.data), list_images(own, settings.data))
    copy = copied(data, tmp_path / "copy")
    assert "holds the same images" in about(choose_data(run, replace(trained, settings=settings), str(copy), "val"))[3]


def test_one_held_out_image_that_was_not_sampled_is_enough(
    trained: TrainedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clfctl.data.sources.fingerprint.N_SAMPLED", 1)
    data = folder(tmp_path / "data", 1)
    copy = copied(data, tmp_path / "copy")
    run, begun = begun_with(trained, data, tmp_path / "run")
    (sampled,) = json.loads((tmp_path / "run/data_sample.json").read_text())
    held_out = open_data(begun.settings, begun.settings.seed).val
    names = [Path(held_out.source.name(index)).relative_to(data) for index in held_out.indices]
    other = next(name for name in names if str(name) != sampled)
    (copy / other).write_bytes(image(77))
    assert "but with other content" in "".join(choose_data(run, begun, str(copy), "val").notes)


@pytest.mark.slow
def test_an_evaluation_of_other_images_never_replaces_that_of_the_run(
    made: Path, trained: TrainedModel, tmp_path: Path, cli: Cli
) -> None:
    run = made / "runs/p"
    own = json.loads(cli("eval", str(run), "--json").stdout)
    kept = (run / "eval/val-best/metrics.json").read_bytes()
    for data in (folder(tmp_path / "photos", 5), copied(made / "photos", tmp_path / "copy")):
        record = json.loads(cli("eval", str(run), "--data", str(data), "--json").stdout)
        assert record["folder"] != own["folder"]
        assert (run / "eval/val-best/metrics.json").read_bytes() == kept


def test_resume_sees_an_image_that_was_replaced_by_one_of_its_size(made: Path, tmp_path: Path, cli: Cli) -> None:
    words = ("--data", str(copied(made / "photos", tmp_path / "photos")), *SMALL, "--epochs", "1", "--run-name", "one")
    assert cli("train", *words).exit_code == 0
    (tmp_path / "photos/red/3.bmp").write_bytes(image(99))
    assert "1 replaced (red/3.bmp)" in cli("resume", "runs/one", "--epochs", "2").stderr


def one_class_in_a_tar(root: Path) -> Path:
    return shards.shard(root / "x.tar", [("a.bmp", image(1)), ("a.cls", b"red")])


def an_unknown_class(root: Path) -> Path:
    return shards.shard(
        root / "x.tar", [("a.bmp", image(1)), ("a.cls", b"red"), ("b.bmp", image(2)), ("b.cls", b"pug")]
    )


def only_test(root: Path) -> Path:
    return hugging_face.saved(root, test=[0, 1])


@pytest.mark.parametrize(
    ("make", "classes", "split", "n", "n_absent", "unknown"),
    [
        (one_class_in_a_tar, COLORS, "val", 1, 2, {}),
        (an_unknown_class, COLORS, "val", 1, 2, {"pug": 1}),
        (only_test, ("bird", "cat", "dog"), "test", 2, 1, {}),
        (only_test, ("bird", "cat"), "test", 1, 1, {"dog": 1}),
    ],
)
def test_any_data_can_be_measured(
    make: Callable[[Path], Path], classes: tuple[str, ...], split: str, n: int, n_absent: int, unknown: dict[str, int],
    trained: TrainedModel, made: Path, tmp_path: Path,
) -> None:  # fmt: skip
    begun = replace(trained, info=replace(trained.info, classes=classes))
    chosen = choose_data(RunFolder(made / "runs/p"), begun, str(make(tmp_path / "data")), split)
    assert (len(chosen.part), len(chosen.absent), chosen.unknown) == (n, n_absent, unknown)
