"""The page of the runs: what each is doing, its curves, its learning rate and its reports; and the ensembles."""

import html
from collections.abc import Mapping, Sequence
from pathlib import Path

import streamlit as st

from clfctl.app.charts import Curve, chart
from clfctl.app.drawing import preview
from clfctl.app.known import models_in
from clfctl.app.place import here
from clfctl.app.words import as_html, as_markdown, show_error
from clfctl.display.axes import format_lr
from clfctl.errors import ClfctlError
from clfctl.evaluation.epoch_metrics import METRICS
from clfctl.planning.preview.track import Track
from clfctl.runs.ensemble import EnsembleFolder, is_ensemble, read_ensemble
from clfctl.runs.folder import RunFolder
from clfctl.runs.history import EpochResult, read_history
from clfctl.runs.state import RunState, progress_words, state_of
from clfctl.settings.ensembles import IN_WORDS
from clfctl.storage.json_lines import read_json_lines
from clfctl.storage.names import shell

EVERY_S = 3
MOST_REPORT_BYTES = 30_000_000
REPORT_HEIGHT = 900
# A report is a page of its own, and may be a stranger's: it runs nothing, asks nobody, and cannot see this page.
FRAME = (
    '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:;'
    " style-src 'unsafe-inline'\"><style>:root {{ color-scheme: light dark }} body {{ margin: 0 }}"
    " iframe {{ border: 0; width: 100%; height: {height}px }}</style>"
    '<iframe sandbox title="report" srcdoc="{page}"></iframe>'
)
KINDS = {"loss": "Loss", "share": "Accuracy"}


def runs_view() -> None:
    """Draw the page."""
    known = {name: path for name, path in models_in(here().source).items() if path.is_dir()}
    if not known:
        st.info("There are no runs here.")
        return
    name = st.selectbox("Run", [*known], key="run")
    if name not in known:
        return
    path, run = known[name], RunFolder(known[name])
    if is_ensemble(path):
        _ensemble(path)
        _reports(path, EnsembleFolder(path).eval)
        return
    if state_of(run).state == "running":
        st.fragment(_curves, run_every=EVERY_S)(run)
    else:
        _curves(run)
    _reports(run.path, run.eval)


def _ensemble(path: Path) -> None:
    """Show what an ensemble is made of: it has no curves of its own."""
    try:
        found = read_ensemble(path)
    except ClfctlError as error:
        show_error(error)
        return
    _as_list({"Ensemble": IN_WORDS[found.rule], "Members": str(len(found.members))})
    for each, share in zip(found.members, found.shares, strict=True):
        st.caption(as_markdown(f"{each.name}, weight {share:.3f}"))


def _curves(run: RunFolder) -> None:
    """Show how a run is doing; of one that is running, again and again."""
    state = state_of(run)
    _numbers(state)
    if state.why:
        st.caption(as_markdown(state.why))
    try:
        history = read_history(read_json_lines(run.history), run.history)
    except ClfctlError as error:
        show_error(error)
        return
    charts = [chart_of(history, kind) for kind in KINDS]
    for column, (title, found) in zip(st.columns(2), zip(KINDS.values(), charts, strict=True), strict=True):
        with column:
            st.markdown(f"**{title}**")
            if found:
                st.vega_lite_chart(spec=found, width="stretch")
            else:
                st.caption("No epoch is finished yet.")
    _rates(run, history)


def _rates(run: RunFolder, history: Sequence[EpochResult]) -> None:
    """Show the learning rate, used and to come; only what was used where what is to come cannot be told here."""
    st.markdown("**Learning rate**")
    found: dict[str, object] | None
    try:
        found = rate_chart(preview(run.path).tracks)
    except ClfctlError as error:
        st.caption(as_markdown(f"What is to come is not drawn: {here().spelled(error.message)}."))
        found = used_chart(history)
    if found:
        st.vega_lite_chart(spec=found, width="stretch")


def _numbers(state: RunState) -> None:
    metric = METRICS.get(state.best_metric or "")
    best = "none yet" if state.best is None else f"{state.best:.4g}"
    if state.best is not None and metric and metric.kind == "share":
        best = f"{100 * state.best:.1f} %"
    numbers = {
        "State": state.state,
        "Progress": progress_words(state) if state.epoch is not None else "unknown",
        f"Best {metric.title}" if metric else "Best": best,
        "Learning rate": format_lr(state.lr) if state.lr is not None else "none yet",
    }
    _as_list(numbers)


def _as_list(words: Mapping[str, str]) -> None:
    items = "".join(f"<div><dt>{as_html(key)}</dt><dd>{as_html(text)}</dd></div>" for key, text in words.items())
    st.html(f'<dl class="clfctl-numbers">{items}</dl>')


def chart_of(history: Sequence[EpochResult], kind: str) -> dict[str, object] | None:
    """Return the chart of the metrics of a kind, None where no epoch has any."""
    shown = {name: metric for name, metric in METRICS.items() if metric.kind == kind and metric.is_shown}
    curves = [
        Curve(metric.title, [(each.epoch, each.metric(name)) for each in history]) for name, metric in shown.items()
    ]
    curves = [curve for curve in curves if any(y == y for _, y in curve.points)]
    is_share = kind == "share"
    return chart(curves, y="share" if is_share else "mean loss", percent=is_share, from_zero=False) if curves else None


def rate_chart(tracks: Sequence[Track]) -> dict[str, object]:
    """Return the chart of a run's learning rate, used and to come, with a line where it goes on."""
    curves = [Curve(track.case or "learning rate", track.points()) for track in tracks]
    begins = next((track.begins for track in tracks if 0 < track.begins < track.epochs), None)
    return chart(curves, y="learning rate", marked=begins)


def used_chart(history: Sequence[EpochResult]) -> dict[str, object] | None:
    """Return the chart of the learning rate as the epochs recorded it, None where none is finished."""
    points = [point for each in history for point in ((each.epoch - 1, each.lr_start), (each.epoch, each.lr))]
    return chart([Curve("learning rate", points)], y="learning rate") if points else None


def _reports(path: Path, folder: Path) -> None:
    """Show the reports of a run or an ensemble, which are in a folder of it."""
    found = reports_of(path, folder)
    st.markdown("**Report**")
    if not found:
        st.caption(f"None yet: {as_markdown(shell('eval', path))} writes one.")
        return
    name = st.selectbox("Evaluation", [*found], key="evaluation") if len(found) > 1 else next(iter(found))
    if name not in found:
        return
    if found[name].stat().st_size > MOST_REPORT_BYTES:
        st.caption(as_markdown(f"It is too large to be shown here: open {found[name]} itself."))
        return
    content = found[name].read_bytes()
    st.download_button("Download", content, f"{path.name}-{name}.html", "text/html", icon=":material/download:")
    page = html.escape(content.decode("utf-8", "replace"), quote=True)
    st.iframe(FRAME.format(page=page, height=REPORT_HEIGHT), height=REPORT_HEIGHT)


def reports_of(path: Path, folder: Path) -> dict[str, Path]:
    """Return the reports in a folder of a run, by the names of their evaluations, newest first.

    None that is outside of the run by a link.
    """
    inside = path.resolve()
    files = [file for file in folder.glob("*/report.html") if file.resolve().is_relative_to(inside)]
    return {file.parent.name: file for file in sorted(files, key=lambda each: each.stat().st_mtime, reverse=True)}
