"""What can be checked of a training before torch is imported, which takes seconds."""

from collections.abc import Callable, Collection

from clfctl.data.sources.base import Data
from clfctl.data.sources.open import open_data
from clfctl.data.sources.size import count_batches, fit_batch_size
from clfctl.errors import UsageError
from clfctl.evaluation.epoch_metrics import AS_MONITORED, METRICS
from clfctl.models.sources import source_of
from clfctl.planning.plan import Plan, make_plan, refuse_cautions
from clfctl.planning.teaching import find_teacher
from clfctl.runs.folder import check_new_run
from clfctl.settings.groups import TrainSettings
from clfctl.settings.tracked import check_installed

# Settings that name a metric.
METRIC_FIELDS = ("monitor", "keep_best")


def check_training(settings: TrainSettings, tell: Callable[[str], None]) -> tuple[Data, Plan]:
    """Check names and settings, open the data, and plan the learning rate.

    `tell` takes a line before something that takes long. Raises UsageError or DataError for what would keep the
    training from beginning.
    """
    check_new_run(settings.runs_dir, settings.run_name)
    check_installed(settings.track)
    source_of(settings.model)
    data = open_data(settings, settings.seed, tell)
    return data, check_with(settings, data)


def check_with(settings: TrainSettings, data: Data) -> Plan:
    """Check settings against the data that is open, and plan the learning rate. Raises UsageError."""
    settings = fit_batch_size(settings, len(data.train))
    check_accumulate(settings)
    find_teacher(settings, data.classes)
    check_metrics(settings, len(data.val), len(data.classes))
    plan = make_plan(settings, count_batches(len(data.train), settings.batch_size, is_shuffled=True))
    if not (settings.time or settings.find_lr):  # else it is planned again when its epochs and its rate are known
        check_plan(settings, plan)
    return plan


def check_plan(settings: TrainSettings, plan: Plan) -> None:
    """Raise UsageError for settings that the plan's length leaves no room for, and for cautions if they are refused."""
    check_unfreezing(settings, plan)
    refuse_cautions(settings, plan)


def check_accumulate(settings: TrainSettings) -> None:
    """Raise UsageError if a batch cannot be divided into so many parts."""
    n, size = settings.accumulate, settings.batch_size
    if size % n:
        divisor = next(each for each in range(min(n, size), 0, -1) if not size % each)
        hint = f"use `accumulate={divisor}`, or a `batch_size=` that is a multiple of {n}"
        raise UsageError(f"a batch of {size} images cannot be divided into {n} equal parts", hint, field="accumulate")


def check_processes(settings: TrainSettings, n: int) -> None:
    """Raise UsageError for what so many processes cannot do together."""
    if n == 1:
        return
    if n > settings.batch_size:
        what = f"{n} processes cannot share batches of {settings.batch_size} images: one of them would have none"
        hint = f"use `batch_size={n}` or more, or start {settings.batch_size} with torchrun"
        raise UsageError(what, hint, field="batch_size")
    if settings.static_graph and settings.accumulate > 1:
        what = "parts of a batch are not sent, and torch's static graph loses the gradients of such"
        raise UsageError(what, "leave it out, or use `accumulate=1`", field="static_graph")
    if settings.device.startswith("cuda:"):
        hint = "use `device=cuda`: each process takes a GPU of its own; `CUDA_VISIBLE_DEVICES` says which there are"
        raise UsageError(f"{n} processes cannot train on the one GPU {settings.device}", hint, field="device")
    if settings.find_batch_size:
        what = f"{n} processes train together, and one alone can try what fits in its memory"
        hint = f"find it with one (`clfctl train --dry-run`), and say {n} times as many with `batch_size=`"
        raise UsageError(what, hint, field="find_batch_size")


def check_unfreezing(settings: TrainSettings, plan: Plan) -> None:
    """Raise UsageError if the settings say when to train what is frozen, and nothing is, or training has ended then."""
    if settings.unfreeze_at is None:
        return
    if not settings.freeze:
        hint = "say what is with `freeze=`, such as `freeze=backbone`"
        raise UsageError("nothing is frozen", hint, field="unfreeze_at")
    if settings.unfreeze_at >= plan.epochs:
        what = f"{settings.unfreeze_at} is after the end: training has {plan.epochs} epochs"
        raise UsageError(what, "use fewer; without it, what is frozen stays so", field="unfreeze_at")


def check_metrics(settings: TrainSettings, n_val: int, n_classes: int, fields: Collection[str] = METRIC_FIELDS) -> None:
    """Raise UsageError if one of `fields` is a metric that so many validation images and classes cannot have."""
    if settings.soup:
        _check_soup(settings, n_val)
    if "monitor" in fields:
        _check_metric("monitor", settings.monitor, n_val, n_classes)
    # Without validation images the usual one gives way to the monitored metric.
    usual = (AS_MONITORED, TrainSettings.model_fields["keep_best"].default)
    if "keep_best" in fields and settings.keep_best not in usual:
        _check_metric("keep_best", settings.keep_best, n_val, n_classes)


def _check_soup(settings: TrainSettings, n_val: int) -> None:
    if not n_val:
        hint = "keep some images with `val_split=0.2`, or leave `soup=` out"
        raise UsageError("what is in a soup is chosen by validation images, and there are none", hint, field="soup")
    judge = settings.monitor if settings.keep_best == AS_MONITORED else settings.keep_best
    if METRICS[judge].part != "val":
        what = f"what is in a soup is chosen by validation images, and best goes by {judge}"
        raise UsageError(what, "use `keep_best=val_loss`", field="soup")


def _check_metric(field: str, name: str, n_val: int, n_classes: int) -> None:
    metric = METRICS[name]
    if metric.part == "val" and not n_val:
        hint = f"use `{field}=train_loss`, or keep some images with `val_split=0.2`"
        raise UsageError(f"{name} needs validation images, and there are none", hint, field=field)
    if n_classes < metric.least_classes:
        what = f"{name} needs at least {metric.least_classes} classes, and there are {n_classes}"
        raise UsageError(what, f"use `{field}=val_top1`", field=field)
