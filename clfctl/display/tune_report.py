"""A study as one HTML page that needs nothing else: no script, no network, no other file."""

from importlib import resources

import jinja2
from markupsafe import Markup

from clfctl.display.epochs import format_time
from clfctl.display.eval_plots import drawing, svg_of
from clfctl.display.tune_plots import figures
from clfctl.display.tune_table import accuracy_words, in_words, summary_lines, value_words
from clfctl.storage.files import write_text
from clfctl.tuning.folder import StudyFolder
from clfctl.tuning.found import Tuned
from clfctl.tuning.space import Space
from clfctl.version import __version__

TEMPLATE = "tune_report.html.jinja"


def save_report(tuned: Tuned, space: Space, folder: StudyFolder) -> None:
    """Write the page of a study into its folder. Raises WriteError."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"accuracy": accuracy_words, "value": value_words, "time": format_time}
    template = environment.from_string(resources.files("clfctl.display").joinpath(TEMPLATE).read_text("utf-8"))
    with drawing(in_text=True):
        pictures = [(title, Markup(svg_of(figure, title))) for _, title, figure in figures(tuned, space)]
    others = [each for each in tuned.trials if each not in tuned.ranked()]
    text = template.render(
        tuned=tuned,
        space=[str(each) for each in space],
        names=[each.name for each in space],
        trials=[*tuned.ranked(), *others],
        lines=[each for each in summary_lines(tuned) if "`" not in each],
        pictures=pictures,
        judged=lambda value: "" if value is None else in_words(tuned, value),
        version=__version__,
    )
    write_text(folder.report, text)
