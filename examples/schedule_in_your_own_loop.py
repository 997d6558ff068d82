"""A schedule of clfctl in a plain PyTorch loop: warmup, cosine, then plateau, with two param groups.

    python examples/schedule_in_your_own_loop.py

About 3 s on two cores. It prints a line an epoch, the last of them: accuracy above 90 % on digits that it has not seen.
"""

import torch
from sklearn.datasets import load_digits
from torch import nn

from clfctl.schedules import Span, Warmup, parse_expression

EPOCHS, BATCH, BASE_LR = 12, 64, 3e-3


def main() -> None:
    torch.manual_seed(0)
    digits = load_digits()
    images = torch.tensor(digits.data, dtype=torch.float32) / 16  # (N, 64) in [0, 1]
    labels = torch.tensor(digits.target)
    train, val = torch.randperm(len(images)).split([1437, 360])

    body = nn.Sequential(nn.Linear(64, 128), nn.ReLU())
    head = nn.Linear(128, 10)
    model = nn.Sequential(body, head)
    # The head learns three times as fast; the ratio stays, at the lowest rate too.
    groups = [{"params": body.parameters(), "scale": 1.0}, {"params": head.parameters(), "scale": 3.0}]
    optimizer = torch.optim.Adam(groups, lr=BASE_LR)

    n_batches = len(train) // BATCH
    expression = parse_expression("cosine(eta_min=1e-4):8 > plateau(patience=1)")
    # Warmup fits what follows it to what is left of the training.
    schedule = Warmup(expression.schedule(), epochs=1).fitted(Span(EPOCHS, steps_per_epoch=n_batches))

    losses: tuple[float, ...] = ()
    for epoch in range(EPOCHS):
        rate = schedule.given(losses, BASE_LR)
        for batch, chosen in enumerate(train[torch.randperm(len(train))].split(BATCH)[:n_batches]):
            lr = rate(epoch + batch / n_batches)
            for group in optimizer.param_groups:
                group["lr"] = lr * group["scale"]
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images[chosen]), labels[chosen]).backward()
            optimizer.step()
        with torch.no_grad():
            logits = model(images[val])
        losses = (*losses, nn.functional.cross_entropy(logits, labels[val]).item())
        accuracy = (logits.argmax(1) == labels[val]).float().mean().item()
        print(f"epoch {epoch + 1:2}  lr {lr:.6f}  val loss {losses[-1]:.4f}  accuracy {100 * accuracy:.1f} %")


if __name__ == "__main__":
    main()
