"""Which checkpoints a run keeps beside its last and its best: as it is written, and what it means."""

from dataclasses import dataclass

KEEP = "'every N', 'best:N', or both with a comma between"


@dataclass(frozen=True)
class Keep:
    """A checkpoint of each `every`-th epoch is kept, and those of the `best` epochs; 0: none."""

    every: int = 0
    best: int = 0

    def __str__(self) -> str:
        """Return it as it is written."""
        parts = [f"every {self.every}" if self.every else "", f"best:{self.best}" if self.best else ""]
        return ", ".join(filter(None, parts))


def parse_keep(text: str) -> Keep:
    """Return what is written, such as `every 5` or `best:3`. Raises ValueError if it says nothing of the kind."""
    found: dict[str, int] = {}
    for part in filter(None, (each.strip() for each in text.split(","))):
        word, *numbers = part.replace(":", " ").replace("=", " ").split()
        if word not in ("every", "best") or word in found or len(numbers) != 1 or not numbers[0].isdecimal():
            raise ValueError(text)
        found[word] = int(numbers[0])
        if not found[word]:
            raise ValueError(text)
    return Keep(**found)
