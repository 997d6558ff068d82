"""What is recorded of batches: the same windows however a training is cut."""

import math

import pytest
import torch

from clfctl.engine.recording import CHECK_EVERY, Recorder
from clfctl.engine.state import Cursor
from clfctl.engine.watching import Steps

N_BATCHES = 120


def train(recorder: Recorder, until: int, look: float = math.inf, n_images: int = 4) -> None:
    """Go through batches as the trainer does; the loss of batch i is i, its norm 2 i."""
    cursor = recorder.cursor
    while cursor.batch < until:
        cursor.losses[cursor.batch], cursor.norms[cursor.batch] = cursor.batch, 2 * cursor.batch
        cursor.n_images.append(n_images)
        recorder.lrs.append(0.1)
        cursor.batch += 1
        if recorder.is_due(look):
            assert recorder.look(None, ends_window=True) is None


def recorder_of(n_batches: int = N_BATCHES) -> Recorder:
    return Recorder(Cursor(torch.zeros(n_batches)), n_batches)


def test_a_window_ends_where_losses_are_looked_at_anyway() -> None:
    recorder = recorder_of()
    train(recorder, N_BATCHES)
    assert [(each.start, each.end, each.n) for each in recorder.cursor.windows] == [
        (0.0, 50 / 120, CHECK_EVERY), (50 / 120, 100 / 120, CHECK_EVERY), (100 / 120, 1.0, 20),
    ]  # fmt: skip
    assert [each.loss for each in recorder.cursor.windows] == [24.5, 74.5, 109.5]
    assert [each.norm for each in recorder.cursor.windows] == [49, 149, 219]


def test_a_window_ends_where_a_schedule_looks() -> None:
    recorder = recorder_of()
    train(recorder, 40, look=30 / 120)
    assert recorder.cursor.windows[0].end == 30 / 120


@pytest.mark.parametrize("stop", [1, 49, 50, 51, 119, 120])
def test_looking_at_the_losses_when_stopped_ends_none(stop: int) -> None:
    whole, stopped = recorder_of(), recorder_of()
    train(whole, N_BATCHES)
    train(stopped, stop)
    assert stopped.look(None, ends_window=False) is None
    # What a checkpoint has of it.
    cursor = Cursor(stopped.cursor.losses, batch=stop, n_images=stopped.cursor.n_images, windows=stopped.cursor.windows)
    cursor.norms.copy_(stopped.cursor.norms)
    resumed = Recorder(cursor, N_BATCHES)
    train(resumed, N_BATCHES)
    assert cursor.windows == whole.cursor.windows


def test_the_first_batch_without_a_finite_loss_is_named_and_nothing_is_recorded() -> None:
    recorder = recorder_of()
    train(recorder, 10)
    recorder.cursor.losses[7] = math.nan
    assert recorder.look(None, ends_window=True) == 7
    assert recorder.cursor.windows == []


def test_a_batch_without_images_is_no_step() -> None:
    recorder, handed = recorder_of(10), list[Steps]()
    train(recorder, 9)
    recorder.cursor.n_images[4] = 0
    recorder.look(handed.append, ends_window=False)
    train(recorder, 10)
    assert math.isnan(handed[0].losses[4])
    assert recorder.cursor.windows[0].n == 9
    assert recorder.cursor.windows[0].loss == pytest.approx((45 - 4) / 9)


def test_an_epoch_that_begins_anew_loses_its_windows() -> None:
    recorder = recorder_of(60)
    train(recorder, 60)
    recorder.cursor.next_epoch()
    train(recorder, 55)
    kept = recorder.cursor.windows
    assert len(kept) == 3
    recorder.cursor.start_epoch()
    assert recorder.cursor.windows is kept  # a watcher looks at it
    assert [each.end for each in kept] == [50 / 60, 1.0]
