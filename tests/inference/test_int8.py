"""--int8: measured before and after on images that it was not calibrated on; refused if worse, with nothing lost."""

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image
from typer.testing import Result

import clfctl
from clfctl.data.loader import BadImages
from clfctl.data.onlookers import Onlookers, no_bar, no_line
from clfctl.data.pixels.decode import Pixels
from clfctl.data.pixels.transform import Preprocess
from clfctl.data.sources.base import ArrayImages, Data, Part
from clfctl.errors import ModelError, UsageError
from clfctl.evaluation.outputs import Outputs
from clfctl.inference import rework as rework_module
from clfctl.inference.export import finished
from clfctl.inference.judge import differences, speed_of
from clfctl.inference.onnx_predictor import load_onnx, start_onnx
from clfctl.inference.outputs import outputs_of
from clfctl.inference.predictor import Seen
from clfctl.inference.quantise import to_int8
from clfctl.inference.rework import rework
from clfctl.inference.rework_options import Rework, share_of
from clfctl.runs.folder import RunFolder
from tests.inference.tiny_onnx import CLASSES, tiny

Cli = Callable[..., Result]
NOBODY, TARGET = Onlookers(no_line, no_bar), Path("x.onnx")
SEEN = Preprocess(16, crop_ratio=1.0)
BRIGHT, DARK, RED = range(3)


def pictures(n: int) -> tuple[Pixels, list[int]]:
    """Return n pictures (n, 16, 16, 3) that are bright, dark or red, with some noise, and what they are."""
    draw, labels = np.random.default_rng(n), [k % 3 for k in range(n)]
    colours = {BRIGHT: (220, 220, 220), DARK: (40, 40, 40), RED: (230, 30, 30)}
    plain = np.array([colours[label] for label in labels])[:, None, None]
    return np.clip(plain + draw.normal(0, 20, (n, 16, 16, 3)), 0, 255).astype(np.uint8), labels


def part(n: int) -> Part:
    images, labels = pictures(n)
    return Part(ArrayImages("pictures", images, labels), range(n))


@pytest.fixture(autouse=True)
def _measured_in_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clfctl.inference.judge.LEAST_S", 0.0)


@pytest.fixture
def data() -> Data:
    return Data(CLASSES, part(30), part(60))


@pytest.fixture
def content() -> bytes:
    return finished(*tiny(SEEN))


def test_a_model_of_eight_bits_says_nearly_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    model, card = tiny(SEEN)
    images, labels = pictures(24)
    seen = [(each,) for each in images]
    before = [*logging.root.handlers], logging.root.level, logging.root.manager.disable
    made = to_int8(model, iter([seen[:12], seen[12:]]))
    # The quantiser sets the root logger up, and prints.
    assert (logging.root.handlers, logging.root.level, logging.root.manager.disable) == before
    assert capsys.readouterr() == ("", "")
    assert "QuantizeLinear" in {node.op_type for node in made.graph.node}
    exact, coarse = (start_onnx(TARGET, finished(each, card), 1) for each in (model, made))
    answers = coarse.probabilities(seen)
    difference = np.abs(answers - exact.probabilities(seen)).max()
    assert 0 < difference < 0.1
    assert answers.argmax(axis=1).tolist() == labels


def test_what_cannot_be_quantised_is_one_sentence(content: bytes) -> None:
    with pytest.raises(ModelError, match="this model cannot be quantised: ") as caught:
        to_int8(onnx.load_from_string(content), iter([[(np.zeros((9, 9, 3), np.uint8),)]]))
    assert "\n" not in str(caught.value)


def test_both_at_once_are_measured_and_kept_in_the_file(content: bytes, data: Data) -> None:
    card = tiny(SEEN)[1]
    found = rework(content, card, data, Rework(int8=True, calibrate=12, bake_preprocessing=True), TARGET, NOBODY)
    assert found.int8
    assert found.agreement
    predictor = start_onnx(TARGET, found.content, 1)
    assert predictor.info == replace(card, takes_whole=True) == found.info
    assert predictor.title == "x.onnx, ONNX Runtime, int8"
    said = predictor.records["int8"]
    assert (said["n_calibrated"], said["n_images"], said["split"]) == (12, 60, "validation")
    assert (said["before"], said["after"]) == (1.0, 1.0)
    assert said["speed"]["times"] > 0
    assert predictor.records["agreement"]["n_images"] == 32 + 8
    assert predictor.records["agreement"]["n_same_class"] == 40
    # Larger than what it was trained on, and of another shape.
    image = Image.fromarray(pictures(3)[0][RED]).resize((40, 56))
    assert predictor.probabilities([predictor.look(image)]).argmax() == RED
    assert any(line.startswith("  right on 60 validation images: 100.0%") for line in found.int8.lines())
    assert "the class that predict gives for 40 of 40 pictures of the data" in found.agreement.lines()[1]


