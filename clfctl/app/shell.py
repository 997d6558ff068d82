"""Which pages there are, and what they have in common."""

import math
from collections.abc import Callable
from functools import cache
from importlib import resources

import streamlit as st
from PIL import Image, ImageDraw

from clfctl.app.look_view import look_view
from clfctl.app.runs_view import runs_view
from clfctl.app.schedules_view import schedules_view
from clfctl.errors import ClfctlError

# Address, title, symbol of Google's Material set (Streamlit brings it along), and what draws it. The first has none.
VIEWS: tuple[tuple[str, str, str, Callable[[], None]], ...] = (
    ("", "Pictures", ":material/image_search:", look_view),
    ("runs", "Runs", ":material/show_chart:", runs_view),
    ("schedules", "Schedules", ":material/tune:", schedules_view),
)


@cache
def _icon() -> Image.Image:
    """Return a curve that falls, 64 x 64 pixels."""
    icon = Image.new("RGBA", (64, 64))
    draw = ImageDraw.Draw(icon)
    draw.rounded_rectangle((2, 2, 61, 61), 14, fill="#0072B2")
    draw.line([(12 + x, 16 + round(16 * (1 - math.cos(math.pi * x / 40)))) for x in range(41)], "white", 7, "curve")
    return icon


def show() -> None:
    """Draw the page that is chosen."""
    # A picture of our own: Streamlit has its symbols, as icons of a page, from another server.
    st.set_page_config(page_title="clfctl", page_icon=_icon(), layout="wide")
    style = resources.files("clfctl.app").joinpath("style.css").read_text("utf-8")
    st.html(f"<style>{style}</style>")
    pages = [st.Page(view, title=title, icon=icon, url_path=name or None) for name, title, icon, view in VIEWS]
    try:
        st.navigation(pages, position="top").run()
    except ClfctlError as error:
        from clfctl.app.words import show_error

        show_error(error)
