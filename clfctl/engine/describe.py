"""A training in words: data, model, device and loader, a line each, and what about its rates is likely a mistake."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from clfctl.data.balance import describe_counts
from clfctl.engine.assemble import Parts, plan_of
from clfctl.engine.averaging import first_step_of
from clfctl.engine.device import describe
from clfctl.engine.frozen import has_begun, norms_of
from clfctl.engine.head_only import obstacle, trains_only_classifier
from clfctl.engine.memory_format import why_plain
from clfctl.engine.trainer import Trainer
from clfctl.models.built import NEW
from clfctl.planning.plan import Plan
from clfctl.settings.data import Fit
from clfctl.settings.groups import TrainSettings
from clfctl.settings.image_size import size_in_words
from clfctl.settings.scaled_rate import about_scaled
from clfctl.storage.files import in_bytes

FITS: dict[Fit, str] = {
    "crop": "the middle, as much as fills it",
    "letterbox": "all of it, framed",
    "reflect": "all of it, mirrored at its edges",
    "stretch": "all of it, out of shape",
}


@dataclass(frozen=True)
class GroupRow:
    """A param group: how many numbers it has, the largest learning rate that it gets, and how long it is frozen.

    `starts_at` is in epochs, 0 from the beginning, None for one that is never trained.
    """

    name: str
    n_parameters: int
    peak_lr: float
    weight_decay: float
    starts_at: int | None


def group_rows(parts: Parts, curve: Sequence[tuple[float, float]]) -> list[GroupRow]:
    """Return the param groups of a training whose learning rate follows a curve of (time in epochs, rate)."""
    rows = []
    for group in parts.optimizer.param_groups:
        peak = max((lr for t, lr in curve if has_begun(group, t)), default=0.0) * group["rate_scale"]
        n_parameters = sum(each.numel() for each in group["params"])
        decay = float(group.get("weight_decay", 0.0))
        rows.append(GroupRow(group["name"], n_parameters, peak, decay, group.get("starts_at", 0)))
    return rows


def _frozen(parts: Parts) -> list[str]:
    """Return how much is not trained, and for how long, if anything is."""
    groups = parts.optimizer.param_groups
    frozen = [group for group in groups if group.get("starts_at", 0) != 0]
    if not frozen:
        return []
    (n, n_tensors), (n_all, n_all_tensors) = _counted(frozen), _counted(groups)
    starts_at = frozen[0]["starts_at"]
    until = "" if starts_at is None else f" until epoch {starts_at + 1}"
    size = f"{n:,} of {n_all:,} parameters, {n_tensors} of {n_all_tensors} tensors"
    return [f"Frozen {size} (`freeze={parts.settings.freeze}`){until}"]


def _statistics(parts: Parts) -> list[str]:
    """Return what becomes of the statistics of batch normalization, if that is not the usual."""
    if not parts.settings.freeze_batch_norm:
        return []
    n = len(norms_of(parts.built.model))
    if not n:
        return [f"Note   `freeze_batch_norm=` does nothing: {parts.settings.model} has no batch normalization"]
    lines = [f"Frozen the statistics of batch normalization, {n} layers (`freeze_batch_norm=`)"]
    if parts.built.origin == NEW:
        lines.append("Note   the model is new: its batch normalization has seen no images, and normalizes nothing")
    return lines


def _features(parts: Parts) -> list[str]:
    """Return what an epoch costs while nothing but the classifier is trained, if there are such epochs."""
    if not trains_only_classifier(parts.built.model, parts.optimizer, 0):
        return []
    if why := obstacle(parts.settings):
        return [f"Note   the frozen network is computed again in every epoch, because of {why}: without, once"]
    return ["Features of the frozen network are computed once: an epoch costs what the classifier costs"]


def _counted(groups: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
    """Return how many numbers and how many tensors are in groups."""
    tensors = [each for group in groups for each in group["params"]]
    return sum(each.numel() for each in tensors), len(tensors)


def describe_parts(parts: Parts) -> list[str]:
    """Return data, model and device, a line each."""
    data, built, precision = parts.data, parts.built, parts.precision
    counts = f"{len(data.train)} training and {len(data.val)} validation images"
    counts += f", {len(data.test)} for testing" if data.test else ""
    counts += f"; left out: {data.left_out}" if data.left_out else ""
    dtype = "tf32" if parts.settings.amp == "tf32" else str(precision.dtype).removeprefix("torch.")
    size = f"{built.n_parameters / 1e6:.2f} M parameters"
    n_bytes = sum(each.numel() * each.element_size() for each in built.model.state_dict().values())
    return [
        f"Data   {parts.settings.data}: {len(data.classes)} classes, {counts}",
        *(f"Note   {each}" for each in data.notes),
        *describe_counts(data.train, data.classes, parts.settings.balance),
        *_fitted(parts),
        *_seen(parts),
        f"Model  {parts.settings.model}: {size}, {in_bytes(n_bytes)}, {built.origin}",
        *_frozen(parts),
        *_statistics(parts),
        *_features(parts),
        f"Device {', '.join([describe(precision.device), dtype, *_computed(parts)])}",
        *_scaled(parts.settings),
        *_moved(parts),
        *_divided(parts),
        *_taught(parts),
        *_averages(parts),
        *(f"Note   {each}" for each in _without_effect(parts.settings)),
    ]


def _computed(parts: Parts) -> list[str]:
    """Return what is special about how it is computed."""
    settings, plain = parts.settings, why_plain(parts.built.model)
    said = ["deterministic"] if settings.deterministic else []
    said += ["compiled if that pays"] if settings.compile else []
    said += ["activations computed again"] if settings.checkpoint_activations else []
    return [*said, *([f"plain memory: {plain}"] if plain else [])]


def _scaled(settings: TrainSettings) -> list[str]:
    """Return what the base rate is where it is scaled with the batch size, which may still be looked for."""
    told = about_scaled(settings)
    return [f"Rate   {told}"] if told and not settings.find_batch_size else []


def _moved(parts: Parts) -> list[str]:
    """Return what is moved beside the learning rate, a line each."""
    moved = plan_of(parts).moved().items()
    return [f"Moved  the {what.words}, from {each.given(())(0.0):.4g} on: {each.text}" for what, each in moved]


def _averages(parts: Parts) -> list[str]:
    """Return what is said of weights that are not those of the latest step."""
    decay = parts.settings.ema
    grown = f"a decay that grows to {decay:g} in {first_step_of(decay):,} steps"
    lines = [f"Average a moving one of the weights is evaluated and saved as best, with {grown}"] if decay else []
    if (first := plan_of(parts).averages_from()) is not None:
        lines.append(f"Average the mean of the weights at the ends of epochs, from epoch {first + 1} on")
    n = parts.settings.soup
    return [*lines, *([f"Soup   the {n} best epochs are kept, and their mean at the end if it is better"] if n else [])]


def _seen(parts: Parts) -> list[str]:
    """Return what the model gets of an image, and which settings of that do nothing."""
    seen, settings = parts.built.preprocess, parts.settings
    what = FITS[seen.fit]
    if seen.crop_ratio < 1:
        of = "its shorter side" if seen.fit == "crop" else "it"
        what = f"the middle, {100 * seen.crop_ratio:.3g} % of {of}" + (
            ", out of shape" if seen.fit == "stretch" else ""
        )
    size = size_in_words(seen.image_size)
    lines = [f"Images {size} pixels of each, {seen.interpolation}: {what} (`fit={seen.fit}`)"]
    fields = type(settings).model_fields
    if settings.augment == "none":
        idle = [name for name in ("crop_scale", "crop_ratio") if getattr(settings, name) != fields[name].default]
        lines += [f"Note   `{name}=` does nothing with `augment=none`, which has no random crops" for name in idle]
    return lines


def _fitted(parts: Parts) -> list[str]:
    """Return what is said of a default batch size that is larger than the training images are many."""
    settings = parts.settings
    default = type(settings).model_fields["batch_size"].default
    if "batch_size" in settings.model_fields_set or settings.batch_size >= default:
        return []
    return [f"Batch size {settings.batch_size}: fewer training images than the default of {default}"]


def _divided(parts: Parts) -> list[str]:
    """Return what is said of batches that are computed in parts."""
    settings = parts.settings
    if settings.accumulate == 1:
        return []
    size = settings.images_at_once
    normalizes = any(isinstance(each, nn.modules.batchnorm._BatchNorm) for each in parts.built.model.modules())
    normalizes = normalizes and not settings.freeze_batch_norm
    seen = f"; batch normalization sees the {size} of a part" if normalizes else ""
    return [f"Steps  {settings.batch_size} images each, computed in {settings.accumulate} parts of {size}{seen}"]


def _without_effect(settings: TrainSettings) -> list[str]:
    """Return what is set and does nothing, a sentence each."""
    idle = [] if settings.loss == "focal" else [("focal_gamma", "`loss=focal`")]
    idle += [] if settings.scale_lr != "none" else [("reference_batch", "`scale_lr=`")]
    idle += [] if settings.distill else [(each, "`distill=`") for each in ("distill_weight", "distill_temperature")]
    fields = type(settings).model_fields
    changed = [each for each in idle if getattr(settings, each[0]) != fields[each[0]].default]
    return [f"`{name}=` does nothing without {other}" for name, other in changed]


def _taught(parts: Parts) -> list[str]:
    """Return what is said of a teacher."""
    if parts.lesson is None:
        return []
    how = f"{parts.lesson.weight:g} of the loss, at temperature {parts.lesson.temperature:g}"
    return [f"Teacher {parts.lesson.words}; {how}"]


def describe_loader(trainer: Trainer) -> list[str]:
    """Return how many threads decode, where that was not asked for by number."""
    n = trainer.train_loader.workers
    if trainer.state.settings.workers != "auto":
        return []
    return [f"Loader {n} {'thread decodes' if n == 1 else 'threads decode'} images (`workers=auto`)"]


def warnings_of(plan: Plan) -> list[str]:
    """Return what about the learning rate is most likely a mistake, a line each."""
    return [f"Warning: {caution}." for caution in plan.cautions]
