"""What opening a folder of a million images costs: time and peak memory of a process of its own, and the fingerprint's.

The files are links to a few, made in a temporary folder.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

N_FILES, N_CLASSES, N_REAL = 1_000_000, 100, 10
MAX_S, MAX_GB = 20.0, 1.5
OPEN = """
import resource, sys, time
started = time.perf_counter()
from clfctl.data.sources.open import open_data
from clfctl.settings.data import DataSettings
data = open_data(DataSettings(data=sys.argv[1]), seed=0)
opened_s = time.perf_counter() - started
n = len(data.train) + len(data.val)
peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
from clfctl.data.sources.fingerprint import list_images
started = time.perf_counter()
listing = list_images(data, sys.argv[1])
listed_s = time.perf_counter() - started
assert len(listing) >= n  # and the digests of a sample
print(n, opened_s, peak_gb, listed_s, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
"""


def make_links(root: Path, n_files: int) -> None:
    """Fill class folders with symbolic links to a few images."""
    real = root.with_name("real")
    real.mkdir()
    for i in range(N_REAL):
        Image.new("RGB", (64, 64), (20 * i, 0, 0)).save(real / f"{i}.jpg")
    for label in range(N_CLASSES):
        folder = root / f"class {label:03}"
        folder.mkdir(parents=True)
        for i in range(n_files // N_CLASSES):
            os.symlink(real / f"{i % N_REAL}.jpg", folder / f"photo_{label:03}_{i:08}.jpg")  # noqa: PTH211


def main(n_files: int = N_FILES) -> None:
    """Print the costs; exit with 1 if opening takes more than it may."""
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary) / "data"
        make_links(root, n_files)
        done = subprocess.run([sys.executable, "-c", OPEN, root], capture_output=True, text=True, check=True)
    n, opened_s, peak_gb, listed_s, listed_gb = map(float, done.stdout.split())
    print(
        f"{n:,.0f} images: opened in {opened_s:.1f} s with {peak_gb:.2f} GB at most (allowed: {MAX_S:g} s, {MAX_GB} GB)"
    )
    print(f"the fingerprint (each one's size): {listed_s:.1f} s more, {listed_gb:.2f} GB at most")
    if opened_s > MAX_S or peak_gb > MAX_GB:
        raise SystemExit(1)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
