"""Images that a run held out from training, to test its maps on."""

from collections.abc import Callable, Iterator
from functools import partial

from clfctl.data.pixels.decode import Picture
from clfctl.errors import UsageError
from clfctl.explaining.network import Network
from clfctl.inference.eval_images import choose_data
from clfctl.runs.folder import run_of


def held_out_images(
    network: Network, n: int, tell: Callable[[str], None]
) -> tuple[list[str], Iterator[tuple[str, Callable[[], Picture]]]]:
    """Return the names of at most `n` of a run's validation images, spread over all of them, and what opens each.

    Raises UsageError or DataError if there are none.
    """
    if network.inside is None:
        raise UsageError(
            f"{network.file} does not say what it was trained on", "name the images to test it on", field="check"
        )
    trained = network.inside.trained
    chosen = choose_data(run_of(trained.file.absolute()), trained, None, "val", tell)
    for note in chosen.notes:
        tell(note)
    source, part = chosen.part.source, chosen.part.indices
    places = [int(part[at * len(part) // min(n, len(part))]) for at in range(min(n, len(part)))]
    return [source.name(each) for each in places], ((source.name(each), partial(source.open, each)) for each in places)
