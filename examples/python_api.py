"""From Python: look at the learning rate, train on scans of digits, watch, evaluate, and name a picture.

python examples/python_api.py        about 40 s on two cores; with EPOCHS=1 in the environment less
"""

import os
from typing import Any

from matplotlib.figure import Figure
from sklearn.datasets import load_digits

import clfctl

SETTINGS: dict[str, Any] = {"scheduler": "cosine", "epochs": int(os.environ.get("EPOCHS", "5"))}


class Lines(clfctl.Watcher):
    def epoch(self, result: clfctl.EpochResult) -> None:
        print(f"epoch {result.epoch}: {result.metrics['val_top1']:.1%} right, learning rate {result.lr:.2g}")


figure = Figure()
figure.subplots().plot(*zip(*clfctl.preview(data="digits", **SETTINGS).points(), strict=True))
figure.savefig("curve.png")
trained = clfctl.train(data="digits", export=False, watchers=[Lines()], **SETTINGS)
print(f"{clfctl.evaluate(trained.run).metrics.top1:.1%} of the images that were held out")
digit = (load_digits().images[7] * 255 / 16).astype("uint8")
print(f"a picture of a 7 is taken for a {clfctl.predict(trained.run, digit)[0].best}")
