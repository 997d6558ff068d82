"""A request that is not answered, and why."""

from collections.abc import Mapping


class Refused(Exception):
    """A request that gets an error instead of an answer: its HTTP status, and a sentence for who sent it.

    `full` is what had no room for it, by the name under which that is counted.
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None, full: str = "") -> None:
        super().__init__(message)
        self.status, self.message, self.headers, self.full = status, message, dict(headers or {}), full


def try_later(full: str, message: str, after_s: int) -> Refused:
    """Return the refusal of what could be answered later: 429, with the seconds to wait."""
    return Refused(429, message, {"Retry-After": str(after_s)}, full)
