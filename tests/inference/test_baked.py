"""--bake-preprocessing: the graph makes the pixels that evaluation makes, of pictures of any size."""

import json
import math
from dataclasses import dataclass, field, replace
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto, helper, numpy_helper
from PIL import Image
from sklearn.datasets import load_sample_images

from clfctl.data.pixels.decode import Pixels, columns_first, resize, resize_by_pillow
from clfctl.data.pixels.fit import FITS, INTERPOLATIONS
from clfctl.data.pixels.transform import LONGEST, Preprocess, to_pixels
from clfctl.errors import ModelError
from clfctl.inference import agreement, onnx_file
from clfctl.inference.agreement import MOST_LEVELS, agreement_of, pictures_of
from clfctl.inference.baking import PREPARED, bake, preparing_alone
from clfctl.inference.export import finished
from clfctl.inference.onnx_file import INPUT
from clfctl.inference.onnx_predictor import MOST_PIXELS, OnnxPredictor, session_of, start_onnx
from clfctl.settings.data import Fit, Interpolation
from clfctl.settings.image_size import ImageSize, read_image_size
from tests.inference.tiny_onnx import CLASSES, tiny

SIZES = (24, read_image_size("20x33"))
SIDES = st.integers(1, 12) | st.integers(1, 150)


@cache
def session(preprocess: Preprocess) -> Any:
    return session_of(preparing_alone(preprocess).SerializeToString(), 1)


def noise(height: int, width: int, seed: int) -> Pixels:
    return np.random.Generator(np.random.Philox(seed)).integers(0, 256, (height, width, 3), np.uint8)


def levels(found: Pixels, expected: Pixels) -> int:
    assert found.shape == expected.shape
    return int(np.abs(found.astype(int) - expected).max())


@settings(max_examples=120)
@given(
    height=SIDES, width=SIDES, size=st.sampled_from(SIZES), ratio=st.sampled_from([0.875, 1.0]),
    fit=st.sampled_from(FITS), by=st.sampled_from(INTERPOLATIONS), seed=st.integers(0, 2**32),
)  # fmt: skip
def test_the_graph_makes_the_pixels_of_evaluation(
    height: int, width: int, size: ImageSize, ratio: float, fit: Fit, by: Interpolation, seed: int
) -> None:
    preprocess = Preprocess(size, ratio, interpolation=by, fit=fit)
    # A batch of one size, of which each picture is as it is alone.
    pictures = noise(2 * height, width, seed).reshape(2, height, width, 3)
    (found,) = session(preprocess).run([PREPARED], {INPUT: pictures})
    for seen, picture in zip(found, pictures, strict=True):
        assert levels(seen, to_pixels(picture, preprocess, columns_first)) <= (by != "nearest") * MOST_LEVELS


