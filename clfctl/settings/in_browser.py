"""Settings of the pages in the browser: where they are served, and how much is taken."""

from typing import Annotated

from pydantic import Field, PositiveInt

from clfctl.settings.base import Option
from clfctl.settings.running import RunsDirSettings
from clfctl.settings.token import Token

MEGABYTES, MEGAPIXELS, MODEL_MEGABYTES = 32, 50, 500


class AppSettings(RunsDirSettings):
    """The app"""

    host: Annotated[str, Option(metavar="ADDRESS")] = "127.0.0.1"
    """Address to listen at: 127.0.0.1 is for this machine alone, 0.0.0.0 for all that can reach it."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8501
    """Port to listen at; 0 takes any that is free."""
    token: Token = ""
    """Word that the address must have once, as `/?token=WORD`, in each browser; it is better set as CLFCTL_TOKEN than
    typed, where everyone on this machine can read it."""
    max_megabytes: PositiveInt = MEGABYTES
    """Millions of bytes of the largest picture that is taken."""
    max_megapixels: PositiveInt = MEGAPIXELS
    """Millions of pixels of the largest picture that is decoded."""
    max_model_megabytes: PositiveInt = MODEL_MEGABYTES
    """Millions of bytes of the largest model that is taken."""
