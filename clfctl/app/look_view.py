"""The page that is shown a picture: dropped, pasted or photographed, and named by one model, two, or several as one."""

from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from clfctl.app.answers import answer_html
from clfctl.app.heat_view import heat_view
from clfctl.app.known import about, models_in
from clfctl.app.models import (
    MOST_OPEN,
    Answer,
    Opened,
    as_png,
    ask,
    opened,
    picture_of,
    sent_model,
    together,
)
from clfctl.app.place import Place, here
from clfctl.app.words import as_markdown, show_error
from clfctl.data.pixels.unreadable import reason_of
from clfctl.errors import ClfctlError
from clfctl.inference.sent_images import MILLION
from clfctl.inference.uploads import MODELS
from clfctl.settings.ensembles import IN_WORDS, Rule
from clfctl.storage.names import plain

MOST_NAMED, MOST_BESIDE = 10, 2
# As many as are kept open: of more, each touch of the page would open some again.
MOST_CHOSEN = MOST_OPEN
BESIDE = "beside each other"
# Weights belong to an ensemble that is kept.
AS_ONE: dict[str, Rule] = {f"as one: {words}": rule for rule, words in IN_WORDS.items() if rule != "weighted"}
SENT = "sent: "
FILE, CAMERA = ":material/upload_file: File or paste", ":material/photo_camera: Camera"
# By the kind of file, so that a phone offers its camera too; a browser that does not know these goes by their names.
KINDS = ("image", "heic", "heif", "avif")


def look_view() -> None:
    """Draw the page."""
    place = here()
    left, right = st.columns((2, 3), gap="large")
    with left:
        st.subheader("A picture", anchor=False)
        content = _picture(place)
    with right:
        st.subheader("What is in it", anchor=False)
        chosen, top_k = _choice(place)
        if not chosen:
            if not st.session_state.get("models"):  # else it is said what is wrong with those that are chosen
                st.info("Choose a model.")
        elif content is None:
            st.caption("Drop a picture, paste one, or take one with the camera.")
        else:
            _answers(chosen, content, top_k, place)


def _picture(place: Place) -> bytes | None:
    """Return the bytes of the picture that is there, and show it."""
    source = st.segmented_control("From", (FILE, CAMERA), default=FILE, label_visibility="collapsed", key="from")
    if source == CAMERA:
        sent = st.camera_input("Camera", label_visibility="collapsed", key="camera")
    else:
        megabytes = place.limits.image_bytes // MILLION
        label = f"Drop a picture here, or paste one; at most {megabytes} MB"
        sent = st.file_uploader(label, KINDS, key="picture", max_upload_size=max(1, megabytes))
        script = resources.files("clfctl.app").joinpath("paste.html").read_text("utf-8")
        st.html(script, unsafe_allow_javascript=True)
    if sent is None:
        return None
    content = sent.getvalue()
    try:
        with st.container(key="shown"):
            st.image(as_png(picture_of(content, place.limits)), alt="the picture")
    except Exception as error:  # a decoder may raise anything
        st.error(f"The picture cannot be shown: {as_markdown(reason_of(error))}")
        return None
    return content


def _choice(place: Place) -> tuple[list[tuple[str, Opened]], int]:
    """Return what is to answer, one model, two, or several as one, and how many classes each is to name."""
    known = models_in(place.source)
    above = st.container()
    sent = _sent(place)
    names = [*sent, *known]
    picked = above.multiselect(
        "Models",
        names,
        default=names[:1],
        max_selections=MOST_CHOSEN,
        placeholder="Choose one, or several",
        format_func=_titles(names, known).__getitem__,
        key="models",
    )
    way = _way(len(picked), above)
    found = _opened(picked, sent, known)
    if way != BESIDE:
        found = _as_one(found, AS_ONE[way]) if len(found) == len(picked) else []
    most = min(MOST_NAMED, max((len(model.predictor.info.classes) for _, model in found), default=MOST_NAMED))
    top_k = st.slider("Classes to name", 1, most, min(3, most), key="top_k") if most > 1 else 1
    return found[:MOST_BESIDE], top_k


