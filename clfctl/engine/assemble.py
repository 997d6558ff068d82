"""From settings to a trainer: the parts in the order in which a mistake is cheapest to find."""

import copy
from contextlib import suppress
from dataclasses import dataclass, replace

import torch
from threadpoolctl import ThreadpoolController
from torch.optim import Optimizer

from clfctl.data.balance import class_weights, with_chances
from clfctl.data.keys import WEIGHTS, hash_key
from clfctl.data.loader import BadImages, Loader, compute_alone
from clfctl.data.pixels.decode import see_and_close
from clfctl.data.pixels.transform import Preprocess, augmentation_of, to_pixels
from clfctl.data.sources.base import Data, Part
from clfctl.data.sources.size import count_batches, fit_batch_size
from clfctl.data.workers import pick_workers
from clfctl.engine.activations import checkpoint_activations
from clfctl.engine.averaging import averages_of
from clfctl.engine.check import check_accumulate, check_processes
from clfctl.engine.determinism import be_deterministic
from clfctl.engine.device import Precision, pick_device, pick_precision
from clfctl.engine.frozen import begin_epoch, keep_statistics, norms_of
from clfctl.engine.memory_format import lay_out
from clfctl.engine.optimizers import build_optimizer
from clfctl.engine.rates import check_momentum, note_what_moves
from clfctl.engine.saving import RunSaver, restore
from clfctl.engine.state import Cursor, TrainState
from clfctl.engine.step import Normalize
from clfctl.engine.sync_norm import each_alone, share_statistics
from clfctl.engine.teacher import Lesson, build_lesson
from clfctl.engine.trainer import Trainer
from clfctl.engine.world import ALONE, World
from clfctl.errors import UsageError
from clfctl.models.built import NEW, Built
from clfctl.models.card import Card, card_of
from clfctl.models.factory import build_model, rebuild_model
from clfctl.models.sources import source_of
from clfctl.models.start import build_from
from clfctl.planning.place import place_here, place_of
from clfctl.planning.plan import Plan, make_plan
from clfctl.runs.checkpoint import Checkpoint
from clfctl.runs.folder import RunFolder
from clfctl.runs.header import CHANNELS_LAST
from clfctl.settings.data import DataSettings
from clfctl.settings.groups import TrainSettings
from clfctl.settings.image_size import sides


@dataclass(frozen=True)
class Parts:
    """What a training is made of, before it has a run folder."""

    settings: TrainSettings
    data: Data
    built: Built
    optimizer: Optimizer
    precision: Precision
    lesson: Lesson | None = None

    @property
    def card(self) -> Card:
        """What a checkpoint says of the model."""
        return Card(self.settings.model, self.data.classes, self.built.preprocess)


def build_parts(settings: TrainSettings, data: Data, world: World = ALONE) -> Parts:
    """Choose the device and build the model, whose first weights depend on the seed alone.

    The settings in the parts may have a smaller batch size: a default one fits itself to the data.
    """
    settings = fit_batch_size(settings, len(data.train))
    precision = pick_precision(settings.amp, pick_device(settings.device))
    torch.manual_seed(hash_key(WEIGHTS, settings.seed))
    size, fit = settings.image_size, settings.fit
    if settings.start_from:
        built = build_from(settings, data.classes, size, fit=fit, is_small=data.is_small)
    else:
        built = build_model(settings, len(data.classes), size, fit=fit, is_small=data.is_small)
    if settings.interpolation != "auto":
        built = built.scaling_by(settings.interpolation)
    if settings.freeze_batch_norm is None:
        # Decided once. A classifier that is trained first is fitted to features of the statistics that there are.
        keeps = settings.unfreeze_at is not None and built.origin != NEW and bool(norms_of(built.model))
        settings = settings.model_copy(update={"freeze_batch_norm": keeps})
    return _parts(settings, data, built, precision, world=world)


def rebuild_parts(settings: TrainSettings, data: Data, checkpoint: Checkpoint, world: World = ALONE) -> Parts:
    """Build the parts of a saved run; its weights come from the checkpoint."""
    precision = pick_precision(settings.amp, pick_device(settings.device))
    card = card_of(checkpoint)
    model = rebuild_model(card.name, len(card.classes), settings, card.preprocess.image_size)
    built = Built(model, card.preprocess, "the checkpoint")
    return _parts(settings, data, built, precision, checkpoint.header.memory_format, world)


def _parts(
    settings: TrainSettings,
    data: Data,
    built: Built,
    precision: Precision,
    before: str = CHANNELS_LAST,
    world: World = ALONE,
) -> Parts:
    check_accumulate(settings)
    check_processes(settings, world.size)
    if settings.deterministic:
        be_deterministic()
    if settings.sync_batch_norm and not world.is_alone:
        built = replace(built, model=share_statistics(built.model, world, precision.device))
    lay_out(built.model, precision.device, before)
    if settings.freeze_batch_norm:
        keep_statistics(built.model)
    if settings.checkpoint_activations:
        checkpoint_activations(built.model, settings.model)
    optimizer = build_optimizer(settings, built.model, source_of(settings.model))
    check_momentum(optimizer, settings)
    # With statistics of all processes together a share may be a single image.
    is_shared_on_gpu = settings.sync_batch_norm and not world.is_alone and precision.device.type == "cuda"
    if settings.images_at_once // (1 if settings.sync_batch_norm else world.size) <= 1 and not is_shared_on_gpu:
        _check_single_image(settings, built, optimizer, precision.device, world)
    lesson = build_lesson(settings, data.classes, built.preprocess, precision)
    return Parts(settings, data, built, optimizer, precision, lesson)


