"""What saving costs: as a ratio to writing and flushing the same bytes, and as a share of epochs of 30 s."""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from clfctl.cli.spinning import SHORT, VARIABLE

os.environ.setdefault(VARIABLE, SHORT)  # as the program does; read when torch is imported

from clfctl.data.sources.open import open_data
from clfctl.engine.assemble import build_parts, make_trainer
from clfctl.engine.saving import RunSaver
from clfctl.engine.state import TrainState
from clfctl.engine.trainer import Trainer
from clfctl.runs.folder import create_run
from clfctl.settings.groups import TrainSettings

ROUNDS, MAX_SAVE_RATIO = 21, 1.5
EPOCHS, EPOCH_S, MAX_LOST = 7, 30.0, 0.02
SETTINGS = {"image_size": 32, "augment": "none", "batch_size": 32, "monitor": "train_loss"}


def trainer_in(folder: Path, **values: object) -> Trainer:
    """Return a trainer of the custom CNN (4.7 M parameters) with Adam, in a run folder of its own."""
    settings = TrainSettings.model_validate(SETTINGS | values)
    return make_trainer(build_parts(settings, open_data(settings, settings.seed)), create_run(folder, "{n}", ""))


def write_and_flush(path: Path, content: bytes) -> None:
    """Write a file as simply as it can be done so that it is on the disk and replaces the one before."""
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb", buffering=0) as file:
        file.write(content)
        os.fsync(file.fileno())
    temporary.replace(path)


def timed(act: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def save_ratio(folder: Path) -> float:
    """Return the median time of a save divided by that of a bare write of the same bytes, in alternating turns."""
    trainer = trainer_in(folder, epochs=1)
    next(trainer.epochs())  # Adam has its moments now
    saved = trainer.saver.run.last
    content = saved.read_bytes()
    bare, ours = list[float](), list[float]()
    for n in range(ROUNDS):
        acts = [
            (bare, lambda: write_and_flush(saved.with_name("bare"), content)),
            (ours, lambda: trainer.save_last()),
        ]
        for times, act in acts if n % 2 else reversed(acts):
            times.append(timed(act))
    ratio = statistics.median(our / one for our, one in zip(ours, bare, strict=True))
    print(
        f"save {statistics.median(ours) * 1e3:.0f} ms, bare write of the same {len(content) / 1e6:.0f} MB "
        f"{statistics.median(bare) * 1e3:.0f} ms, median ratio {ratio:.2f} (at most {MAX_SAVE_RATIO})"
    )
    return ratio


class NoSaver(RunSaver):
    """Saves nothing."""

    def save_last(self, state: TrainState, last_epoch: int) -> None:
        """Do nothing."""

    def save_best(self, state: TrainState) -> None:
        """Do nothing."""


def lost_share(folder: Path) -> float:
    """Return what saving `last` and `best` adds to an epoch, as a share of one of 30 s.

    Measured as the difference between epochs of some seconds, with and without, in alternating turns, the fastest of
    each: epochs of 30 s vary by more than the 0.6 s in question.
    """
    trainers = [trainer_in(folder, epochs=EPOCHS, save_every=1) for _ in range(2)]
    trainers[1].saver = NoSaver(trainers[1].saver.run, trainers[1].saver.card)
    epochs, times = [trainer.epochs() for trainer in trainers], (list[float](), list[float]())
    for n in range(EPOCHS):
        for which in (0, 1) if n % 2 else (1, 0):
            times[which].append(timed(epochs[which].__next__))
    with_saving, without = map(min, times)
    lost = (with_saving - without) / EPOCH_S
    print(
        f"epoch with saving {with_saving:.2f} s, without {without:.2f} s: "
        f"{100 * lost:.2f} % of an epoch of {EPOCH_S:.0f} s (at most {100 * MAX_LOST:.0f} %)"
    )
    return lost


def main() -> int:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        ratio, lost = save_ratio(Path(folder)), lost_share(Path(folder))
    return int(ratio > MAX_SAVE_RATIO or lost > MAX_LOST)


if __name__ == "__main__":
    sys.exit(main())
