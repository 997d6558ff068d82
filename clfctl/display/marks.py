"""What tells curves on the same axes apart: a letter on each of them, and a colour of its own."""

import itertools
from collections.abc import Iterator, Mapping, Sequence

# Cells that a curve passes, (row, column) from the top left, with the bits of its dots there.
Layer = Mapping[tuple[int, int], int]
# Text and the SGR code of its style, "" for none.
Piece = tuple[str, str]

DIM, BOLD = "2", "1"
_RESET = "\x1b[0m"
# Blue, orange, teal, magenta, olive, lilac of the 256 colours that terminals agree on. Each has a contrast of 2.7 or
# more with black and with white; they were chosen by their distances (Oklab) as seen by eyes that miss red, green or
# blue (Machado et al. 2009).
_COLORS = (27, 202, 36, 127, 58, 141)
_MAX_CANDIDATES = 32


def letter_of(index: int) -> str:
    """Return the letter of the series `index`, A for 0; an empty string past Z."""
    return chr(ord("A") + index) if index < 26 else ""


def style_of(index: int, bold: bool = False) -> str:
    """Return the SGR code of the colour of the series `index`; colours come again after the last."""
    return (f"{BOLD};" if bold else "") + f"38;5;{_COLORS[index % len(_COLORS)]}"


def paint(text: str, index: int) -> str:
    """Return `text` in the colour of the series `index`, for a terminal."""
    return f"\x1b[{style_of(index)}m{text}{_RESET}"


def join(pieces: Sequence[Piece], color: bool) -> str:
    """Return a line without spaces at its end; with `color` in the pieces' styles, which end with it."""
    text = "".join(text for text, _ in pieces).rstrip()
    if not color:
        return text
    styles = (style for piece, style in pieces for _ in piece)
    runs = itertools.groupby(zip(text, styles, strict=False), key=lambda pair: "" if pair[0] == " " else pair[1])
    parts = [(style, "".join(character for character, _ in run)) for style, run in runs]
    line = "".join(f"\x1b[{style}m{part}{_RESET}" if style else part for style, part in parts)
    return line if line.endswith(_RESET) else line + _RESET


def place_letters(layers: Sequence[Layer], n_rows: int) -> dict[tuple[int, int], int]:
    """Return the cell of each series' letter, with the index of the series: on its own curve, far from the others.

    A curve whose cells all carry letters already has none.
    """
    extents = [_extents(layer) for layer in layers]
    enough = max(3, n_rows // 3)  # further away is not clearer: from there on the letters spread over the width
    taken: dict[tuple[int, int], int] = {}
    for index, layer in enumerate(layers[:26]):
        columns = sorted(extents[index])
        target = columns[(len(columns) - 1) * (index + 1) // (len(layers) + 1)] if columns else 0
        best: tuple[int, int] | None = None
        best_score: tuple[float, ...] = ()
        cells = [cell for cell in _candidates(extents[index], columns) if cell in layer and cell not in taken]
        for row, column in cells or [cell for cell in layer if cell not in taken]:
            score = (
                not any(row == other and abs(column - at) < 3 for other, at in taken),
                min(_clearance((row, column), extents, index), enough),
                sum(extents[index].get(column + shift) == (row, row) for shift in range(-2, 3)),  # on the level
                -abs(column - target),
            )
            if score > best_score:
                best, best_score = (row, column), score
        if best is not None:
            taken[best] = index
    return taken


def _extents(layer: Layer) -> dict[int, tuple[int, int]]:
    """Return the first and the last row of the curve in each of its columns."""
    extents: dict[int, tuple[int, int]] = {}
    for row, column in layer:
        top, bottom = extents.get(column, (row, row))
        extents[column] = min(top, row), max(bottom, row)
    return extents


def _candidates(extents: Mapping[int, tuple[int, int]], columns: Sequence[int]) -> Iterator[tuple[int, int]]:
    inner = columns[2:-2] or columns  # at an end a letter reads as part of the axis
    for column in inner[:: max(1, len(inner) // _MAX_CANDIDATES)]:
        top, bottom = extents[column]
        yield from {(row, column) for row in (top, (top + bottom) // 2, bottom)}


def _clearance(cell: tuple[int, int], extents: Sequence[Mapping[int, tuple[int, int]]], own: int) -> float:
    """Return the rows from a cell to the nearest other curve, a column counted as half a row."""
    row, column = cell
    nearest = float("inf")
    for index, other in enumerate(extents):
        if index == own:
            continue
        for shift in range(-3, 4):
            if column + shift in other:
                top, bottom = other[column + shift]
                nearest = min(nearest, max(top - row, row - bottom, abs(shift) / 2))
    return nearest
