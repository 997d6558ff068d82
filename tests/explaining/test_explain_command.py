"""clfctl explain: its files, the pictures that it takes, and what it refuses."""

import importlib.util
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import Result

import clfctl
from clfctl.cli import completion
from clfctl.commands.explain import _is_found
from clfctl.errors import UsageError
from clfctl.explaining.explain import make_explainer
from clfctl.explaining.held_out import held_out_images
from clfctl.explaining.methods import METHODS
from clfctl.explaining.open import Opened, open_networks
from tests.explaining.conftest import SIDE, Squares

Cli = Callable[..., Result]


def test_an_image_gets_a_picture_a_map_and_a_place_in_the_grid(squares: Squares, cli: Cli) -> None:
    images = squares.images(1)
    result = cli("explain", str(squares.run), *map(str, images), "--json", "-o", "out")
    assert result.exit_code == 0, result.output
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert [each["class"] for each in records] == ["blue", "green", "red"]
    assert [Path(each["overlay"]).name for each in records] == ["00.png", "00~1.png", "00~2.png"]
    for each in records:
        assert np.load(each["map"]).shape == (SIDE, SIDE) == (each["height"], each["width"])
        with Image.open(each["overlay"]) as overlay:
            assert overlay.size == (256, 256)
        assert each["layer"] == "stages.3"
    assert {each.name for each in Path("out").iterdir()} == {
        "grid.png", "explained.json", *(f"00{n}.{kind}" for n in ("", "~1", "~2") for kind in ("png", "npy")),
    }  # fmt: skip
    assert json.loads(Path("out/explained.json").read_text(encoding="utf-8")) == records
    assert "Wrote out/grid.png" in result.stderr


def test_without_a_folder_they_lie_in_the_run(squares: Squares, cli: Cli) -> None:
    image = squares.images(1)[0]
    words = ("explain", str(squares.run), str(image), "--method", "layercam", "--class", "red", "--layer", "stages.2")
    result = cli(*words)
    assert result.exit_code == 0, result.output
    assert f"Wrote {squares.run}/explain/layercam-stages.2-red/grid.png" in result.stderr
    assert "red" in result.stdout
    assert "taken for blue" in result.stdout
    shutil.rmtree(squares.run / "explain")


def test_a_map_lies_over_the_picture_as_people_see_it(squares: Squares) -> None:
    """The same picture stored on its side, with EXIF, has the same map; a wider one has it where it was."""
    image = squares.images(1)[0]
    (plain,) = clfctl.explain(squares.run, image)
    with Image.open(image) as opened:
        turned = opened.transpose(Image.Transpose.ROTATE_90)
        wide = Image.new("RGB", (3 * SIDE, SIDE), "grey")
        wide.paste(opened, (SIDE, 0))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save("turned.png", exif=exif)
    (found,) = clfctl.explain(squares.run, "turned.png")
    np.testing.assert_allclose(found.map(), plain.map(), atol=1e-6)
    assert found.overlay().shape == plain.overlay().shape
    (of_wide,) = clfctl.explain(squares.run, wide)
    assert of_wide.size == (SIDE, 3 * SIDE)
    heat = of_wide.map()
    np.testing.assert_allclose(heat[:, SIDE : 2 * SIDE], plain.map(), atol=1e-5)
    assert np.isnan(heat[:, : SIDE - 2]).all()


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes there alone")
def test_any_name_of_an_image_becomes_names_of_files(squares: Squares, cli: Cli) -> None:
    image = squares.images(1)[0]
    Path("odd").mkdir()
    for name in ("x" * 251, "猫" * 83, "a\x1b[31mred\x07", "two\nlines"):
        shutil.copy(image, f"odd/{name}.png")
    result = cli("explain", str(squares.run), "odd", "-o", "out")
    assert result.exit_code == 0, result.output
    assert len([*Path("out").glob("*.npy")]) == 4
    assert len(json.loads(Path("out/explained.json").read_text(encoding="utf-8"))) == 4
    assert len(result.stdout.splitlines()) == 4
    assert all(each.isprintable() for each in result.stdout.splitlines())


