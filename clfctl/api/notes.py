"""What a library call keeps of what a command would print."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clfctl.data.onlookers import Onlookers


@dataclass
class Notes:
    """Gathers what the commands would print."""

    lines: list[str] = field(default_factory=list)

    def onlookers(self) -> "Onlookers":
        """Return those who look on, without a screen."""
        from clfctl.data.onlookers import Onlookers, no_bar

        return Onlookers(self.lines.append, no_bar)
