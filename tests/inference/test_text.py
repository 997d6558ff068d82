"""Predictions as text: what every format promises whatever the names are, and a table that fits its terminal."""

import csv
import io
import json

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from clfctl.display.predictions import columns_for, csv_lines, json_array, json_lines, record_of, table_lines
from clfctl.inference.prediction import Choice, Prediction, choose

# Any text that a file or a class may be called, wide characters, quotes, line ends and lone surrogates included.
TEXT = st.text(st.characters(min_codepoint=1, exclude_categories=[]), max_size=30)
SHARES = st.floats(0, 1, width=32)


@st.composite
def predictions(draw: st.DrawFn) -> list[Prediction]:
    found = []
    for name in draw(st.lists(TEXT, max_size=4)):
        if draw(st.booleans()):
            found.append(Prediction(name, error=draw(TEXT.filter(bool))))
        else:
            classes = draw(st.dictionaries(TEXT, SHARES, max_size=3))
            found.append(Prediction(name, tuple(classes.items())))
    return found


@given(predictions())
def test_json_and_csv_parse_back(found: list[Prediction]) -> None:
    expected = [record_of(each) for each in found]
    assert json.loads("".join(json_array(found))) == expected
    lines = list(json_lines(found))
    assert [json.loads(line) for line in lines] == expected
    assert all(line.count("\n") == 1 for line in lines)
    rows = list(csv.DictReader(io.StringIO("".join(csv_lines(found, 3)), newline="")))
    for row, each in zip(rows, found, strict=True):
        assert (row["image"], row["error"]) == (each.name, each.error)
        cells = [row[f"{column}{n}"] for n in ("", "_2", "_3") for column in ("class", "probability")]
        assert cells == [*(str(cell) for pair in each.classes for cell in pair), *[""] * (6 - 2 * len(each.classes))]


@given(predictions(), st.integers(40, 200))
def test_a_table_fits_its_terminal(found: list[Prediction], width: int) -> None:
    classes = [name for each in found for name, _ in each.classes]
    columns = columns_for([each.name for each in found], classes, 3, width)
    for line in table_lines(found, columns, color=False):
        assert line.count("\n") == 1
        assert cell_len(line.rstrip("\n")) <= width


def test_table_shows_the_end_of_a_path_and_the_class() -> None:
    names = ["photos/2026/holiday/by the sea/with the dog/IMG_0001.jpg", "a.jpg", "b.jpg", "c.jpg"]
    found = [
        Prediction(names[0], (("golden retriever", 0.973), ("labrador", 0.021))),
        Prediction(names[1], (("名前", 1.0),)),
        Prediction(names[2]),
        Prediction(names[3], error="has no bytes"),
    ]
    columns = columns_for(names, ["golden retriever", "labrador", "名前"], 2, 80)
    lines = "".join(table_lines(found, columns, color=False)).splitlines()
    assert lines[0].split() == ["image", "class", "share", "then"]
    assert lines[1].startswith("…")
    assert "IMG_0001.jpg  golden retriever   97.3 %" in lines[1]
    assert lines[2].split() == ["a.jpg", "名前", "100.0", "%"]
    assert lines[3].split() == ["b.jpg", "unsure"]
    assert lines[4].split(maxsplit=1) == ["c.jpg", "has no bytes"]
    painted = "".join(table_lines(found, columns, color=True))
    assert "\x1b[31mc.jpg" in painted


def test_the_likeliest_come_first_and_equal_ones_in_their_order() -> None:
    import numpy as np

    shares = np.array([0.1, 0.4, 0.1, 0.4], np.float32)
    assert choose(shares, "abcd", Choice(3)) == (("b", 0.4), ("d", 0.4), ("a", 0.1))
    assert choose(shares, "abcd", Choice(9, 0.2)) == (("b", 0.4), ("d", 0.4))
    assert choose(shares, "abcd", Choice(1, 0.5)) == ()