def test_int8_that_loses_more_than_it_may_is_refused(
    content: bytes, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    def worse(model: Any, batches: Iterator[Sequence[Seen]]) -> Any:
        made = to_int8(model, batches)
        head = next(each for each in made.graph.initializer if each.name == "head_quantized")
        head.raw_data = bytes(len(head.raw_data))
        return made

    monkeypatch.setattr(rework_module, "to_int8", worse)
    told = list[str]()
    onlookers, card = Onlookers(told.append, no_bar), tiny(SEEN)[1]
    with pytest.raises(ModelError) as caught:
        rework(content, card, data, Rework(int8=True), TARGET, onlookers)
    message = "int8 loses 66.7%, more than `max_loss=0.01`: 33.3% of 60 validation images are right, 100.0% in float32"
    assert str(caught.value) == message
    assert not told
    assert rework(content, card, data, Rework(int8=True, max_loss=0.7), TARGET, onlookers).int8
    assert told[-1].startswith("Warning: int8 is within `max_loss=0.7` on 60 images, but on so few images a loss of 7")


def test_images_that_are_not_there_and_bad_ones(content: bytes, data: Data) -> None:
    card = tiny(SEEN)[1]
    with pytest.raises(ModelError, match="int8: int8 is calibrated on the run's images"):
        rework(content, card, None, Rework(int8=True), TARGET, NOBODY)
    with pytest.raises(ModelError, match="no validation images to judge int8 on"):
        rework(content, card, replace(data, val=replace(data.val, indices=[])), Rework(int8=True), TARGET, NOBODY)
    tested = rework(content, card, replace(data, val=replace(data.val, indices=[]), test=part(9)),
                    Rework(int8=True), TARGET, NOBODY)  # fmt: skip
    assert tested.int8
    assert (tested.int8.split, tested.int8.n_images) == ("test", 9)


def test_only_some_of_very_many_images_are_judged(content: bytes, data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rework_module, "MOST_JUDGED", 12)
    found = rework(content, tiny(SEEN)[1], data, Rework(int8=True, calibrate=500), TARGET, NOBODY).int8
    assert found
    assert (found.n_images, found.n_held_out, found.n_calibrated) == (12, 60, 30)
    assert "  right on 12 of 60 validation images" in found.lines()[1]


def test_outputs_are_those_of_predict_and_leave_bad_images_out(content: bytes, tmp_path: Path) -> None:
    predictor, good = start_onnx(TARGET, content, 1), part(12)

    class Some:
        labels = good.source.labels

        def open(self, index: int) -> Pixels:
            if index == 4:
                raise OSError("damaged")
            image: Pixels = good.source.open(index)  # type: ignore[assignment]  # of arrays it is one
            return image

        def name(self, index: int) -> str:
            return f"image {index}"

    bad, seen = BadImages("skip", 12), list[int]()
    first, second = outputs_of([predictor] * 2, Part(Some(), range(12)), bad, 2, seen.append)
    assert first.indices.tolist() == [k for k in range(12) if k != 4]
    assert first.labels.tolist() == [k % 3 for k in range(12) if k != 4]
    assert sum(seen) == 11
    assert [*bad.found] == ["image 4"]
    expected = predictor.probabilities([(each,) for each in pictures(12)[0]])[first.indices]
    assert np.abs(first.probabilities - expected).max() < 1e-6
    assert (first.probabilities == second.probabilities).all()
    true = expected[np.arange(11), first.labels]
    assert np.abs(first.losses + np.log(true)).max() < 1e-4


def test_the_difference_has_the_sign_of_what_int8_brings() -> None:
    labels = np.zeros(100, np.int64)

    def outputs(n_right: int) -> Outputs:
        answers = np.tile(np.array([[0.1, 0.9]], np.float32), (100, 1))
        answers[:n_right] = (0.9, 0.1)
        return Outputs(np.arange(100), labels, answers, np.zeros(100, np.float32))

    before, after, low, high = differences(outputs(90), outputs(80))
    assert (before, after) == (0.9, 0.8)
    assert -0.18 < low < -0.1 < high < -0.02


def test_speed_is_a_ratio_of_turns(content: bytes) -> None:
    predictor = start_onnx(TARGET, content, 1)
    found = speed_of(predictor, predictor, (pictures(1)[0][0],))
    assert found.ms_before > 0
    assert found.times == pytest.approx(1, abs=0.5)


@pytest.mark.parametrize(
    ("text", "share"), [("1%", 0.01), ("0.01", 0.01), (" .5 % ", 0.005), ("0", 0.0), ("100%", 1.0)]
)
def test_shares_are_read(text: str, share: float) -> None:
    assert share_of(text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["", "x", "-1%", "101%", "1.5", "1 %%", "nan"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"max_loss: .* is not a share of the images"):
        share_of(text)


def test_options_of_a_program_are_checked() -> None:
    with pytest.raises(UsageError, match="max_loss: '-1' is not a share"):
        Rework(max_loss=-1)
    with pytest.raises(UsageError, match="calibrate: 0 images are too few"):
        Rework(calibrate=0)


@pytest.mark.parametrize(("option", "value"), [("--max-loss", "5%"), ("--calibrate", "64")])
def test_an_option_of_int8_without_it_is_refused(option: str, value: str, cli: Cli) -> None:
    result = cli("export", "runs/x", option, value)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"Error: {option}: without --int8 it has no effect\n  give both, or neither")


def test_an_extra_that_is_missing_is_one_sentence(run: RunFolder, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clfctl.inference.write_onnx.missing_packages", lambda: ["onnx"])
    result = cli("export", str(run.path), "--int8", "--bake-preprocessing")
    assert result.exit_code == 1
    assert "clfctl export needs onnx, which cannot be found" in result.stderr
    assert "pip install 'clfctl[onnx]'" in result.stderr
    result = cli("export", str(run.path), "--int8", "--max-loss", "lots")
    assert result.exit_code == 2
    assert "--max-loss: 'lots' is not a share of the images" in result.stderr


@pytest.mark.slow
def test_a_run_is_exported_in_int8_with_its_preprocessing(copy: RunFolder, digits: Path, cli: Cli) -> None:
    digits = digits.rename("pictures")  # a folder called digits would be taken for the run's data
    plain = [json.loads(line) for line in cli("predict", str(copy.path), str(digits), "--json").stdout.splitlines()]
    n_before = copy.onnx.stat().st_size
    result = cli("export", str(copy.path), "--int8", "--bake-preprocessing", "--max-loss", "5%", "--json")
    assert result.exit_code == 0, result.stderr
    said = json.loads(result.stdout)
    assert said["int8"]["n_images"] > 50
    assert said["int8"]["before"] - said["int8"]["after"] <= 0.05
    assert said["whole"]["n_same_class"] == said["whole"]["n_images"]
    assert said["n_bytes"] == copy.onnx.stat().st_size < 0.4 * n_before
    predictor = load_onnx(copy.onnx, 1)
    assert predictor.info.takes_whole
    assert predictor.records["int8"] == said["int8"]
    result = cli("predict", str(copy.path), str(digits), "--json")
    assert "torch answers" not in result.stderr
    found = [json.loads(line) for line in result.stdout.splitlines()]
    # Of a training as short as this one, int8 may answer otherwise where two classes are about as likely.
    assert sum(ours["class"] == theirs["class"] for ours, theirs in zip(found, plain, strict=True)) >= 10
    pixels = np.asarray(Image.open(found[0]["image"]).convert("RGB"))
    assert clfctl.predict(copy.path, pixels)[0].best == found[0]["class"]


@pytest.mark.slow
def test_a_refused_export_replaces_nothing(copy: RunFolder, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    before = copy.onnx.read_bytes()
    monkeypatch.setattr("clfctl.inference.rework.differences", lambda one, other: (0.9, 0.7, -0.25, -0.15))
    result = cli("export", str(copy.path), "--int8")
    assert result.exit_code == 1
    assert "int8 loses 20.0%, more than --max-loss 0.01: 70.0% of " in result.stderr
    assert copy.onnx.read_bytes() == before


@pytest.mark.slow
def test_int8_without_the_images_of_the_run(copy: RunFolder, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object) -> Data:
        raise OSError("the disk is gone")

    monkeypatch.setattr("clfctl.data.sources.open.open_data", gone)
    before = copy.onnx.read_bytes()
    result = cli("export", str(copy.path), "--int8")
    assert result.exit_code == 1
    assert "calibrated on images that copy was trained on, and they cannot be read: the disk is gone" in result.stderr
    assert copy.onnx.read_bytes() == before
    result = cli("export", str(copy.path), "--bake-preprocessing")
    assert result.exit_code == 0, result.stderr
    assert "pictures of scikit-learn" in result.stdout
