"""A training that is only tried: real steps on copies that are thrown away, so that nothing of the run is changed."""

import copy
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from clfctl.engine.as_it_was import as_it_was
from clfctl.engine.assemble import Parts, make_trainer
from clfctl.engine.device import pick_precision
from clfctl.engine.optimizers import build_optimizer
from clfctl.engine.trainer import Trainer
from clfctl.engine.world import ALONE, World
from clfctl.models.sources import source_of
from clfctl.runs.checkpoint import Checkpoint
from clfctl.runs.folder import RunFolder
from clfctl.settings.groups import TrainSettings


@contextmanager
def rehearsal(
    parts: Parts,
    settings: TrainSettings | None = None,
    checkpoint: Checkpoint | None = None,
    world: World = ALONE,
) -> Iterator[Trainer]:
    """Yield a trainer of the parts, with other settings if given, whose model and optimizer are copies.

    With a checkpoint it stands at the beginning of the epoch in which that was written. Its run lies in a temporary
    folder. Of several processes each has to come here, and makes every step with the others. At the end torch's random
    state is as it was, and the device's memory free.
    """
    settings = settings or parts.settings
    with TemporaryDirectory(prefix="clfctl-") as folder, as_it_was(settings.device):
        run = RunFolder(Path(folder))
        run.last.parent.mkdir()
        own = copy_of(replace(parts, settings=settings))
        trainer = make_trainer(own, run, checkpoint, restarts_epoch=True, world=world)
        try:
            yield trainer
        finally:
            del trainer
            free_memory(parts.precision.device)


def copy_of(parts: Parts) -> Parts:
    """Return parts whose model, optimizer and loss scale are their own."""
    settings = parts.settings
    model = copy.deepcopy(parts.built.model)
    precision = pick_precision(settings.amp, parts.precision.device)
    return replace(
        parts,
        built=replace(parts.built, model=model),
        optimizer=build_optimizer(settings, model, source_of(settings.model)),
        precision=precision,
    )


def free_memory(device: torch.device) -> None:
    """Give back the memory of a device that nothing refers to any more; that of the CPU is given back in time."""
    if device.type == "cpu":
        return
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
