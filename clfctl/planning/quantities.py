"""What follows a schedule, by name: the learning rate, the momentum, the weight decay."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Quantity:
    """A value of the optimizer: its `name` in files, in words, and as a column's title.

    Curves of it are drawn from 0, or not `from_zero`, from their least value.
    """

    name: str
    words: str
    title: str
    from_zero: bool = True


LEARNING_RATE = Quantity("lr", "learning rate", "LR")
MOMENTUM = Quantity("momentum", "momentum", "momentum", from_zero=False)
WEIGHT_DECAY = Quantity("weight_decay", "weight decay", "decay")
