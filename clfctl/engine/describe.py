"""A training in words: data, model, device and loader, a line each, and what about its rates is likely a mistake."""

from torch import nn

from clfctl.data.balance import describe_counts
from clfctl.engine.assemble import Parts
from clfctl.engine.device import describe
from clfctl.engine.memory_format import why_plain
from clfctl.engine.trainer import Trainer
from clfctl.planning.plan import Plan
from clfctl.storage.files import in_bytes


def describe_parts(parts: Parts) -> list[str]:
    """Return data, model and device, a line each."""
    data, built, precision = parts.data, parts.built, parts.precision
    counts = f"{len(data.train)} training and {len(data.val)} validation images"
    counts += f", {len(data.test)} for testing" if data.test else ""
    counts += f"; left out: {data.left_out}" if data.left_out else ""
    dtype = str(precision.dtype).removeprefix("torch.")
    plain = why_plain(built.model)
    size = f"{built.n_parameters / 1e6:.2f} M parameters"
    n_bytes = sum(each.numel() * each.element_size() for each in built.model.state_dict().values())
    return [
        f"Data   {parts.settings.data}: {len(data.classes)} classes, {counts}",
        *(f"Note   {each}" for each in data.notes),
        *describe_counts(data.train, data.classes, parts.settings.balance),
        *_fitted(parts),
        *_divided(parts),
        f"Model  {parts.settings.model}: {size}, {in_bytes(n_bytes)}, {built.origin}",
        f"Device {describe(precision.device)}, {dtype}{f', plain memory: {plain}' if plain else ''}",
    ]


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
    size = settings.batch_size // settings.accumulate
    normalizes = any(isinstance(each, nn.modules.batchnorm._BatchNorm) for each in parts.built.model.modules())
    seen = f"; batch normalization sees the {size} of a part" if normalizes else ""
    return [f"Steps  {settings.batch_size} images each, computed in {settings.accumulate} parts of {size}{seen}"]


def describe_loader(trainer: Trainer) -> list[str]:
    """Return how many threads decode, where that was not asked for by number."""
    n = trainer.train_loader.workers
    if trainer.state.settings.workers != "auto":
        return []
    return [f"Loader {n} {'thread decodes' if n == 1 else 'threads decode'} images (`workers=auto`)"]


def warnings_of(plan: Plan) -> list[str]:
    """Return what about the learning rate is most likely a mistake, a line each."""
    return [f"Warning: {caution}." for caution in plan.cautions]
