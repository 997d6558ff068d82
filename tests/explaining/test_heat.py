"""Maps back over the picture: every fit, size and crop shows what the model saw where it lies."""

import io

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from clfctl.data.pixels.fit import FITS
from clfctl.data.pixels.seen import Seen, seen_part
from clfctl.data.pixels.transform import Preprocess, to_pixels
from clfctl.display.explain_files import array_file
from clfctl.explaining.explanation import Explanation, drawn_size
from clfctl.explaining.heat import Heat, enlarged, rows_of, spread
from clfctl.explaining.overlay import levels_of, overlaid
from clfctl.settings.data import Fit
from clfctl.settings.image_size import image_size

SIDES = st.integers(40, 300)


@settings(max_examples=40)
@given(
    width=SIDES,
    height=SIDES,
    fit=st.sampled_from([fit for fit in FITS if fit != "reflect"]),
    ratio=st.sampled_from([0.875, 0.95, 1.0]),
    sides=st.sampled_from([(64, 64), (48, 96), (96, 48)]),
    where=st.tuples(st.floats(0.4, 0.6), st.floats(0.4, 0.6)),
)
def test_a_spot_that_the_model_sees_lies_where_it_lay(
    width: int, height: int, fit: Fit, ratio: float, sides: tuple[int, int], where: tuple[float, float]
) -> None:
    """For every fit and shape: its middle in the model's pixels, brought back, is its middle in the picture."""
    picture = np.zeros((height, width, 3), np.uint8)
    half = max(2, min(width, height) // 16)
    x, y = (round(share * (side - 1)) for share, side in zip(where, (width, height), strict=True))
    picture[y - half : y + half + 1, x - half : x + half + 1] = 255
    preprocess = Preprocess(image_size(*sides), crop_ratio=ratio, fit=fit, mean=(0, 0, 0))
    pixels = to_pixels(picture, preprocess)[..., 0].astype(float)
    pixels *= pixels > 60
    seen = seen_part(width, height, preprocess)
    assume(seen.left < x - 2 * half < x + 2 * half < seen.right)
    assume(seen.top < y - 2 * half < y + 2 * half < seen.bottom)
    rows, columns = pixels.sum(1), pixels.sum(0)
    found_y = (rows * (np.arange(sides[0]) + 0.5)).sum() / rows.sum() / sides[0]
    found_x = (columns * (np.arange(sides[1]) + 0.5)).sum() / columns.sum() / sides[1]
    step = max((seen.right - seen.left) / sides[1], (seen.bottom - seen.top) / sides[0])
    assert seen.left + found_x * (seen.right - seen.left) == pytest.approx(x + 0.5, abs=step)
    assert seen.top + found_y * (seen.bottom - seen.top) == pytest.approx(y + 0.5, abs=step)


@pytest.mark.parametrize(("width", "height"), [(50, 80), (301, 40)])
def test_a_frame_of_mirrors_lies_as_one_of_a_colour(width: int, height: int) -> None:
    """In it the spot is seen several times."""
    seen = [seen_part(width, height, Preprocess(64, crop_ratio=1.0, fit=fit)) for fit in ("reflect", "letterbox")]
    assert seen[0] == seen[1]


def test_what_is_cut_off_has_no_heat_and_what_is_framed_has_all_of_it() -> None:
    values = np.ones((7, 7), np.float32)
    crop = Heat(values, seen_part(200, 100, Preprocess(50, crop_ratio=1.0)))
    found = spread([crop], (100, 200), (100, 200))
    assert np.isnan(found[:, :49]).all()
    assert np.isnan(found[:, 151:]).all()
    assert (found[:, 51:149] == 1).all()
    framed = Heat(values, seen_part(200, 100, Preprocess(50, crop_ratio=1.0, fit="letterbox")))
    assert (spread([framed], (100, 200), (100, 200)) == 1).all()


def test_blocks_of_rows_are_the_whole_and_a_file_of_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(0)
    heats = tuple(Heat(draw.random((n, n), np.float32), Seen(-1.5 * n, 2.25, 31 - n, 40.0 + n)) for n in (5, 9))
    whole = spread(heats, (40, 30), (40, 30))
    monkeypatch.setattr("clfctl.explaining.heat._BLOCK", 100)
    assert len([*rows_of(heats, (40, 30), (40, 30))]) > 10
    np.testing.assert_array_equal(spread(heats, (40, 30), (40, 30)), whole)
    explanation = Explanation("x", size=(40, 30), heats=heats[:1])
    read = np.load(io.BytesIO(b"".join(array_file(explanation))))
    np.testing.assert_array_equal(read, explanation.map())
    assert read.shape == (40, 30)
    assert read.dtype == np.float32


def test_members_count_alike_whatever_the_size_of_their_gradients() -> None:
    seen = Seen(0, 0, 4, 4)
    one = np.zeros((4, 4), np.float32)
    other = one.copy()
    one[0, 0], other[3, 3] = 1000.0, 0.001
    found = Explanation("x", size=(4, 4), heats=(Heat(one, seen), Heat(other, seen))).map()
    assert found[0, 0] == found[3, 3] == 0.5


def test_a_member_that_hardly_speaks_for_the_class_does_not_outweigh_the_others() -> None:
    """Occlusion and integrated gradients have values below 0: scaled by its 0.001 one member would be -1000 there."""
    seen = Seen(0, 0, 2, 1)
    against, on = (Heat(np.array([each], np.float32), seen) for each in ([1e-3, -1], [0, 1]))
    found = Explanation("x", size=(1, 2), heats=(against, on))
    np.testing.assert_allclose(found.map(), [[5e-4, 0]], atol=1e-7)
    assert found.has_heat()
    np.testing.assert_array_equal(Heat(np.array([[0, -4]], np.float32), seen).scaled().values, [[0, -1]])
    nothing = Heat(np.zeros((1, 2), np.float32), seen)
    np.testing.assert_array_equal(nothing.scaled().values, [[0, 0]])
    assert not Explanation("x", size=(1, 2), heats=(nothing, nothing)).has_heat()
    # Each says something, but together they say nothing for it.
    back = Heat(-on.values, seen)
    assert not Explanation("x", size=(1, 2), heats=(on, back)).has_heat()


def test_enlarging_keeps_the_middles_of_cells() -> None:
    values = np.array([[0, 1], [2, 3]], np.float32)
    found = enlarged(values, (6, 6))
    assert found[1, 1] == 0
    assert found[4, 4] == 3
    assert found.mean() == pytest.approx(1.5)


def test_an_overlay_leaves_the_picture_where_nothing_is_hot_and_darkens_what_was_not_seen() -> None:
    picture = np.full((8, 8, 3), 200, np.uint8)
    heat = np.zeros((8, 8), np.float32)
    heat[2, 2], heat[:, 7] = 5, np.nan
    drawn = overlaid(picture, heat)
    assert (drawn[5, 5] == 200).all()
    assert (drawn[:, 7] == 60).all()
    assert tuple(drawn[2, 2]) != (200, 200, 200)
    assert (overlaid(picture, heat, 0)[:, :7] == 200).all()
    assert levels_of(heat).max() == 1
    assert levels_of(-heat).max() == 0


def test_a_map_that_comes_nowhere_near_to_0_is_drawn_from_its_least() -> None:
    heat = np.linspace(0.8, 1, 64, dtype=np.float32).reshape(8, 8)
    assert levels_of(heat)[0, 0] == 0
    assert levels_of(heat)[7, 7] == 1
    assert levels_of(heat)[3, 7] == pytest.approx(0.5, abs=0.02)
    assert (levels_of(np.full((8, 8), 0.8, np.float32)) == 1).all()
    one = np.full((100, 100), 0.8, np.float32)
    one[0, 0] = 1
    assert levels_of(one).sum() == 1
    # What is below 0 speaks against the class, and is as dark as 0.
    both = np.linspace(-1, 1, 64, dtype=np.float32).reshape(8, 8)
    np.testing.assert_array_equal(levels_of(both), levels_of(both.clip(min=0)))


@pytest.mark.parametrize(
    ("size", "drawn"),
    [((8, 8), (256, 256)), ((300, 400), (300, 400)), ((3000, 4096), (1500, 2048)), ((1, 9000), (1, 2048))],
)
def test_pictures_are_drawn_neither_tiny_nor_huge(size: tuple[int, int], drawn: tuple[int, int]) -> None:
    assert drawn_size(*size) == drawn
