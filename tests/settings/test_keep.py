"""Settings kept in a TOML file: what stands there stays."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clfctl.settings.keep import put_into

FILE = """\
# My settings.
epochs = 50            # long enough
num-workers = 2        # what the laptop has

model = "efficientnet_b0"
# the end
"""


def test_every_other_line_and_comment_stays() -> None:
    new, changed = put_into(FILE, {"workers": 4, "cache": "disk"})
    assert new == FILE.replace("num-workers = 2 ", "num-workers = 4 ") + 'cache = "disk"\n'
    assert changed == {"workers": (2, 4), "cache": (None, "disk")}


def test_what_stands_there_already_is_no_change() -> None:
    assert put_into(FILE, {"workers": 2}) == (FILE, {})


@pytest.mark.parametrize("text", ["", "lr = 1", "# only a comment"])
def test_new_lines_come_last(text: str) -> None:
    new, _ = put_into(text, {"workers": 3})
    assert new.startswith(text)
    assert tomllib.loads(new)["workers"] == 3
    assert new.endswith("workers = 3\n")


lines = st.lists(
    st.sampled_from(
        ["epochs = 3", "# a comment", "", 'model = "custom" # c', "lr = 1e-3", "quiet = true", "t-max = 5"]
    ),
    max_size=7,
    unique_by=lambda line: line or object(),
)


@given(lines, st.sampled_from(["", "workers = 1", "num_workers=1 # x", 'workers = "auto"']), st.integers(0, 9))
def test_any_file_keeps_its_other_lines(others: list[str], own: str, workers: int) -> None:
    text = "\n".join([*others[:3], *([own] if own else []), *others[3:]]) + "\n"
    new, _ = put_into(text, {"workers": workers})
    name = "num_workers" if own.startswith("num") else "workers"
    assert tomllib.loads(new) == tomllib.loads(text) | {name: workers}
    assert [line for line in new.splitlines() if "workers" not in line] == [
        line for line in text.splitlines() if "workers" not in line
    ]
