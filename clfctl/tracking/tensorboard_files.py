"""TensorBoard: event files in `track/tensorboard`, written and read back by its own library."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from clfctl.tracking.backend import TRACK, Ending, Final, Item, Subject
from clfctl.tracking.picture import confusion_picture, confusion_table


class TensorBoardFiles:
    """Adds an event file for each process that trains; readers take those of a folder as one."""

    def open(self, subject: Subject) -> Mapping[str, int]:
        """Read what is there, and begin a file."""
        logging.getLogger("tensorboard").setLevel(logging.ERROR)
        from torch.utils.tensorboard import SummaryWriter

        folder = subject.run.path / TRACK / "tensorboard"
        folder.mkdir(parents=True, exist_ok=True)
        self._settings = subject.settings
        last = last_steps(str(folder))
        self._writer: Any = SummaryWriter(str(folder))
        return last

    def write(self, items: Sequence[Item]) -> None:
        """Add scalars, of float32."""
        for item in items:
            for name, value in item.values.items():
                self._writer.add_scalar(name, value, item.step)
        self._writer.flush()

    def show(self, final: Final, numbers: Item) -> None:
        """Add hyperparameters with the final metrics, the confusion matrix, and images."""
        from torch.utils.tensorboard.summary import hparams

        settings = {
            name: value for name, value in self._settings.items() if isinstance(value, bool | int | float | str)
        }
        for summary in hparams(settings, dict(numbers.values)):
            self._writer.file_writer.add_summary(summary)
        step = numbers.step
        self._writer.add_image("confusion matrix", confusion_picture(final.confusion), step, dataformats="HWC")
        self._writer.add_text("confusion matrix", confusion_table(final.classes, final.confusion), step)
        if len(final.images):
            self._writer.add_images("images", np.ascontiguousarray(final.images), step, dataformats="NHWC")
            captions = "\n".join(f"{n}. {each}" for n, each in enumerate(final.captions, 1))
            self._writer.add_text("images", captions, step)
        self.write([numbers])

    def close(self, ending: Ending) -> None:  # noqa: ARG002 (it has no place for that)
        """Write what is in memory, and let go of the file."""
        if hasattr(self, "_writer"):
            self._writer.close()


def last_steps(folder: str) -> dict[str, int]:
    """Return the last step of each scalar in a folder of event files."""
    return {name: max(step for step, _ in values) for name, values in scalars_in(folder).items()}


def scalars_in(folder: str) -> dict[str, list[tuple[int, float]]]:
    """Return (step, value) of each scalar in a folder of event files; half a record at the end of one is none."""
    from tensorboard.backend.event_processing.event_accumulator import SCALARS, EventAccumulator

    events = EventAccumulator(folder, size_guidance={SCALARS: 0}, purge_orphaned_data=False)
    events.Reload()
    return {name: [(each.step, each.value) for each in events.Scalars(name)] for name in events.Tags()[SCALARS]}
