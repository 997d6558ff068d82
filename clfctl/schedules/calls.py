"""One part of a schedule expression, and the schedule that it stands for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from clfctl.schedules.base import Schedule
from clfctl.schedules.by_name import LIBRARIES, ByName
from clfctl.schedules.catalog import KINDS
from clfctl.schedules.compose import Restart, Scaled
from clfctl.schedules.durations import Duration
from clfctl.schedules.own import own_schedule
from clfctl.schedules.parameters import parameters_of
from clfctl.schedules.together import Late, Product


@dataclass(frozen=True)
class Call:
    """One part of an expression: what is called, with what, scaled by what, for how long; `place` shows it there.

    `library` is that of a class by name: torch, timm, or a module of the user's own. `late` is where it begins, `times`
    what it is multiplied by; `usual` are defaults that it has under the name that it was called by.
    """

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    library: str = ""
    factor: float = 1.0
    late: Duration | None = None
    times: tuple["Call", ...] = ()
    usual: dict[str, Any] = field(default_factory=dict)
    length: Duration | None = None
    restarts: bool = False
    place: str = field(default="", compare=False)

    def schedule(self, defaults: Mapping[str, Any]) -> Schedule:
        """Return the schedule; `defaults` are values by option name for parameters that are not stated."""
        made = self._made(defaults)
        if self.late is not None:
            # A start in epochs needs no fitting.
            made = Late(made, self.late.value if self.late.unit == "epochs" else self.late)
        if self.times:
            made = Product((*(each.schedule({}) for each in self.times), made))
        made = made if self.factor == 1 else Scaled(made, self.factor)
        return Restart(made) if self.restarts else made

    def _made(self, defaults: Mapping[str, Any]) -> Schedule:
        if self.library and self.library not in LIBRARIES:
            return own_schedule(self.library, self.name, self.arguments, self.place)
        if self.library:
            arguments = dict(self.arguments)
            every = arguments.pop("every", "epoch")
            return ByName(self.library, self.name, tuple(arguments.items()), every, place=self.place)
        kind = KINDS[self.name]
        values = {each.name: defaults[each.option] for each in parameters_of(kind) if each.option in defaults}
        return kind(**(self.usual | values | self.arguments))
