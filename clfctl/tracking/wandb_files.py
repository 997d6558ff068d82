"""Weights & Biases: offline in `track/wandb` unless WANDB_MODE says otherwise; `wandb sync` sends it later."""

import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from clfctl.storage.files import write_text
from clfctl.tracking.backend import BATCH, TRACK, Ending, Final, Item, Subject
from clfctl.tracking.picture import confusion_picture

PROJECT, RUN_ID = "clfctl", "wandb-run.txt"
# Its files are a log as LevelDB has them: a head of 7 bytes, blocks of 32 KiB, records in parts.
_HEAD, _BLOCK, _RECORD_HEAD = 7, 32768, 7
_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


class WandbFiles:
    """One run of the project `clfctl`; each process adds a file of the same id, which `wandb sync` puts together."""

    def open(self, subject: Subject) -> Mapping[str, int]:
        """Read what is there, and begin a file."""
        import wandb

        folder = subject.run.path / TRACK
        folder.mkdir(exist_ok=True)
        file = folder / RUN_ID
        if not file.is_file():
            write_text(file, secrets.token_hex(4) + "\n")
        run_id = file.read_text(encoding="utf-8").strip()
        last: dict[str, int] = {}
        for values in rows_in(folder, run_id):
            for name in values:
                step = values.get("batches" if name.startswith(BATCH) else "epoch")
                if step is not None:
                    last[name] = max(last.get(name, -1), int(step))
        mode: Any = os.environ.get("WANDB_MODE", "offline")
        settings = wandb.Settings(silent=True, console="off")
        self._wandb: Any = wandb
        self._run: Any = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT), id=run_id, name=subject.run.path.name, dir=str(folder),
            mode=mode, settings=settings, resume=None if mode == "offline" else "allow",
        )  # fmt: skip
        self._run.config.update(dict(subject.settings), allow_val_change=True)
        self._run.define_metric(f"{BATCH}*", step_metric="batches")
        self._run.define_metric("val_*", step_metric="epoch")
        return last

    def write(self, items: Sequence[Item]) -> None:
        """Add rows; a window and an epoch that end together are one."""
        for item in items:
            is_batch = next(iter(item.values)).startswith(BATCH)
            self._run.log({**item.values, "batches" if is_batch else "epoch": item.step}, step=item.batches)

    def show(self, final: Final, numbers: Item) -> None:
        """Add the final metrics, which are in the summary then, the confusion matrix, and images, as one row."""
        wandb = self._wandb
        rows = [[name, *row] for name, row in zip(final.classes, final.confusion.tolist(), strict=True)]
        images = [wandb.Image(image, caption=text) for image, text in zip(final.images, final.captions, strict=True)]
        pictures = {
            "confusion": wandb.Table(columns=["true", *final.classes], data=rows),
            "confusion matrix": wandb.Image(confusion_picture(final.confusion)),
            "images": images,
        }
        self._run.log({**pictures, **numbers.values, "epoch": numbers.step}, step=numbers.batches)

    def close(self, ending: Ending) -> None:
        """Write what is in memory and how the training ended, and let go of the file."""
        if hasattr(self, "_run"):
            self._run.finish(exit_code=0 if ending == "finished" else 1)


def rows_in(folder: Path, run_id: str) -> Iterator[dict[str, float]]:
    """Yield the numbers of each row that the files of a run have, in the order of time."""
    from wandb.proto.wandb_internal_pb2 import Record

    for file in sorted(folder.glob(f"wandb/*run-*-{run_id}/run-{run_id}.wandb")):
        for data in _records(file.read_bytes()):
            record: Any = Record()
            record.ParseFromString(data)
            if record.HasField("history"):
                items = ((each.key or "/".join(each.nested_key), each.value_json) for each in record.history.item)
                yield {name: number for name, text in items if (number := _number(text)) is not None}


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _records(data: bytes) -> Iterator[bytes]:
    """Yield the records of a log; half a record at its end, of a process that was killed, is none."""
    at, parts = _HEAD, list[bytes]()
    while at + _RECORD_HEAD <= len(data):
        left = _BLOCK - at % _BLOCK
        if left < _RECORD_HEAD:
            at += left
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        part = data[at + _RECORD_HEAD : at + _RECORD_HEAD + length]
        if kind not in (_WHOLE, _FIRST, _MIDDLE, _LAST) or len(part) < length:
            return
        parts.append(part)
        if kind in (_WHOLE, _LAST):
            yield b"".join(parts)
            parts = []
        at += _RECORD_HEAD + length
