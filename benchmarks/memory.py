"""Memory of a process that reads thirty epochs of photographs: the heap finds its size, and then it is flat."""

import os
import sys
import tempfile
from pathlib import Path

from benchmarks.data import BATCH, CROP, N_THREADS, cut_files, photographs
from clfctl.data.loader import BadImages, Loader
from clfctl.data.pixels.transform import LIGHT, Preprocess
from clfctl.data.sources.open import open_data
from clfctl.settings.data import DataSettings

N_EPOCHS, N_SETTLING = 30, 10
MOST_MB = 10.0  # a leak of 250 bytes an image would be more


def resident_mb() -> float:
    """Return the memory of this process that is not swapped out, in MB (Linux)."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> int:
    """Print the largest memory of each epoch; return 1 if it grows."""
    images = photographs()
    with tempfile.TemporaryDirectory() as folder:
        cut_files(images, Path(folder), (500, 375))
        images.clear()
        data = open_data(DataSettings(data=folder, val_split=0, batch_size=BATCH), 0)
        bad = BadImages("error", len(data.train))
        loader = Loader(data.train, Preprocess(CROP), BATCH, N_THREADS, bad, shuffle_seed=0, augment=LIGHT)
        peaks = [max(resident_mb() for _ in loader.batches(epoch)) for epoch in range(N_EPOCHS)]
    middle = (N_SETTLING + N_EPOCHS) // 2
    growth = max(peaks[middle:]) - max(peaks[N_SETTLING:middle])
    print(f"resident memory of {N_EPOCHS} epochs, MB: {', '.join(f'{peak:.0f}' for peak in peaks)}")
    print(f"from epochs {N_SETTLING + 1}-{middle} to {middle + 1}-{N_EPOCHS}: {growth:+.1f} MB (at most {MOST_MB:g})")
    return int(growth > MOST_MB)


if __name__ == "__main__":
    sys.exit(main())
