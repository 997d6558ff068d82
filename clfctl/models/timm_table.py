"""What is known of timm's models without timm: size, image size, published weights. No torch here.

The table comes with clfctl, made of one version of timm (`python -m tests.models.table`): to build 1,371 models takes a
quarter of an hour, and to import timm alone 7 seconds.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PATH = Path(__file__).with_name("timm_table.tsv")
_COLUMNS = "name\tparameters\theight\twidth\thead\tbody_tensors\tbody_values\tpublished"


@dataclass(frozen=True)
class Row:
    """A model of timm's as it is without arguments.

    `height` and `width` are those of the images that it was made for, in pixels. `head` names its classifiers;
    `n_body` tensors with `n_values` numbers are the rest of it, by which a file of weights is known. `published` are
    the tags of its weights, first those that are taken unless another is named, each with its repository or address
    where that is not timm's own of that name.
    """

    name: str
    n_parameters: int
    height: int
    width: int
    head: tuple[str, ...]
    n_body: int
    n_values: int
    published: tuple[tuple[str, str], ...]

    @property
    def is_published(self) -> bool:
        """Whether there are pretrained weights of it."""
        return bool(self.published)

    def place(self, tag: str) -> str:
        """Return the repository of the hub, or the address, that weights are in. KeyError for a tag not known."""
        return dict(self.published)[tag] or f"timm/{self.name}{f'.{tag}' if tag else ''}"


def write_table(path: Path, version: str, rows: Iterable[Row]) -> None:
    """Write what `read_table` reads."""
    lines = [f"# timm {version}", _COLUMNS]
    for row in rows:
        tags = ",".join(f"{tag}={place}" if place else tag for tag, place in row.published) or "-"
        values = (row.name, row.n_parameters, row.height, row.width, ",".join(row.head), row.n_body, row.n_values, tags)
        lines.append("\t".join(map(str, values)))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@cache
def read_table(path: Path = PATH) -> tuple[str, Mapping[str, Row]]:
    """Return the version of timm that the table was made of, and its rows by name."""
    first, _, *lines = path.read_text(encoding="utf-8").splitlines()
    return first.removeprefix("# timm "), {row.name: row for row in map(_row, lines)}


def _row(line: str) -> Row:
    name, n_parameters, height, width, head, n_body, n_values, published = line.split("\t")
    pairs = (each.partition("=") for each in published.split(",")) if published != "-" else ()
    return Row(
        name,
        int(n_parameters),
        int(height),
        int(width),
        tuple(filter(None, head.split(","))),
        int(n_body),
        int(n_values),
        tuple((tag, place) for tag, _, place in pairs),
    )
