"""The word that a server asks for: long enough that nobody guesses it."""

import re
from typing import Annotated

from pydantic import AfterValidator

from clfctl.settings.base import FieldError, Option

LEAST = 16
_VISIBLE = re.compile(r"[!-~]+")


def _is_no_guess(token: str) -> str:
    if token and (len(token) < LEAST or not _VISIBLE.fullmatch(token)):
        hint = 'python -c "import secrets; print(secrets.token_urlsafe())" prints a good one'
        what = f"it must have at least {LEAST} letters, digits and signs of ASCII, and no spaces"
        raise FieldError("token", what, hint)
    return token


# Empty: no word is asked for.
Token = Annotated[str, Option(metavar="WORD"), AfterValidator(_is_no_guess)]