def _titles(names: Sequence[str], known: Mapping[str, Path]) -> dict[str, str]:
    """Return each name with how good the model is, as far as that is known without asking it.

    Of what is chosen the title stays: Streamlit tells options by their titles, and a run in training becomes better.
    """
    titles: dict[str, str] = st.session_state.setdefault("titles", {})
    chosen = st.session_state.get("models", ())
    for name in names:
        if name not in titles or name not in chosen:
            titles[name] = " · ".join(filter(None, (plain(name), about(known[name]) if name in known else "")))
    return titles


def _way(n: int, place: DeltaGenerator) -> str:
    """Return how several models are to answer; more than two answer as one."""
    if n < 2:
        return BESIDE
    ways = [*([BESIDE] if n <= MOST_BESIDE else []), *AS_ONE]
    return str(place.selectbox("They answer", ways, key="way" if n <= MOST_BESIDE else "way.of_more"))


def _as_one(models: list[tuple[str, Opened]], rule: Rule) -> list[tuple[str, Opened]]:
    names = " + ".join(name for name, _ in models)
    try:
        return [(f"{names}, {IN_WORDS[rule]}", together(models, rule))]
    except ClfctlError as error:
        show_error(error)
        return []


def _opened(picked: list[str], sent: dict[str, Opened], known: dict[str, Path]) -> list[tuple[str, Opened]]:
    """Return the models that were picked and can be opened; what is wrong with the others is said."""
    found = list[tuple[str, Opened]]()
    for name in picked:
        try:
            if name in sent:
                found.append((name, sent[name]))
            elif name in known:
                found.append((name, opened(known[name])))
        except ClfctlError as error:
            show_error(error)
    return found


def _sent(place: Place) -> dict[str, Opened]:
    """Return the model that was sent, if one was."""
    with st.popover("A model from a file", icon=":material/folder_open:"):
        megabytes = place.limits.model_bytes // MILLION
        label = f"A checkpoint of a run, or an .onnx file of clfctl export; at most {megabytes} MB"
        file = st.file_uploader(label, MODELS, key="model", max_upload_size=max(1, megabytes))
        if file is None:
            return {}
        try:
            return {SENT + file.name: sent_model(file.name, file.getvalue(), place.limits)}
        except ClfctlError as error:
            st.error(f"{as_markdown(file.name)} cannot be used: {as_markdown(here().spelled(error.message))}")
            return {}


def _answers(chosen: list[tuple[str, Opened]], content: bytes, top_k: int, place: Place) -> None:
    """Show what each of the models says, side by side where there is room; their maps after both answers."""
    answered = list[tuple[DeltaGenerator, Opened, str]]()
    for column, (name, model) in zip(st.columns(len(chosen)), chosen, strict=True):
        with column:
            try:
                answer = ask(model.predictor, content, place.limits, top_k)
            except ClfctlError as error:
                show_error(error)
                continue
            _show(name, model, answer)
            if answer.prediction.best is not None:
                answered.append((column, model, answer.prediction.best))
    for number, (column, model, best) in enumerate(answered):
        with column:
            heat_view(number, model, content, best)


def _show(name: str, model: Opened, answer: Answer) -> None:
    card = model.predictor.info
    if answer.prediction.error:
        st.error(f"The picture cannot be read: {as_markdown(answer.prediction.error)}")
        return
    st.html(answer_html(name, answer.prediction.classes))
    sizes = dict.fromkeys(f"{width} x {height}" for height, width in (view.size for view in card.views))
    seen = f"sees {' and '.join(sizes)} pixels, knows {len(card.classes):,} classes"
    st.caption(f"{as_markdown(card.name)}, {seen}; answered in {_time(answer.took_s)}, opened in {_time(model.took_s)}")
    for note in model.notes:
        st.caption(as_markdown(here().spelled(note)))


def _time(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