def test_a_bad_image_is_told_and_the_others_are_explained(squares: Squares, cli: Cli) -> None:
    Path("bad.png").write_bytes(b"not a picture")
    result = cli("explain", str(squares.run), "bad.png", str(squares.images(1)[0]), "--json", "-o", "out")
    assert result.exit_code == 1
    bad, good = map(json.loads, result.stdout.splitlines())
    assert bad == {"image": "bad.png", "error": "is not in an image format that can be read"}
    assert Path(good["map"]).is_file()


def test_what_is_said_of_all_images_is_of_this_call(squares: Squares, cli: Cli) -> None:
    good = str(squares.images(1)[0])
    assert cli("explain", str(squares.run), good, "-o", "out").exit_code == 0
    Path("bad.png").write_bytes(b"not a picture")
    result = cli("explain", str(squares.run), "bad.png", "-o", "out")
    assert result.exit_code == 1
    assert "Wrote out/explained.json: no image could be read" in result.stderr
    (record,) = json.loads(Path("out/explained.json").read_text(encoding="utf-8"))
    assert record["image"] == "bad.png"
    assert {each.name for each in Path("out").iterdir()} == {"explained.json", "00.png", "00.npy"}


def test_a_held_out_image_that_cannot_be_read_is_told(squares: Squares) -> None:
    """Training and evaluation leave it out; so does the test of the maps, without ending."""
    (network,) = open_networks(squares.run).networks
    names, images = held_out_images(network, 4, print)
    content = {name: (squares.data / name).read_bytes() for name in names[:2]}
    try:
        (squares.data / names[0]).write_bytes(content[names[0]][:60])
        (squares.data / names[1]).unlink()
        explainer = make_explainer(Opened((network,)), METHODS["gradcam"])
        found = [explainer.explain(*each) for each in images]
    finally:
        for name, each in content.items():
            (squares.data / name).write_bytes(each)
    assert [bool(each.error) for each in found] == [True, True, False, False]
    assert found[1].error == "No such file or directory"


def test_maps_are_not_written_where_they_would_be_found(squares: Squares, cli: Cli) -> None:
    """A run in a folder of photographs is passed over, whatever lies in it; an ensemble or a lone file is not."""
    shutil.copytree(squares.data / "red", "photos")
    shutil.copytree(squares.run, "photos/run")
    shutil.copy(squares.run / "checkpoints/last.safetensors", "photos/last.safetensors")
    result = cli("explain", "photos/last.safetensors", "photos")
    assert result.exit_code == 2
    assert "--output: photos/explain/gradcam lies in photos, which is searched for images" in result.stderr
    assert "--output names another folder" in result.stderr
    for folder, searched, is_found in (
        ("photos/run/explain/gradcam", "photos", False),
        ("photos/run/explain/gradcam", "photos/run", True),
        ("photos/run/explain/gradcam", "other", False),
        ("photos/e/explain/gradcam", "photos", True),
        ("photos", "photos", True),
    ):
        assert _is_found(Path(folder).absolute(), Path(searched).absolute()) is is_found, (folder, searched)


