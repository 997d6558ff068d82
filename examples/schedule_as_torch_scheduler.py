"""A schedule of clfctl as a torch scheduler, for a trainer that wants one and calls its `step()` after each batch.

    python examples/schedule_as_torch_scheduler.py

About 3 s, nearly all of it the import of torch. It prints the rate at each epoch's beginning, last: 4 0.000015.
For curves of time only: torch's `LambdaLR` has no metrics to give. It keeps a count of steps, which is its state.
"""

import torch
from torch.optim.lr_scheduler import LambdaLR

from clfctl.schedules import Cosine, Schedule, Span, Warmup

EPOCHS, N_BATCHES, BASE_LR = 5, 100, 1e-4


def as_torch(schedule: Schedule, optimizer: torch.optim.Optimizer, base_lr: float, n_batches: int) -> LambdaLR:
    """Return a scheduler to be stepped after every batch; each param group keeps its ratio to the base rate."""
    return LambdaLR(optimizer, lambda step: schedule.lr(base_lr, step / n_batches) / base_lr)


def main() -> None:
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=BASE_LR)
    schedule = Warmup(Cosine(), epochs=1).fitted(Span(EPOCHS))
    scheduler = as_torch(schedule, optimizer, BASE_LR, N_BATCHES)
    for epoch in range(EPOCHS):
        print(epoch, f"{optimizer.param_groups[0]['lr']:.6f}")
        for _ in range(N_BATCHES):
            optimizer.step()
            scheduler.step()


if __name__ == "__main__":
    main()
