"""A comparison as one HTML file that needs nothing else, and the other files beside it: all of them, or none."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import jinja2
import numpy as np
from markupsafe import Markup

from clfctl.comparing.choice import p_words
from clfctl.comparing.comparison import Comparison
from clfctl.comparing.pairs import Pair
from clfctl.display.compare_plots import curves_figure
from clfctl.display.compare_tables import number_rows
from clfctl.display.compare_text import confusion_rows
from clfctl.display.curve import letter_of
from clfctl.display.eval_files import pictures_of
from clfctl.display.eval_plots import INK, confusion_figure, drawing, save_figure, svg_of
from clfctl.display.report import data_url
from clfctl.storage.files import explained, replace_file, write_text
from clfctl.storage.folders import replacing_folder
from clfctl.version import __version__

TEMPLATE = "compare.html.jinja"
# Images of a pair that one run alone has right, and pairs of which they are shown.
N_IMAGES, N_PAIRS = 8, 6
N_CONFUSIONS = 20


@dataclass(frozen=True)
class Shown:
    """An image that one of two runs has right: its picture, a data: URL, its class, and what the other one says."""

    file: str
    picture: str
    true: str
    taken_for: str


@dataclass(frozen=True)
class ShownPair:
    """A pair with some of the images that one of the two alone has right."""

    pair: Pair
    first: str
    second: str
    only_first: list[Shown]
    only_second: list[Shown]


def save_comparison(folder: Path, comparison: Comparison, spelled: Callable[[str], str]) -> list[str]:
    """Write everything into `folder`, in place of what was there, and return the names of the files, the page first.

    Raises WriteError; the old folder is untouched then.
    """
    with replacing_folder(folder) as new:
        with drawing():
            save_figure(new / "curves.png", curves_figure(comparison.sides))
            if comparison.common:
                for place, metrics in enumerate(comparison.common.metrics):
                    save_figure(new / f"confusion-{letter_of(place)}.png", confusion_figure(metrics))
        with explained(new / "compare.html"):
            replace_file(new / "compare.html", render(comparison, spelled))
        if comparison.common:
            write_text(new / "disagreements.csv", disagreements(comparison))
        record = json.dumps(comparison.as_record(), indent=2, ensure_ascii=False, allow_nan=False)
        write_text(new / "compare.json", record + "\n")
        return sorted((each.name for each in new.iterdir()), key=lambda name: (name != "compare.html", name))


def disagreements(comparison: Comparison) -> str:
    """Return the images that the runs do not all answer alike, as CSV, with the true class and what each run says."""
    text, common = io.StringIO(), comparison.common
    assert common is not None
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", "true", *(side.name for side in comparison.sides)])
    rows = zip(common.names, common.true, *common.said, strict=True)
    writer.writerows(row for row in rows if len({*row[2:]}) > 1)
    return text.getvalue()


def render(comparison: Comparison, spelled: Callable[[str], str]) -> Iterator[bytes]:
    """Yield the page in pieces."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"p_words": p_words, "letter": letter_of, "points": _points}
    template = environment.from_string(resources.files("clfctl.display").joinpath(TEMPLATE).read_text("utf-8"))
    common = comparison.common
    metrics = common.metrics if common else ()
    with drawing(in_text=True):
        curves = Markup(svg_of(curves_figure(comparison.sides), "curves of all runs"))
        matrices = [Markup(svg_of(confusion_figure(each, INK), "confusion matrix")) for each in metrics]
    titles = [
        spelled(f"`{each.name}=`") if each.is_setting else each.name.replace("_", " ") for each in comparison.different
    ]
    pieces = template.generate(
        comparison=comparison,
        sides=comparison.sides,
        settings=[*zip(titles, (each.words() for each in comparison.different), strict=True)],
        numbers=number_rows(comparison.sides),
        confusions=confusion_rows(metrics, N_CONFUSIONS),
        curves=curves,
        matrices=matrices,
        pairs=[*_shown_pairs(comparison)],
        version=__version__,
    )
    yield from (piece.encode() for piece in pieces)


def _points(share: float) -> str:
    return f"{100 * share:+.1f}"


def _shown_pairs(comparison: Comparison) -> Iterator[ShownPair]:
    """Yield the pairs, those of the choice first, with images for a few of them."""
    sides, choice = comparison.sides, comparison.choice
    of_choice = [each for each in comparison.pairs if choice and choice.run in (each.first, each.second)]
    rest = [each for each in comparison.pairs if each not in of_choice]
    for number, pair in enumerate([*of_choice, *rest]):
        n = N_IMAGES if number < N_PAIRS else 0
        only_first = _shown(comparison, pair.first, pair.second, n)
        only_second = _shown(comparison, pair.second, pair.first, n)
        yield ShownPair(pair, sides[pair.first].name, sides[pair.second].name, only_first, only_second)


def _shown(comparison: Comparison, right: int, wrong: int, n: int) -> list[Shown]:
    """Return images that one run alone has right, the worst mistakes of the other first."""
    common, measured = comparison.common, comparison.sides[right].measured
    assert common is not None
    assert measured is not None
    places = np.flatnonzero(common.right[right] & ~common.right[wrong])
    order = np.argsort(-common.outputs[wrong].losses[places], kind="stable")
    places = places[order[:n]]
    pictures = pictures_of(measured.trained, measured.chosen.part.source, common.outputs[right].indices[places])
    return [
        Shown(common.names[at], data_url(picture), common.true[at], common.said[wrong][at])
        for at, picture in zip(places.tolist(), () if pictures is None else pictures, strict=True)
    ]
