"""Lengths of time by the clock, as they are written: 90s, 20m, 1h30m."""

import re

CLOCK = "a time such as 90s, 20m or 1h30m"
_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_PART = r"(?:(\d+(?:\.\d+)?){unit})?"
_WRITTEN = re.compile("".join(_PART.format(unit=unit) for unit in _UNITS))


def parse_clock(text: str) -> float:
    """Return what is written in seconds, above 0. Raises ValueError if it is not a length of time."""
    found = _WRITTEN.fullmatch(text.strip().lower().replace(" ", ""))
    seconds = sum(float(n) * size for n, size in zip(found.groups(), _UNITS.values(), strict=True) if n) if found else 0
    if not seconds:
        raise ValueError(text)
    return seconds


def clock_in_words(seconds: float) -> str:
    """Return seconds in the unit that fits: `85 ms`, `3.2 s`, `1m20s`, `2h05m`."""
    if seconds < 0.9995:
        return f"{1000 * seconds:.{0 if seconds >= 0.01 else 1}f} ms"
    if seconds < 59.5:
        return f"{seconds:.{0 if seconds >= 10 else 1}f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest:02}s" if minutes < 60 else f"{minutes // 60}h{minutes % 60:02}m"
