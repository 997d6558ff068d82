"""Texts of others, class names and messages, on a page that reads Markdown and HTML: they stand there as they are."""

import html
import re

import streamlit as st

from clfctl.app.place import here
from clfctl.errors import ClfctlError
from clfctl.storage.names import plain

# What Streamlit's Markdown gives a meaning: emphasis, code, links, colours, formulas, icons, HTML.
_MEANING = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|:$~^&=])")


def as_markdown(text: str) -> str:
    """Return Markdown that shows a text as it is, on one line."""
    return _MEANING.sub(r"\\\1", " ".join(plain(text).split()))


def as_html(text: str) -> str:
    """Return HTML that shows a text as it is."""
    return html.escape(plain(text), quote=True)


def show_error(error: ClfctlError) -> None:
    """Say what is wrong, and what to do next, as the command line would."""
    spelled = here().spelled
    field = f"{spelled(f'`{error.field}=`')}: " if error.field else ""
    hint = f"\n\n{as_markdown(spelled(error.hint))}" if error.hint else ""
    st.error(as_markdown(field + spelled(error.message)) + hint)
