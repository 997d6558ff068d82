"""Settings of several processes that train together, which torchrun starts."""

from typing import Annotated, Literal

from pydantic import field_validator

from clfctl.settings.base import Option, Settings
from clfctl.settings.clock import CLOCK, parse_clock

WAIT_LIMIT = "30m"


class ProcessSettings(Settings):
    """Several processes"""

    sync_batch_norm: bool = False
    """Let batch normalization see the batch of all processes, not only each its share: slower, and the same result with
    any number of processes."""
    compress_gradients: Literal["none", "bf16"] = "none"
    """Send gradients between processes as `bf16`: half of the bytes, and digits that are lost."""
    static_graph: bool = False
    """Let DistributedDataParallel count on every step using the same parameters; needed by models that leave some of
    them out."""
    wait_limit: Annotated[str, Option(metavar="30m", accepts=CLOCK)] = WAIT_LIMIT
    """How long processes wait for each other, as while the first builds a cache, before they give up."""

    @field_validator("wait_limit")
    @classmethod
    def _is_length_of_time(cls, text: str) -> str:
        parse_clock(text)
        return text
