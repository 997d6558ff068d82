"""The page of the schedules: every kind drawn as its sliders move, by the code of `clfctl lr-preview`."""

from typing import Any

import streamlit as st

from clfctl.api.previewing import Preview
from clfctl.app.charts import Curve, chart
from clfctl.app.drawing import preview
from clfctl.app.place import here
from clfctl.app.sliders import Slider, expression_of, rates_around, sliders_of, value_text
from clfctl.app.words import as_markdown, show_error
from clfctl.errors import ClfctlError
from clfctl.planning.preview.track import Track
from clfctl.schedules.catalog import KINDS, summary_of
from clfctl.storage.names import shell

FIRST = ("cosine", "step")
MOST_KINDS = 6
LR, EPOCHS, BATCHES = 1e-3, 30, 100
MOST_EPOCHS, MOST_BATCHES = 300, 1000


def schedules_view() -> None:
    """Draw the page."""
    st.subheader("Learning-rate schedules")
    kinds = st.multiselect(
        "Schedules", [*KINDS], default=FIRST, max_selections=MOST_KINDS, placeholder="Choose some", key="kinds"
    )
    kinds = [kind for kind in kinds if kind in KINDS]
    # The chart stands above what moves it: on a phone a slider's effect would else be off the screen.
    drawn = st.container()
    training, log = _training()
    texts = _expressions(kinds, training)
    with drawn:
        _draw(texts, training, log=log)


def _training() -> tuple[dict[str, Any], bool]:
    """Return the settings of the training, by name, and whether the axis is logarithmic."""
    first, second, third, fourth = st.columns(4)
    lr = first.select_slider("lr", rates_around(LR, 3, 2), LR, format_func=value_text, key="lr")
    epochs = second.slider("epochs", 1, MOST_EPOCHS, EPOCHS, key="epochs")
    warmup = third.slider("warmup, epochs before the schedule", 0, max(1, epochs // 2), 0, key="warmup")
    batches = fourth.slider("batches of an epoch", 1, MOST_BATCHES, BATCHES, key="batches")
    log = st.toggle("Logarithmic axis", key="log")
    return {"lr": lr, "epochs": epochs, "warmup": str(warmup), "steps_per_epoch": batches}, log


def _expressions(kinds: list[str], training: dict[str, Any]) -> dict[str, str]:
    """Show the sliders of each kind, and return their expressions."""
    if not kinds:
        return {}
    texts = {}
    for tab, name in zip(st.tabs(kinds), kinds, strict=True):
        with tab:
            st.caption(summary_of(KINDS[name]))
            sliders = sliders_of(KINDS[name], training["epochs"], training["lr"])
            columns = st.columns(3)
            values = {
                each.name: _value(columns[place % 3], each, f"{name}.{each.name}") for place, each in enumerate(sliders)
            }
            texts[name] = expression_of(name, sliders, values)
            st.code(command_of(texts[name], training), language="bash", wrap_lines=True)
    return texts


def command_of(expression: str, training: dict[str, Any]) -> str:
    """Return the command that trains with a schedule."""
    settings = {"scheduler": expression, "lr": f"{training['lr']:g}", "epochs": training["epochs"]}
    if training["warmup"] != "0":
        settings["warmup"] = training["warmup"]
    return " ".join([shell("train"), *(here().spelled(f"`{name}={value}`") for name, value in settings.items())])


def _value(column: Any, slider: Slider, key: str) -> Any:
    """Show one slider, and return its value."""
    about, first = slider.parameter.help, slider.default
    match slider.kind:
        case "switch":
            return column.toggle(slider.name, first, help=about, key=key)
        case "choice":
            return column.segmented_control(slider.name, slider.values, default=first, help=about, key=key) or first
        case "several":
            picked = column.multiselect(slider.name, slider.values, first, format_func=value_text, help=about, key=key)
            return tuple(sorted(picked))
        case "text":
            typed = column.text_input(slider.name, help=f"{about} {slider.parameter.accepts}.", key=key).strip()
            return typed or first
    return column.select_slider(slider.name, slider.values, first, format_func=value_text, help=about, key=key)


def _draw(texts: dict[str, str], training: dict[str, Any], *, log: bool) -> None:
    """Draw the curves of all kinds, and say what is most likely a mistake."""
    found = dict[str, Preview]()
    for name, text in texts.items():
        try:
            found[name] = preview(scheduler=text, **training)
        except ClfctlError as error:
            show_error(error)
    curves = [Curve(_name(track, text), track.points()) for text, track in _tracks(found)]
    if curves:
        st.vega_lite_chart(spec=chart(curves, y="learning rate", log=log), width="stretch")
    for name, each in found.items():
        for caution in each.cautions:
            st.warning(f"{as_markdown(name)}: {as_markdown(here().spelled(caution))}.")


def _tracks(found: dict[str, Preview]) -> list[tuple[str, Track]]:
    return [(name, track) for name, each in found.items() for track in each.tracks]


def _name(track: Track, kind: str) -> str:
    return ", ".join(filter(None, (kind, track.case)))