def _check_single_image(
    settings: TrainSettings, built: Built, optimizer: Optimizer, device: torch.device, world: World
) -> None:
    """Raise UsageError for a model that cannot be trained on one image a step: what it normalizes is a single value."""
    size = built.preprocess.image_size
    try:
        model, optimizer = copy.deepcopy((built.model, optimizer))
        begin_epoch(model, optimizer, settings.epochs)  # with all that will ever be trained
        with torch.no_grad(), each_alone(model):  # the first process may be here alone
            model(torch.zeros(1, 3, *sides(size), device=device))
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        if settings.images_at_once > 1:
            what = f"one image at once is what each of {world.size} processes gets: too few for {settings.model}"
            enough = 2 * world.size * settings.accumulate
            hint = f"batch normalization needs several: use `batch_size={enough}` or `sync_batch_norm=True`"
            raise UsageError(what, hint, field="batch_size") from None
        at_once = "a step" if settings.batch_size == 1 else "at once"
        what = f"one image {at_once} is too few for {settings.model} at {size} pixels: its last map is a single value"
        more = "`batch_size=2` or more" if settings.batch_size == 1 else "a smaller `accumulate=`"
        hint = f"batch normalization needs several: use {more}, or larger images with `image_size=`"
        raise UsageError(what, hint, field="batch_size" if settings.batch_size == 1 else "accumulate") from None


def make_trainer(
    parts: Parts,
    run: RunFolder,
    checkpoint: Checkpoint | None = None,
    *,
    restarts_epoch: bool = False,
    world: World = ALONE,
) -> Trainer:
    """Return a trainer that stands at the beginning, or where the checkpoint was written, or before its epoch."""
    settings, data, precision = parts.settings, parts.data, parts.precision
    device = precision.device
    bad = BadImages(settings.on_bad_image, len(data.train) + len(data.val))
    decided = settings.model_copy(update={"workers": decide_workers(settings, data.train, parts.built.preprocess)})
    # Validation takes the memory of a part too.
    at_once = decided.model_copy(update={"batch_size": settings.images_at_once})
    train_loader = make_loader(decided, data.train, parts.built.preprocess, bad, device, settings.seed, world)
    plan = make_plan(settings, train_loader.n_batches, trained=checkpoint.resumption.position.t if checkpoint else 0.0)
    cursor = Cursor(torch.zeros(train_loader.n_batches, device=device))
    averages = averages_of(parts.built.model, settings.ema, plan.averages_from())
    state = TrainState(parts.built.model, parts.optimizer, precision, settings, cursor, *averages)
    if checkpoint:
        restore(state, checkpoint, restarts_epoch=restarts_epoch)
    note_what_moves(state.optimizer, plan, settings.weight_decay)
    return Trainer(
        state,
        plan,
        train_loader,
        make_loader(at_once, data.val, parts.built.preprocess, bad, device, world=world),
        Normalize(parts.built.preprocess, device),
        RunSaver(run, parts.card, place_of(run, checkpoint.header) if checkpoint else place_here(), world.size),
        class_weights=loss_weights(parts),
        lesson=parts.lesson,
        world=world,
    )


def plan_of(parts: Parts) -> Plan:
    """Return the plan of a training of the parts."""
    settings = parts.settings
    return make_plan(settings, count_batches(len(parts.data.train), settings.batch_size, is_shuffled=True))


def loss_weights(parts: Parts) -> torch.Tensor | None:
    """Return the weights of the classes in the loss, (n_classes,) float32 on the device; None: all alike."""
    if parts.settings.balance != "loss":
        return None
    weights = class_weights(parts.data.train, len(parts.data.classes))
    return torch.tensor(weights, dtype=torch.float32, device=parts.precision.device)


def make_loader(
    settings: DataSettings,
    part: Part,
    preprocess: Preprocess,
    bad: BadImages,
    device: torch.device,
    shuffle_seed: int | None = None,
    world: World = ALONE,
) -> Loader:
    """Return the batches of a part: shuffled and augmented for training, where a seed is given, plain otherwise."""
    part = part if shuffle_seed is None else with_chances(part, settings.balance)
    augment = None if shuffle_seed is None else augmentation_of(settings)
    on_cuda = device.type == "cuda"
    workers = decide_workers(settings, part, preprocess)
    return Loader(
        part,
        preprocess,
        settings.batch_size,
        workers,
        bad,
        shuffle_seed,
        augment,
        on_cuda,
        rank=world.rank,
        n_ranks=world.size,
    )


def decide_workers(settings: DataSettings, part: Part, preprocess: Preprocess) -> int:
    """Return the number of threads that decode; `auto` reads a few images of the part."""
    if settings.workers != "auto":
        return settings.workers

    def read(index: int) -> None:
        # Bad images are counted and reported when training meets them.
        with suppress(Exception):
            see_and_close(part.source.open(index), lambda image: to_pixels(image, preprocess))

    # As the threads decode: else torch would wake helpers for every small picture, and all would seem slow.
    with ThreadpoolController().limit(limits=1, user_api="openmp"):
        return pick_workers(read, part.indices, compute_alone)
