"""The classes that a model names, as HTML: bars that a reader of the screen can hear, on any ground."""

from collections.abc import Sequence

from clfctl.app.words import as_html


def answer_html(name: str, classes: Sequence[tuple[str, float]]) -> str:
    """Return the likeliest classes of a picture, best first, as (class, probability), under the name of the model."""
    rows = "".join(_row(each, probability) for each, probability in classes)
    return f'<section class="clfctl-answer"><h4>{as_html(name)}</h4><dl>{rows}</dl></section>'


def _row(name: str, probability: float) -> str:
    bar = f'<span class="clfctl-bar"><span style="width: {100 * probability:.2f}%"></span></span>'
    return f"<div><dt>{as_html(name)}</dt><dd>{share(probability)}</dd>{bar}</div>"


def share(probability: float) -> str:
    """Return a probability in percent: never 100 or 0 where it is not."""
    percent = 100 * probability
    if 0 < percent < 0.1:
        return "< 0.1 %"
    if 99.9 < percent < 100:
        return "> 99.9 %"
    return f"{percent:.1f} %"
