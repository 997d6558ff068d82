"""The page at /docs: what the server can be asked, made of its OpenAPI description, and a form to try it.

FastAPI's own page fetches its scripts from a public network; this one is whole, and works where there is none.
"""

from functools import cache
from importlib import resources
from typing import Any

import jinja2


def page(description: dict[str, Any], *, has_token: bool) -> str:
    """Return the HTML page for an OpenAPI description."""
    return _template().render(api=description, has_token=has_token)


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    source = (resources.files("clfctl.serving") / "page.html.jinja").read_text(encoding="utf-8")
    return environment.from_string(source)
