"""First weights from a run or a checkpoint of ours, whatever classes it has: those of the same name keep their rows."""

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from functools import partial

from clfctl.errors import CheckpointError, DamagedError, ModelError
from clfctl.models.built import Built
from clfctl.models.card import card_of
from clfctl.models.sources import source_of
from clfctl.models.weights import State, fill, listed
from clfctl.planning.start import start_file
from clfctl.runs.checkpoint import Checkpoint, load_checkpoint, used_part
from clfctl.settings.data import FitSetting
from clfctl.settings.image_size import Auto, ImageSize
from clfctl.settings.network import ModelSettings


@dataclass(frozen=True)
class Classes:
    """The classes that a model had `before`, and those that it has `now`, each in the order of its outputs."""

    before: Sequence[str]
    now: Sequence[str]

    @property
    def kept(self) -> list[tuple[int, int]]:
        """The place now and the place before of every class that there is in both."""
        places = {name: n for n, name in enumerate(self.before)}
        return [(n, places[name]) for n, name in enumerate(self.now) if name in places]

    def __str__(self) -> str:
        n_kept = len(self.kept)
        new = [name for name in self.now if name not in set(self.before)]
        lost = [name for name in self.before if name not in set(self.now)]
        if not n_kept:
            return f"new classifier, none of its {len(self.before)} classes is among these"
        what = "with its classifier" if not (new or lost) else f"{n_kept} of its {len(self.before)} classes kept"
        parts = {"new": new, "left out": lost}
        return ", ".join([what, *(f"{len(each)} {which} ({listed(each)})" for which, each in parts.items() if each)])


def build_from(
    settings: ModelSettings,
    classes: Sequence[str],
    image_size: ImageSize | Auto = "auto",
    *,
    fit: FitSetting = "auto",
    is_small: bool = False,
) -> Built:
    """Return the model that `settings.start_from` has, with an output for each of `classes`.

    Classes are joined by name: their rows of the classifier are those of the checkpoint, wherever they stand in either;
    the others are as they are drawn. It sees what that model was trained to see, but for an `image_size` and
    another `fit` that are stated; `is_small` data is seen whole. Raises UsageError, CheckpointError or ModelError.
    """
    assert settings.start_from is not None
    file = start_file(settings.start_from)
    try:
        checkpoint = load_checkpoint(file)
    except DamagedError as error:
        raise CheckpointError(error.message, error.hint, field="start_from") from None
    card, source = card_of(checkpoint), source_of(settings.model)
    size = card.preprocess.image_size if image_size == "auto" else image_size
    built = source.build(settings.model_copy(update={"pretrained": False}), len(classes), size)
    joined, own, head = Classes(card.classes, classes), built.model.state_dict(), source.head(built.model)
    used = used_part(checkpoint)
    saved = with_rows_of(checkpoint.part(used.prefix), own, head, joined)
    if difference := fill(built.model, saved, head, partial(source.adapted, built.model)).difference:
        hint = f"it was trained as {card.name}; leave out `model=`"
        raise ModelError(f"{file} does not fit {settings.model}: {difference}", hint, field="start_from")
    words = f"{file}{_when(checkpoint)}", used.words, str(joined)
    preprocess = replace(card.preprocess, image_size=built.preprocess.image_size)
    built = replace(built, preprocess=preprocess, origin=", ".join(filter(None, words)))
    if fit != "auto" and card.preprocess.fit != fit:
        built = built.fitting(fit)
    return built.seeing_all() if is_small else built


def with_rows_of(saved: State, own: State, head: Set[str], classes: Classes) -> State:
    """Return saved tensors in which those of the head have a row for each class of now.

    A class of before has its row, a new one that of `own`, the new model. What of a head has no row for each class,
    such as a normalization before it, stays as it was saved.
    """
    to, of = ([pair[n] for pair in classes.kept] for n in (0, 1))
    joined = dict(saved)
    for name in head & saved.keys() & own.keys():
        if _has_rows(name, saved, len(classes.before)) and _has_rows(name, own, len(classes.now)):
            joined[name] = own[name].clone()
            if saved[name].shape[1:] == own[name].shape[1:]:
                joined[name][to] = saved[name][of].to(own[name].dtype)
    return joined


def _has_rows(name: str, tensors: State, n_classes: int) -> bool:
    """Return whether a tensor has a row for each class: a matrix, or what is added to what a matrix gives."""
    matrix = tensors.get(f"{name.rpartition('.')[0]}.weight", tensors[name])
    return tensors[name].dim() > 0 and tensors[name].shape[0] == n_classes == matrix.shape[0] and matrix.dim() > 1


def _when(checkpoint: Checkpoint) -> str:
    header = checkpoint.header
    if header.soup:
        return f" (soup of epochs {', '.join(map(str, header.soup))})"
    if header.resumption:
        return f" ({header.resumption.position})"
    return f" (epoch {len(header.history)})" if header.history else ""
