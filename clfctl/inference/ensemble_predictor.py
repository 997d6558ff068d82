"""Several models that answer as one, whatever computes each of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

from clfctl.data.pixels.decode import Picture
from clfctl.inference.combining import Joined, combine, join_classes
from clfctl.inference.inputs import open_any
from clfctl.inference.predictor import Predictor, Seen
from clfctl.models.card import Card
from clfctl.runs.ensemble import Ensemble
from clfctl.settings.ensembles import IN_WORDS


@dataclass(frozen=True)
class EnsemblePredictor:
    """See `Predictor`. `joined` are the classes that all members know, in their places in each of them."""

    ensemble: Ensemble
    members: tuple[Predictor, ...]
    joined: Joined
    info: Card

    @property
    def title(self) -> str:
        """Return what it is called, its rule and what computes it."""
        return f"{self.ensemble.title}, {IN_WORDS[self.ensemble.rule]} of {len(self.members)}, {self.computed_by}"

    @property
    def computed_by(self) -> str:
        """Return what computes the members: each of it once."""
        return " and ".join(dict.fromkeys(each.computed_by for each in self.members))

    @property
    def batch_size(self) -> int:
        """Return what the member is fast with that likes fewest at once."""
        return min(each.batch_size for each in self.members)

    @property
    def is_parallel(self) -> bool:
        """Return whether all members may be asked by several threads."""
        return all(each.is_parallel for each in self.members)

    def begin_thread(self) -> None:
        """Prepare a thread for each member."""
        for each in self.members:
            each.begin_thread()

    def look(self, image: Picture) -> Seen:
        """Return what each member is to see, one after the other; members that see the same have it from the first."""
        first, *others = self._seers()
        # Opened again for each: of a JPEG that was scaled while it was decoded, another would get other pixels.
        again = [open_any(image) for _ in others]
        found = {first: self.members[first].look(image)}
        for place, one in zip(others, again, strict=True):
            found[place] = self.members[place].look(one)
        return tuple(pixels for place in range(len(self.members)) for pixels in found[self._like(place)])

    def probabilities(self, images: Sequence[Seen]) -> NDArray[np.float32]:
        """See `Predictor`."""
        ends = [0, *accumulate(len(each.info.views) for each in self.members)]
        answers = [
            self.joined.take(place, member.probabilities([each[start:end] for each in images]))
            for place, (member, (start, end)) in enumerate(zip(self.members, pairwise(ends), strict=True))
        ]
        return combine(self.ensemble.rule, answers, self.ensemble.weights)

    def _seers(self) -> list[int]:
        """Return the members that see an image as none before them does."""
        return [place for place in range(len(self.members)) if self._like(place) == place]

    def _like(self, place: int) -> int:
        """Return the first member that sees an image just as this one does."""
        own = _way(self.members[place])
        return next(other for other, member in enumerate(self.members) if _way(member) == own)


def _way(member: Predictor) -> tuple[object, ...]:
    """Return what tells what a member sees from what others do: torch resizes its own way, a whole picture itself."""
    return type(member), member.info.takes_whole, *(view.pixel_key for view in member.info.views)


def put_together(ensemble: Ensemble, members: Sequence[Predictor]) -> EnsemblePredictor:
    """Return a predictor of several. Raises UsageError if they have no classes in common."""
    names = [each.name for each in ensemble.members]
    joined = join_classes([each.info.classes for each in members], names)
    return EnsemblePredictor(
        ensemble, tuple(members), joined, card_of_members(ensemble, [each.info for each in members], joined)
    )


def card_of_members(ensemble: Ensemble, cards: Sequence[Card], joined: Joined) -> Card:
    """Return the card of an ensemble: the joined classes, and a view for each of the members', in their order."""
    first, *others = (view for card in cards for view in card.views)
    name = f"{ensemble.rule}({', '.join(card.name for card in cards)})"
    return Card(name, joined.classes, first, others=tuple(others))
