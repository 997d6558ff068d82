"""windows.jsonl and the checkpoint hold the same windows; a preview of a run decides by them what training did."""

import dataclasses
import json
import math
from pathlib import Path

import pytest

from clfctl.engine.progress import Progress
from clfctl.engine.run_files import WindowsFile
from clfctl.engine.watching import Training
from clfctl.errors import Interrupted
from clfctl.planning.plan import make_plan
from clfctl.runs.folder import RunFolder
from clfctl.runs.windows import as_record, from_record, recorded_windows
from clfctl.schedules.recorded import Window
from clfctl.settings.groups import PlanSettings, TrainSettings
from tests.engine.test_exact_resume import QUICK, Watch, trainer_of

FIRST = [Window(0.0, 0.5, 5, 1.25, 0.5, -0.25, 0.1), Window(0.5, 1.0, 5, 1.0, math.nan)]


def test_windows_are_written_when_an_epoch_ends_and_at_the_end(tmp_path: Path) -> None:
    run, windows = RunFolder(tmp_path), FIRST[:1]
    watcher = WindowsFile()
    watcher.start(Training(run, make_plan(PlanSettings()), (), Progress(), windows=windows))
    assert list(map(from_record, map(as_record, windows))) == windows
    windows.append(FIRST[1])
    assert len(recorded_windows(run)) == 1
    watcher.end(None)
    assert repr(recorded_windows(run)) == repr(tuple(FIRST))  # NaN equals nothing
    # A run that goes on from an earlier checkpoint leaves out what came after.
    WindowsFile().start(Training(run, make_plan(PlanSettings()), (), Progress(), windows=FIRST[:1]))
    assert recorded_windows(run) == tuple(FIRST[:1])


def test_what_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert recorded_windows(run) == ()
    for odd in ('{"start": 0.0, "end": "soon"}', json.dumps(as_record(FIRST[0]) | {"batches": "inf"}), "{"):
        run.windows.write_text(f"{odd}\n")
        assert recorded_windows(run) == ()


@pytest.mark.slow
def test_a_checkpoint_has_them_and_a_preview_replays_what_was_decided() -> None:
    warmup = {"warmup": "auto:stable(min=1b, max=8b, window=1b, tolerance=0.9)", "scheduler": "cosine(every=batch)"}
    settings = TrainSettings.model_validate(QUICK | warmup)
    trainer = trainer_of(settings)
    watch = Watch(trainer, stop_after=7)
    with pytest.raises(Interrupted):
        list(trainer.epochs())
    saved = recorded_windows(trainer.saver.run)
    assert saved == tuple(trainer.state.cursor.windows)
    assert saved[-1].end == 2.0  # where training is stopped no window ends
    recorded = dataclasses.replace(trainer.metrics(), windows=saved)
    assert [trainer.plan.lr(i // 3 + i % 3 / 3, recorded) for i in range(7)] == watch.rates
