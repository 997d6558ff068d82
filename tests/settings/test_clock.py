"""Lengths of time are read as they are written, and nothing else is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clfctl.errors import UsageError
from clfctl.settings.clock import clock_in_words, parse_clock
from clfctl.settings.groups import TrainSettings
from clfctl.settings.sources import from_fields


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("20m", 1200), ("1h30m", 5400), ("1h 30m", 5400), ("1.5H", 5400), ("2d", 172800), ("1m30s", 90)],
)
def test_what_is_written_is_read(text: str, seconds: float) -> None:
    assert parse_clock(text) == seconds


@given(st.integers(0, 9), st.integers(0, 99), st.integers(0, 99), st.integers(1, 99))
def test_units_add_up(d: int, h: int, m: int, s: int) -> None:
    assert parse_clock(f"{d}d{h}h{m}m{s}s") == ((d * 24 + h) * 60 + m) * 60 + s


@pytest.mark.parametrize("text", ["90", "0s", "-1m", "1m2h", "an hour", "1e3s", "h", "1h30", "inf"])
def test_what_is_no_length_of_time_is_a_sentence(text: str) -> None:
    with pytest.raises(UsageError, match="it must be a time such as 90s, 20m or 1h30m") as caught:
        from_fields(TrainSettings, {"time": text})
    assert caught.value.field == "time"


@pytest.mark.parametrize("text", ["", "0"])
def test_no_time_is_no_limit(text: str) -> None:
    assert TrainSettings(time=text).time == ""


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.0042, "4.2 ms"), (0.0854, "85 ms"), (0.9, "900 ms"), (0.9999, "1.0 s"), (12.6, "13 s"), (59.9, "1m00s"),
     (80, "1m20s"), (7500, "2h05m")],
)  # fmt: skip
def test_seconds_in_words(seconds: float, words: str) -> None:
    assert clock_in_words(seconds) == words
