"""What is kept and said when a loss is not finite: the batch, in a file of the run, and the error that ends it all."""

from collections.abc import Iterable
from contextlib import suppress

import torch

from clfctl.data.loader import Loader
from clfctl.engine.rates import rates_at
from clfctl.engine.saving import RunSaver
from clfctl.engine.state import TrainState
from clfctl.errors import NonFiniteLossError, WriteError
from clfctl.planning.plan import Plan
from clfctl.runs.bad_batch import BadBatch, BatchImage
from clfctl.storage.names import shell

# Steps before a loss that is not finite, and itself, whose losses and gradients are kept.
N_KEPT = 20
TRIES = "try a lower `lr=`, a longer `warmup=`, `clip_grad=1` or `amp=off`"


def record_of(
    what: str, batch: int, state: TrainState, plan: Plan, loader: Loader, norms: Iterable[tuple[int, torch.Tensor]]
) -> BadBatch:
    """Return what is to be known of a batch of the running epoch, from 0; `norms` are (step, norm of its gradient)."""
    cursor, source = state.cursor, loader.part.source
    t, step = cursor.epoch + batch / loader.n_batches, cursor.epoch * loader.n_batches + batch
    metrics = state.recorded()
    rates = rates_at(state.optimizer, plan.values(t, metrics), plan.base_lr, t)
    return BadBatch(
        what,
        cursor.epoch,
        batch,
        loader.n_batches,
        plan.lr(t, metrics),
        cursor.losses[max(0, batch - N_KEPT + 1) : batch + 1].tolist(),
        [norm.item() for number, norm in norms if step - N_KEPT < number <= step],
        {str(group["name"]): rate for group, rate in zip(state.optimizer.param_groups, rates, strict=True)},
        [BatchImage(i, source.name(i), source.labels[i]) for i in next(loader.drawn(cursor.epoch, batch)).tolist()],
    )


def keep(record: BadBatch, saver: RunSaver, *, writes: bool = True) -> NonFiniteLossError:
    """Write a batch into its run, unless another process does, and return the error that says so."""
    with suppress(WriteError):  # what is wrong is the loss
        if writes:
            record.write(saver.run)
    where = f"epoch {record.epoch + 1}, batch {record.batch + 1} of {record.n_batches}, learning rate {record.lr:.3g}"
    look = f"look at the batch with: {shell('debug-batch', saver.run.path)}"
    return NonFiniteLossError(
        f"the {record.what} is no longer finite: {where}", f"{TRIES}; {look}; {saver.what_is_kept()}"
    )
