"""Which models there are, how large, for which images, and whether their weights are here. No torch here."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Any

from clfctl.errors import UsageError, nearest
from clfctl.models.custom import N_PARAMETERS
from clfctl.models.hub_cache import cached_file
from clfctl.models.timm_names import timm_names, timm_version
from clfctl.models.timm_table import Row, read_table


@dataclass(frozen=True)
class Model:
    """A model as it is without arguments.

    `n_parameters` and `image_size` (height, width) are None where they are not known; `weights` are the tags of its
    published weights, first those that are taken unless another is named, and `cached` those of them that are on this
    machine.
    """

    name: str
    n_parameters: int | None
    image_size: tuple[int, int] | None
    weights: tuple[str, ...] = ()
    cached: tuple[str, ...] = ()

    def as_record(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return asdict(self) | {"pretrained": bool(self.weights)}


def matching_models(pattern: str = "", *, only_cached: bool = False) -> list[Model]:
    """Return the models whose name has the pattern in it, or is like it where it has `*`, `?` or `[`.

    A pattern that no name is like but a tag, as in `efficientnet_b0.ra*`, is of weights: the models are those that have
    some, with them alone. `only_cached` leaves out what has no weights on this machine. Raises UsageError if none is
    left.
    """
    found = [*_like(pattern)]
    if not found:
        hint = (
            nearest(pattern.strip("*").partition(".")[0], [*N_PARAMETERS, *timm_names()]) or "`clfctl models` lists all"
        )
        raise UsageError(f"no model is like {pattern!r}", hint)
    if not only_cached:
        return found
    if here := [each for each in found if each.cached]:
        return here
    what = (
        f"no weights of a model like {pattern!r} are on this machine" if pattern else "no weights are on this machine"
    )
    raise UsageError(what, "`clfctl models` lists what can be downloaded", field="cached")


def how_known() -> str:
    """Return a sentence about a table of another timm than the installed one, empty if it is the same."""
    made_of, _ = read_table()
    version = timm_version()
    if version in (made_of, ""):
        return ""
    return f"Sizes and weights are those of timm {made_of}; timm {version} is installed."


def _like(pattern: str) -> Iterator[Model]:
    is_like = _matcher(pattern)
    made_of, rows = read_table()
    yield from (Model(name, n_parameters, None) for name, n_parameters in N_PARAMETERS.items() if is_like(name))
    # Of the timm that the table was made of it has every classifier: the others are parts of networks.
    names = [name for name in timm_names() if name in rows or timm_version() != made_of]
    if any(map(is_like, names)):
        yield from (_model(name, rows.get(name)) for name in names if is_like(name))
        return
    for name in names:
        if name not in rows:
            continue
        tags = [tag for tag, _ in rows[name].published if is_like(f"{name}.{tag}")]
        yield from [_model(name, rows[name], tags)] if tags else []


def _model(name: str, row: Row | None, tags: list[str] | None = None) -> Model:
    if row is None:
        return Model(name, None, None)
    of = tuple(tag for tag, _ in row.published) if tags is None else tuple(tags)
    here = tuple(tag for tag in of if cached_file(row.place(tag)))
    return Model(name, row.n_parameters, (row.height, row.width), of, here)


def _matcher(pattern: str) -> Any:
    small = pattern.lower()
    if any(each in small for each in "*?["):
        return lambda name: fnmatchcase(name.lower(), small)
    return lambda name: small in name.lower()
