"""The custom CNN and an EfficientNet-B0, each alone and as one, on scans of digits that neither has seen.

python examples/cnn_and_efficientnet.py     about 10 minutes on two cores; with EPOCHS=1 in the environment 1 minute

It writes 1,797 files into digits/ (1,200 to train on, of which 240 are held out as validation images, and 597 to test
on), trains both networks as their recipes say (but for the length), and prints each rule on the test images. Weights
are fitted on the validation images. See docs/ensembles.md for what it prints.
"""

import os
from pathlib import Path
from typing import Any

from PIL import Image
from sklearn.datasets import load_digits

import clfctl

EPOCHS, N_TRAIN = int(os.environ.get("EPOCHS", "10")), 1200

digits = load_digits()
for n, (scan, label) in enumerate(zip(digits.images, digits.target, strict=True)):
    file = Path("digits") / ("train" if n < N_TRAIN else "test") / str(label) / f"{n}.png"
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((scan * 255 / 16).astype("uint8")).save(file)

runs, common = [], {"image_size": 32, "batch_size": 32, "augment": "none", "export": False}
for model, lr in (("custom", 1e-3), ("efficientnet_b0", 2e-3)):
    settings: dict[str, Any] = {"model": model, "run_name": model, "lr": lr, "epochs": EPOCHS, **common}
    runs.append(clfctl.train(data="digits/", pretrained=False, **settings).run)


def numbers(metrics: Any) -> str:
    limits = metrics.top1_interval
    return f"{metrics.top1:.2%} | {limits.low:.1%} to {limits.high:.1%} | {metrics.loss:.4f}"


print("| rule | accuracy | 95 % | loss | whole − custom | p | whole − efficientnet_b0 | p |")
print("|---|---|---|---|---|---|---|---|")
for rule in ("mean", "vote", "geometric", "weighted"):
    found = clfctl.evaluate(runs, ensemble=rule, split="test")
    for each in found.members if rule == "mean" else ():
        print(f"| {each.model} alone | {numbers(each.metrics)} | | | | |")
    beside = " | ".join(f"{100 * each.difference:+.2f} points | {each.p_holm:.2g}" for each in found.members)
    print(f"| {rule} | {numbers(found.metrics)} | {beside} |")
    if found.fitted:
        weights = ", ".join(f"{each:.3f}" for each in found.fitted.weights)
        print(f"weights {weights} of {found.fitted.n_images} images")