@pytest.mark.slow
def test_the_tests_of_the_maps_are_printed_also_for_the_images_held_out(squares: Squares, cli: Cli) -> None:
    """Of those held out, whose names the user has not asked for, there is the verdict alone."""
    result = cli("explain", str(squares.run), "--check", "-o", "out")
    assert result.exit_code == 0, result.output
    first, *_, last = result.stdout.splitlines()
    assert first.startswith("deletion  hottest tenth covered  probability -0.")
    assert last == "The maps pass: what they show counts, and it was learned."
    assert "Wrote out/check.json" in result.stderr
    assert [each.name for each in Path("out").iterdir()] == ["check.json"]
    words = ("explain", str(squares.run), *map(str, squares.images(2)), "--check", "--json", "-o", "out")
    *images, last = cli(*words).stdout.splitlines()
    assert len(images) == 6
    assert json.loads(Path("out/check.json").read_text(encoding="utf-8")) == [json.loads(last)]
    record = json.loads(last)["check"]
    assert record["n_images"] + record["n_empty"] == 6
    assert record["deletion"]["hottest"] > record["deletion"]["random"]
    assert [each["what"] for each in record["randomised"]][-1] == "all layers"


def test_layers_are_listed(squares: Squares, cli: Cli) -> None:
    lines = cli("explain", str(squares.run), "--list-layers").stdout.splitlines()
    (line,) = [each for each in lines if each.startswith("* ")]
    assert line.split() == ["*", "stages.3", "128", "x", "4", "x", "4", "looked", "at"]
    assert lines[-1].startswith("  and ")
    records = [
        json.loads(each) for each in cli("explain", str(squares.run), "--list-layers", "--json").stdout.splitlines()
    ]
    (chosen,) = [each for each in records if each["chosen"]]
    assert chosen["layer"] == "stages.3"
    assert "stages.3.2" in chosen["names"]


REFUSED: list[tuple[tuple[str, ...], int, str]] = [
    (("--class", "gren"), 2, "--class: 'gren' is not a class of the model\n  did you mean green"),
    (("--class", "cat"), 2, "--class: 'cat' is not a class of the model\n  it knows blue, green, red"),
    (("--layer", "stages.7"), 2, "--layer: 'stages.7' is not a layer\n  did you mean stages."),
    (("--layer", "nope"), 2, "best.safetensors --list-layers shows them"),
    (("--layer", "head"), 2, "--layer: the layer head gives no map over the image"),
    (("http://x/cat.jpg",), 2, "download it first, or pipe it in: curl -L http://x/cat.jpg | clfctl explain RUN -"),
    (("--method", "gradcam+"), 2, "--method: 'gradcam+' is not a method\n  did you mean gradcam"),
    (("--method", "lime"), 2, "--method: 'lime' is not a method\n  there are gradcam, "),
    (("--method", "occlusion", "--layer", "stages.3"), 2, "--layer: occlusion looks at no layer\n  leave --layer out"),
]


@pytest.mark.parametrize(("words", "code", "message"), REFUSED)
def test_what_cannot_be_is_a_sentence(
    words: tuple[str, ...], code: int, message: str, squares: Squares, cli: Cli
) -> None:
    result = cli("explain", str(squares.run), str(squares.images(1)[0]), *words, "-o", "out")
    assert (result.exit_code, message in result.stderr) == (code, True), result.stderr
    assert not Path("out").exists()


def test_without_images_and_without_a_run_it_says_so(squares: Squares, cli: Cli) -> None:
    assert "there is no image to look at" in cli("explain", str(squares.run)).stderr
    assert "nowhere" in cli("explain", "nowhere", "a.png").stderr
    shutil.copytree(squares.data / "red", "pictures")
    result = cli("explain", str(squares.run), "pictures", "-o", "pictures/maps")
    assert result.exit_code == 2
    assert "--output: pictures/maps lies in pictures, which is searched for images" in result.stderr


def test_a_package_that_is_missing_is_named_with_its_command(
    squares: Squares, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *more: None if name == "captum" else real(name, *more))
    image = str(squares.images(1)[0])
    result = cli("explain", str(squares.run), image, "--method", "occlusion")
    assert result.exit_code == 1
    assert (
        "occlusion needs captum, which cannot be found\n  install it with: pip install 'clfctl[explain]'"
        in result.stderr
    )
    assert cli("explain", str(squares.run), image, "-o", "out").exit_code == 0


