"""Tables of images as programs and people write them: each function writes one and its images."""

import bz2
import csv
import gzip
import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.real.folders import picture

PETS = ("cat", "dog")
N = 4
Row = Sequence[str]


def rows_of(root: Path, classes: Sequence[str] = PETS, n: int = N) -> list[Row]:
    """Write images in class folders, and return the rows (path, class) of them."""
    rows: list[Row] = []
    for name in classes:
        for i in range(n):
            picture(root / name / f"{i}.jpg")
            rows.append((f"{name}/{i}.jpg", name))
    return rows


def text(rows: Iterable[Row], head: Row = ("path", "label"), delimiter: str = ",", **options: object) -> str:
    file = io.StringIO()
    writer = csv.writer(file, delimiter=delimiter, **options)  # type: ignore[arg-type]  # csv's own options
    writer.writerow(head)
    writer.writerows(rows)
    return file.getvalue()


def saved(path: Path, content: str | bytes, encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return path


def pandas_to_csv(root: Path) -> Path:
    """DataFrame.to_csv without index=False: a first column without a name."""
    rows = [(str(i), *row) for i, row in enumerate(rows_of(root))]
    return saved(root / "photos.csv", text(rows, ("", "path", "label")))


def pandas_gzip(root: Path) -> Path:
    """DataFrame.to_csv('photos.csv.gz')."""
    return saved(root / "photos.csv.gz", gzip.compress(text(rows_of(root)).encode()))


def tsv_bzip2(root: Path) -> Path:
    return saved(root / "photos.tsv.bz2", bz2.compress(text(rows_of(root), delimiter="\t").encode()))


def r_write_csv(root: Path) -> Path:
    """write.csv of R quotes every cell."""
    return saved(root / "photos.csv", text(rows_of(root), quoting=csv.QUOTE_ALL))


def excel_utf8(root: Path) -> Path:
    """'CSV UTF-8' of Excel: with a byte order mark and lines that end in CR LF, and here rows left empty below."""
    return saved(root / "photos.csv", "\ufeff" + text([*rows_of(root), ("", ""), ("", "")]))


def excel_german(root: Path) -> Path:
    """'CSV' of a German Excel: semicolons, Windows-1252; the images are named in UTF-8, as Linux names them."""
    return saved(root / "fotos.csv", text(rows_of(root, ("Küche", "Straße")), delimiter=";"), "cp1252")


def excel_with_sep(root: Path) -> Path:
    """A first line that tells Excel what separates the cells."""
    return saved(root / "photos.csv", "sep=;\r\n" + text(rows_of(root), delimiter=";"))


def excel_unicode_text(root: Path) -> Path:
    """'Unicode text' of Excel: UTF-16 with tabs, renamed to .csv."""
    return saved(root / "photos.csv", text(rows_of(root, ("Küche", "Straße")), delimiter="\t"), "utf-16")


def powershell_export_csv(root: Path) -> Path:
    """UTF-16 without a mark, as Out-File and some exports write it."""
    return saved(root / "photos.csv", text(rows_of(root)), "utf-16-le")


def windows_paths(root: Path) -> Path:
    """Made on Windows, from the folder of the table: backslashes, some with .\\ before."""
    rows = [(path.replace("/", "\\"), name) for path, name in rows_of(root)]
    return saved(root / "photos.csv", text([(f".\\{path}" if i % 2 else path, n) for i, (path, n) in enumerate(rows)]))


def windows_paths_in_cp1252(root: Path) -> Path:
    rows = [(path.replace("/", "\\"), name) for path, name in rows_of(root, ("Küche", "Straße"))]
    return saved(root / "fotos.csv", text(rows, delimiter=";"), "cp1252")


def find_printf(root: Path) -> Path:
    """Paths as `find .` prints them, and some absolute."""
    rows = rows_of(root)
    return saved(root / "x.csv", text([(f"./{p}" if i % 2 else str(root / p), n) for i, (p, n) in enumerate(rows)]))


def latin1_disk(root: Path) -> Path:
    """An old disk: folders, files and table all in Latin-1."""
    rows = []
    for name in ("K\xfcche", "Stra\xdfe"):
        folder = os.fsdecode(os.fsencode(root) + b"/" + name.encode("latin-1"))
        for i in range(N):
            picture(Path(folder) / f"{i}.jpg")
            rows.append((f"{name}/{i}.jpg", name))
    return saved(root / "fotos.csv", text(rows), "latin-1")


def weighted(root: Path) -> Path:
    rows = [(*row, "3" if row[1] == "cat" else "0.5") for row in rows_of(root)]
    return saved(root / "photos.csv", text(rows, ("path", "label", "weight")))


def with_parts(root: Path) -> Path:
    """A split column with the words of Kaggle and of Keras."""
    words = ("Train", "TRAINING", "Validation", "holdout")
    rows = [(*row, words[i % N]) for i, row in enumerate(rows_of(root))]
    return saved(root / "photos.csv", text(rows, ("path", "label", "split")))


def mostly_there(root: Path, n_missing: int, n_present: int) -> Path:
    """A download that stopped: the first rows are of files that are not there."""
    rows = [(f"{PETS[i % 2]}/gone-{i}.jpg", PETS[i % 2]) for i in range(n_missing)]
    for i in range(2):
        picture(root / PETS[i] / "0.jpg")
    rows += [(f"{PETS[i % 2]}/0.jpg", PETS[i % 2]) for i in range(n_present)]
    return saved(root / "photos.csv", text(rows))
