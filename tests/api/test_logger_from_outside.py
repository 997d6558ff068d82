"""A logger of one's own: one class, in one file, that needs nothing of clfctl but `Watcher`."""

from pathlib import Path

import pytest

import clfctl


class CsvLog(clfctl.Watcher):
    """Writes steps and epochs as a tracker would."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.steps: list[float] = []

    def start(self, training: clfctl.Training) -> None:
        self.path.write_text(f"# {training.run.path.name}\n")

    def step(self, steps: clfctl.Steps) -> None:
        self.steps += steps.losses

    def epoch(self, result: clfctl.EpochResult) -> None:
        with self.path.open("a") as file:
            file.write(f"{result.epoch},{result.lr},{result.metrics['train_loss']},{len(self.steps)}\n")


@pytest.mark.slow
def test_a_logger_is_one_class(tmp_path: Path) -> None:
    log = CsvLog(tmp_path / "log.csv")
    trained = clfctl.train(
        data="digits", val_split=0.8, batch_size=100, epochs=2, export=False, run_name="logged", watchers=[log]
    )
    lines = log.path.read_text().splitlines()
    assert lines[0] == "# logged"
    assert lines[1:] == [
        f"{each.epoch},{each.lr},{each.metrics['train_loss']},{4 * each.epoch}" for each in trained.history
    ]
    assert len(log.steps) == 8