@pytest.mark.slow
def test_an_onnx_file_can_be_asked_but_not_looked_into(squares: Squares, cli: Cli) -> None:
    clfctl.export(squares.run, "model.onnx")
    image = squares.images(1)[0]
    result = cli("explain", "model.onnx", str(image))
    assert result.exit_code == 2
    assert (
        "--method: model.onnx has no gradients, which gradcam needs\n  give the run or the checkpoint" in result.stderr
    )
    (exported,), (whole,) = (clfctl.explain(each, image, method="occlusion") for each in ("model.onnx", squares.run))
    np.testing.assert_allclose(exported.map(), whole.map(), atol=0.01)
    assert cli("explain", "model.onnx", str(image), "-m", "occlusion").exit_code == 0
    assert Path("explain/occlusion/grid.png").is_file()


def test_from_python_pictures_and_arrays_do_too(squares: Squares) -> None:
    image = squares.images(1)[0]
    with Image.open(image) as opened:
        found = clfctl.explain(squares.run, [image, opened, np.asarray(opened)], class_name="red")
    assert [each.name for each in found] == [str(image), "image 1", "image 2"]
    for each in found:
        assert (each.class_name, each.predicted) == ("red", "blue")
        np.testing.assert_array_equal(each.map(), found[0].map())
    with pytest.raises(UsageError, match="image 0 is of the type int"):
        clfctl.explain(squares.run, [3])


def test_the_map_of_several_runs_is_the_mean_of_theirs(squares: Squares, cli: Cli) -> None:
    image, last = squares.images(1)[0], squares.run / "checkpoints/last.safetensors"
    (both,) = clfctl.explain([squares.run, last], image)
    one, other = (clfctl.explain(each, image)[0] for each in (squares.run, last))
    assert both.layer == "stages.3"
    expected = (one.map() / one.heats[0].top + other.map() / other.heats[0].top) / 2
    np.testing.assert_allclose(both.map(), expected, atol=1e-6)
    assert both.probability == pytest.approx((one.probability + other.probability) / 2, abs=1e-6)
    result = cli("explain", str(squares.run), str(last), str(image), "--ensemble", "geometric", "-o", "out")
    assert result.exit_code == 0, result.output


class Context:
    """Of typer's what completion reads."""

    def __init__(self, run: Path) -> None:
        self.params = {"run": run}


def test_tab_offers_methods_classes_and_layers(squares: Squares, tmp_path: Path) -> None:
    here: Any = Context(squares.run)
    assert completion.explaining_methods("gradcam") == ["gradcam", "gradcam++"]
    assert completion.classes_of_run(here, "") == ["blue", "green", "red"]
    assert completion.layers_of_run(here, "st") == ["stages"]
    assert completion.layers_of_run(here, "stages.") == [f"stages.{n}" for n in range(4)]
    nowhere: Any = Context(tmp_path / "none")
    assert completion.classes_of_run(nowhere, "") == completion.layers_of_run(nowhere, "") == []


@pytest.mark.slow
def test_a_report_has_the_maps_of_the_worst_mistakes(squares: Squares, cli: Cli) -> None:
    """Measured on classes that change their names, every answer is a mistake."""
    for old, new in (("red", "green"), ("green", "blue")):
        shutil.copytree(squares.data / old, Path("wrong") / new, ignore=lambda _, names: {*sorted(names)[6:]})
    result = cli("eval", str(squares.run), "--data", "wrong", "--explain", "3", "--json")
    assert result.exit_code == 0, result.output
    folder = Path(json.loads(result.stdout)["folder"])
    assert (folder / "mistakes-explained.png").is_file()
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert text.count('class="maps"') == 3
    assert text.count("what spoke for") == 7  # and once in words
    assert "Grad-CAM of the layer stages.3" in text
    assert cli("eval", str(squares.run), "--data", "wrong", "--explain", "25").exit_code == 2
    shutil.rmtree(squares.run / "eval")
