"""What transfer reaches, in what time: a probe against a bare loop, fine-tuning from it, features that are kept.

    python -m benchmarks.transfer FOLDER [rounds]

FOLDER is what `python -m benchmarks.transfer_data FOLDER` wrote: 60 pictures a class, 500 to judge by, real weights.
Prints a table of medians; ends with status 1 if one is worse than it must be.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.transfer_data import MODEL

SIZE, VIEWS = 128, 2
SECOND_PROBE_IMAGES = 2000
# The same network over the same images, as a script would: every view once, in batches, without gradients.
BARE_LOOP = f"""
import sys
import timm, torch
from safetensors.torch import load_file
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2
model = timm.create_model({MODEL!r}, num_classes=10)
weights = load_file(sys.argv[2])
model.load_state_dict({{k: v for k, v in weights.items() if "classifier" not in k}}, strict=False)
model.eval().to(memory_format=torch.channels_last)
see = v2.Compose([v2.Resize(({SIZE}, {SIZE})), v2.ToImage(), v2.ToDtype(torch.float32, scale=True),
                  v2.Normalize((0.5,) * 3, (0.5,) * 3)])
for part, views in (("train", {VIEWS}), ("val", 1)):
    loader = torch.utils.data.DataLoader(ImageFolder(f"{{sys.argv[1]}}/{{part}}", see), 32, num_workers=0)
    for images, _ in loader:
        images = images.to(memory_format=torch.channels_last)
        for view in range(views):
            with torch.inference_mode():
                model.forward_head(model.forward_features(images.flip(3) if view else images), pre_logits=True)
"""


def timed(command: Sequence[str], folder: Path, **environment: str) -> tuple[float, str]:
    """Return the seconds of a whole command, and what it printed; a failure ends the benchmark with its message."""
    started = time.perf_counter()
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return time.perf_counter() - started, done.stdout


def clfctl(*words: str) -> list[str]:
    """Return the command line of a command."""
    return [sys.executable, "-m", "clfctl", *words]


def probe_words(photos: Path, weights: Path) -> list[str]:
    """Return the probe that is measured."""
    seen = ("--image-size", str(SIZE), "--interpolation", "bilinear", "--views", str(VIEWS))
    return clfctl("probe", "--data", str(photos), "--model", MODEL, "--weights", str(weights), *seen, "--json")


def probe_against_bare_loop(photos: Path, weights: Path, place: Path, rounds: int) -> tuple[float, float, str]:
    """Return accuracy, and the median of its time as a multiple of the bare loop's, in turns; and the run's folder."""
    ratios, found = [], {}
    for n in range(rounds):
        bare, _ = timed([sys.executable, "-c", BARE_LOOP, str(photos), str(weights)], place)
        ours, printed = timed(probe_words(photos, weights), place, XDG_CACHE_HOME=str(place / f"cache-{n}"))
        found = json.loads(printed)
        ratios.append(ours / bare)
        print(f"  probe {ours:.1f} s, bare loop {bare:.1f} s, of the probe {found['fit_s']:.1f} s for what is fitted")
    return found["top1"], statistics.median(ratios), str(place / found["run"])


def finetuned(run: str, photos: Path, place: Path) -> tuple[float, float]:
    """Return the accuracy of five epochs from a probe's run on, and the seconds that they took."""
    words = "--epochs 5 --lr 3e-4 --warmup 1 --scheduler cosine --optimizer adamw --weight-decay 0.01 --batch-size 32"
    more = ("--ema", "0.9", "--augment", "none", "--no-export", "--json")
    command = clfctl("train", "--data", str(photos), "--from", run, *words.split(), *more)
    seconds, printed = timed(command, place)
    return max(json.loads(line)["val_top1"] for line in printed.splitlines()), seconds


def second_probe(weights: Path, place: Path) -> float:
    """Return the seconds that a probe of 2,000 images takes besides start-up when their features are kept."""
    draw = np.random.default_rng(0)
    for number in range(SECOND_PROBE_IMAGES):
        path = place / "many" / str(number % 10) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (32, 32, 3), np.uint8) // 2 + 12 * (number % 10)).save(path)
    words = [*probe_words(place / "many", weights), "--image-size", "32"]
    timed(words, place)
    # Start-up is what is imported, and the network with its weights; the rest is said by the record.
    _, printed = timed(words, place)
    return float(json.loads(printed)["seconds"])


def main() -> int:
    """Print the table; return 1 if a bar is not reached."""
    source, rounds = Path(sys.argv[1]).absolute(), int(sys.argv[2]) if len(sys.argv) > 2 else 3
    photos, weights = source / "photos", source / "lite0.safetensors"
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        top1, ratio, run = probe_against_bare_loop(photos, weights, place, rounds)
        tuned, tuned_s = finetuned(run, photos, place)
        second = second_probe(weights, place)
    rows = [
        ("probe, accuracy", f"{100 * top1:.1f} %", "at least 85.5 %", top1 >= 0.855),
        ("probe, time against a bare loop", f"{ratio:.2f}", "at most 1.15", ratio <= 1.15),
        (f"then 5 epochs of all ({tuned_s:.0f} s), accuracy", f"{100 * tuned:.1f} %", "at least 88 %", tuned >= 0.88),
        (f"second probe of {SECOND_PROBE_IMAGES:,} images", f"{second:.1f} s", "at most 3 s", second <= 3),
    ]
    for title, value, bar, is_reached in rows:
        print(f"{title:50} {value:>8}  {bar}{'' if is_reached else '  MISSED'}")
    return int(not all(row[-1] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