@pytest.mark.parametrize("by", INTERPOLATIONS)
@pytest.mark.parametrize("shape", [(427, 640), (427, 120), (60, 640)])
def test_of_photographs_the_pixels_are_those_of_pillow(by: Interpolation, shape: tuple[int, int]) -> None:
    """Whatever the order of its two passes: it counts where a filter goes beyond black or white, as in noise."""
    preprocess = Preprocess(96, interpolation=by, fit="stretch")
    picture = load_sample_images().images[1][: shape[0], : shape[1]]
    height, width = preprocess.scaling.size_of(shape[1], shape[0])
    (found,) = session(preprocess).run([PREPARED], {INPUT: picture[None]})
    whole = np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling[by.upper()]))
    middle = slice((height - 96) // 2, (height - 96) // 2 + 96)
    assert np.abs(found[0].astype(int) - whole[middle, middle]).mean() < 0.1


@settings(max_examples=60)
@given(height=SIDES, width=SIDES, by=st.sampled_from(["bilinear", "bicubic"]), seed=st.integers(0, 2**32))
def test_resizes_with_and_without_torch_agree_of_any_shape(
    height: int, width: int, by: Interpolation, seed: int
) -> None:
    """Pillow 13 begins with the rows where a picture loses many of them, torch never does."""
    picture = noise(height, width, seed)
    assert levels(resize(picture, 30, 40, by), resize_by_pillow(picture, 30, 40, by)) <= 2


def predictors(preprocess: Preprocess) -> tuple[OnnxPredictor, OnnxPredictor]:
    """Return a small model that is given prepared pixels, and the same with whole pictures."""
    model, card = tiny(preprocess)
    baked = finished(bake(model, [preprocess]), replace(card, takes_whole=True))
    contents = finished(model, card), baked
    first, second = (start_onnx(Path("x.onnx"), each, 1) for each in contents)
    return first, second


def test_a_model_with_its_preprocessing_says_of_pictures_what_it_says_of_pixels(tmp_path: Path) -> None:
    prepared, whole = predictors(Preprocess(24, fit="letterbox"))
    pictures = [noise(40, 30, 1), noise(9, 50, 2), noise(40, 30, 3) // 4]
    looks = [whole.look(each) for each in pictures]
    assert [each[0].shape for each in looks] == [each.shape for each in pictures]
    answers = whole.probabilities(looks)
    assert answers.shape == (3, len(CLASSES))
    assert np.abs(answers - prepared.probabilities([prepared.look(each) for each in pictures])).max() < 0.01
    assert answers.argmax(axis=1).tolist()[2] == CLASSES.index("dark")


HUGE: list[tuple[tuple[int, int], Fit, bool]] = [
    ((4200, 600), "stretch", False),
    ((4200, 600), "stretch", True),
    ((300, 9000), "crop", True),
    ((700, 4100), "letterbox", True),
    ((1, 90_000), "stretch", False),
]


@pytest.mark.parametrize(("shape", "fit", "is_jpeg"), HUGE)
def test_a_huge_picture_is_made_smaller_before_the_graph_sees_it(
    shape: tuple[int, int], fit: Fit, is_jpeg: bool
) -> None:
    """A server's memory is bounded by what the graph gets, of which it makes float32 several times."""
    prepared, whole = predictors(Preprocess(24, fit=fit))
    slope = np.linspace(0, 255, shape[1]).astype(np.uint8)
    picture: Any = np.broadcast_to(slope[None, :, None], (*shape, 3)).copy()
    if is_jpeg:
        file = BytesIO()
        Image.fromarray(picture).save(file, "JPEG")
        picture = Image.open(file)
    (seen,) = whole.look(picture)
    assert max(seen.shape) <= LONGEST < max(shape)
    if is_jpeg:
        picture = Image.open(file)
    expected = prepared.probabilities([prepared.look(picture)])
    assert np.abs(whole.probabilities([(seen,)]) - expected).max() < 0.01


def test_what_the_model_cuts_off_is_not_made_smaller_for() -> None:
    """A panorama keeps its rows: the middle of it is seen, and that is as sharp as in a picture of usual shape."""
    panorama = noise(400, 20_000, 1)
    (seen,) = predictors(Preprocess(24))[1].look(panorama)
    assert seen.shape == (400, 1600, 3)
    assert (seen == panorama[:, 9200:10_800]).all()
    usual = noise(2048, 1500, 2)
    assert predictors(Preprocess(24))[1].look(usual)[0] is not None
    assert (predictors(Preprocess(24))[1].look(usual)[0] == usual).all()


def test_large_pictures_are_asked_one_after_another() -> None:
    @dataclass
    class Watched:
        """A session that notes how many pixels it was given at once."""

        inner: Any
        asked: list[int] = field(default_factory=list)

        def run(self, names: Any, given: dict[str, Any]) -> Any:
            self.asked.append(math.prod(given[INPUT].shape[:3]))
            return self.inner.run(names, given)

    whole = predictors(Preprocess(24))[1]
    watched = Watched(whole.session)
    pictures = [*(noise(2048, 1500, 1) // (n + 1) for n in range(3)), *(noise(40, 30, n) for n in range(5))]
    looks = [whole.look(each) for each in pictures]
    found = replace(whole, session=watched).probabilities(looks)
    assert max(watched.asked) == 2048 * 1500 <= MOST_PIXELS
    assert sorted(watched.asked) == [5 * 40 * 30, *[2048 * 1500] * 3]
    assert np.abs(found - np.concatenate([whole.probabilities([each]) for each in looks])).max() < 1e-6


def test_agreement_counts_what_differs() -> None:
    prepared, whole = predictors(Preprocess(24))
    found = agreement_of(prepared, whole, pictures_of(None), "scikit-learn")
    assert (found.n_images, found.n_same_class, found.images) == (8, 8, "scikit-learn")
    assert found.levels <= MOST_LEVELS
    assert 0 <= found.difference < 0.02
    other = predictors(Preprocess(24, crop_ratio=0.5))[0]
    apart = agreement_of(other, whole, pictures_of(None), "scikit-learn")
    assert apart.difference > found.difference + 0.005


def test_a_graph_that_names_other_classes_is_refused() -> None:
    """The pixels are right, and what the model says of them is not: its head has the classes in another order."""
    preprocess = Preprocess(24)
    prepared, whole = predictors(preprocess)
    model, card = tiny(preprocess)
    for tensor in model.graph.initializer:
        if tensor.name == "head":
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor)[:, [1, 2, 0]].copy(), "head"))
    wrong = start_onnx(Path("x.onnx"), finished(bake(model, [preprocess]), replace(card, takes_whole=True)), 1)
    with pytest.raises(
        ModelError, match=r"of \d of 8 pictures of scikit-learn the graph names another class"
    ) as caught:
        agreement_of(prepared, wrong, pictures_of(None), "scikit-learn")
    assert caught.value.field == "bake_preprocessing"
    assert agreement_of(prepared, whole, pictures_of(None), "scikit-learn").n_same_class == 8


def test_without_a_picture_nothing_is_said_to_agree() -> None:
    bad = Image.open(BytesIO(cut_jpeg()))
    for pictures in ([], [bad]):
        with pytest.raises(ModelError, match="none of the pictures of the data can be read"):
            agreement_of(*predictors(Preprocess(24)), pictures, "the data")


def cut_jpeg() -> bytes:
    """A JPEG that ends where its pixels begin."""
    file = BytesIO()
    Image.fromarray(noise(64, 64, 0)).save(file, "JPEG")
    return file.getvalue()[:700]


def test_a_graph_that_sees_other_pixels_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared, whole = predictors(Preprocess(24))
    monkeypatch.setattr(agreement, "preparing_alone", lambda seen: preparing_alone(Preprocess(24, fit="stretch")))
    with pytest.raises(ModelError, match=r"the graph prepares other pixels .* levels of 255"):
        agreement_of(prepared, whole, pictures_of(None), "scikit-learn")


def test_an_older_clfctl_refuses_a_file_that_takes_whole_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would cut and scale first, and the graph would do it once more."""
    prepared, whole = predictors(Preprocess(24))
    about = [json.loads(each.session.get_modelmeta().custom_metadata_map["clfctl"]) for each in (prepared, whole)]
    assert [each["format"] for each in about] == [1, 3]
    assert [each.get("pixels") for each in about] == [None, "whole"]
    assert [each.info.takes_whole for each in (prepared, whole)] == [False, True]
    monkeypatch.setattr(onnx_file, "FORMAT", 2)
    with pytest.raises(ModelError, match="written by a newer clfctl"):
        predictors(Preprocess(24))


def test_older_operators_are_written_anew_and_inner_graphs_are_found() -> None:
    model, card = tiny(Preprocess(24))
    before = start_onnx(Path("x.onnx"), finished(model, card), 1)
    older = ModelProto()
    older.CopyFrom(model)
    older.opset_import[0].version = 17
    # What an inner graph reads of the outer one is renamed too.
    inner = [helper.make_graph([helper.make_node("Identity", [INPUT], [f"out_{n}"])], f"branch{n}", [],
                               [helper.make_tensor_value_info(f"out_{n}", 2, None)]) for n in range(2)]  # fmt: skip
    one = helper.make_tensor("yes", 9, [1], [True])
    older.graph.initializer.append(one)
    older.graph.node.insert(0, helper.make_node("If", ["yes"], ["chosen"], then_branch=inner[0], else_branch=inner[1]))
    older.graph.node[1].input[0] = "chosen"
    baked = bake(older, card.views)
    assert baked.opset_import[0].version >= 18
    whole = start_onnx(Path("x.onnx"), finished(baked, replace(card, takes_whole=True)), 1)
    picture = noise(50, 31, 5)
    same = to_pixels(picture, card.preprocess, columns_first)
    assert np.abs(whole.probabilities([(picture,)]) - before.probabilities([(same,)])).max() < 0.01
