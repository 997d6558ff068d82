"""Settings of a server: where it listens, who may ask, how much it takes, how it makes batches."""

from typing import Annotated

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from clfctl.settings.base import FieldError, Option, Settings
from clfctl.settings.in_browser import MEGABYTES, MEGAPIXELS
from clfctl.settings.token import Token

# More than the cores bring nothing, and some thousands leave a machine without any for its other programs.
MOST_THREADS = 256
# An hour: whatever stops a server kills it long before.
LONGEST_STOP_S = 3600


class ServeSettings(Settings):
    """Serving"""

    host: Annotated[str, Option(metavar="ADDRESS")] = "127.0.0.1"
    """Address to listen at; `0.0.0.0` is every one that this machine has."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """Port to listen at; 0 takes a free one."""
    token: Token = ""
    """Word that requests must bring (`Authorization: Bearer WORD`); it is better set as CLFCTL_TOKEN than typed, where
    everyone on this machine can read it."""
    top_k: PositiveInt = 3
    """Classes to name for each image, unless a request says `?top_k=`."""
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Name no class of a smaller probability, unless a request says `?threshold=`."""
    max_waiting: PositiveInt = 64
    """Images that may wait for their turn; a request beyond that is told to come again (429)."""
    max_images: PositiveInt = 16
    """Images in one request."""
    max_megabytes: PositiveFloat = float(MEGABYTES)
    """Millions of bytes in one request."""
    max_megapixels: PositiveFloat = float(MEGAPIXELS)
    """Millions of pixels in one image; its header is read, and no more is decoded."""
    max_batch: NonNegativeInt = 0
    """Images that are computed at once; 0 chooses."""
    batch_wait_ms: Annotated[float, Field(ge=0, le=1000)] = 3.0
    """Milliseconds that an image waits for others to be computed with; those that wait for a free thread do not."""
    threads: Annotated[int, Field(ge=1, le=MOST_THREADS)] = 1
    """Threads that compute a batch together: 1 answers the most images per second, the number of cores answers a single
    one the soonest."""
    receive_seconds: PositiveFloat = 30.0
    """Seconds in which a request must have come as a whole."""
    stop_seconds: Annotated[int, Field(ge=1, le=LONGEST_STOP_S)] = 30
    """Seconds to finish what was accepted when it is told to stop."""

    @model_validator(mode="after")
    def _has_room_for_a_request(self) -> "ServeSettings":
        if self.max_images > self.max_waiting:
            what = f"no request of {self.max_images} images would find room where {self.max_waiting} may wait"
            raise FieldError("max_waiting", what, f"let it be {self.max_images} or more, or lower `max_images=`")
        return self
