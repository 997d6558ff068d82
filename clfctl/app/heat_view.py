"""The heat map below an answer: what speaks for a class, laid over the picture as strongly as a slider says."""

import streamlit as st
import xxhash

from clfctl.app.answers import share
from clfctl.app.heat import QUICK, heat_of
from clfctl.app.models import Opened
from clfctl.app.place import here
from clfctl.app.words import as_markdown
from clfctl.explaining.explanation import Explanation
from clfctl.explaining.methods import DEFAULT, METHODS
from clfctl.storage.names import plain


@st.fragment
def heat_view(number: int, model: Opened, content: bytes, answered: str) -> None:
    """Draw the map of the class that was answered, or of one that is chosen; its controls do not ask the model again.

    `number` tells two models beside each other apart.
    """
    if not st.toggle("Heat map", value=True, key=f"heat.{number}"):
        return
    picture = xxhash.xxh3_128_hexdigest(content)
    of_class, of_method = f"heat.class.{number}.{model.number}.{picture}", f"heat.method.{number}"
    # Asked before they are drawn: where there is no map there is nothing to choose.
    class_name, method = st.session_state.get(of_class, answered), st.session_state.get(of_method, DEFAULT)
    found = heat_of(model.number, picture, class_name, method, model, content, here().limits)
    if found.error:
        st.caption(as_markdown(f"No heat map: {here().spelled(found.error)}."))
        return
    above = st.container()
    strength = _strength(number)
    classes = model.predictor.info.classes
    st.selectbox("What speaks for", classes, classes.index(answered), format_func=plain, key=of_class)
    st.selectbox("Method", QUICK, QUICK.index(DEFAULT), key=of_method, help=_methods())
    with above:
        _draw(number, found, strength)


def _strength(number: int) -> float:
    from clfctl.explaining.overlay import STRENGTH

    return st.slider("Opacity", 0, 100, round(100 * STRENGTH), format="%d %%", key=f"heat.opacity.{number}") / 100


def _draw(number: int, found: Explanation, strength: float) -> None:
    with st.container(key=f"map_{number}"):
        st.image(found.overlay(strength), output_format="JPEG", alt=f"what speaks for {plain(found.class_name)}")
    if found.is_empty:
        said = f"Nothing in the picture speaks for {found.class_name} ({share(found.probability)})."
    else:
        said = f"The brighter, the more it speaks for {found.class_name} ({share(found.probability)})."
    st.caption(as_markdown(said))


def _methods() -> str:
    return "\n".join(f"- {as_markdown(name)}: {as_markdown(METHODS[name].words)}" for name in QUICK)
