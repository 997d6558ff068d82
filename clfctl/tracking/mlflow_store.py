"""MLflow: a SQLite file beside the runs, or what MLFLOW_TRACKING_URI says, through its own client."""

import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from clfctl.storage.files import move_file, write_text
from clfctl.storage.lock import locked_in_turn
from clfctl.tracking.backend import TRACK, Ending, Final, Item, Subject
from clfctl.tracking.picture import confusion_picture

EXPERIMENT, DATABASE, ARTIFACTS = "clfctl", "mlflow.db", "mlflow-artifacts"
RUN_ID = "mlflow-run.txt"
STATUS: Mapping[Ending, str] = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}
# As many as a call of its REST interface takes.
_MOST, _LONGEST = 1000, 500


def _database(root: Path, make: Callable[[str], object]) -> str:
    """Return the address of the database beside the runs, which `make` makes under another name if there is none.

    MLflow makes its tables one by one: what a kill leaves of them, or two that make them at once, no run could use.
    """
    database = root / DATABASE
    if not database.exists():
        with locked_in_turn(root / f"{DATABASE}.lock", lambda _: None):
            if not database.exists():
                new = root / f"{DATABASE}.tmp"
                new.unlink(missing_ok=True)
                make(f"sqlite:///{new}")
                move_file(new, database)
    return f"sqlite:///{database}"


class MlflowStore:
    """One run of the experiment `clfctl`; its id is kept in the run's folder, so that it goes on there."""

    _is_open = False

    def open(self, subject: Subject) -> Mapping[str, int]:
        """Find the run, or make it; note the settings that it has no value of."""
        os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient

        for name in ("mlflow", "mlflow.store.db.utils", "alembic"):
            logging.getLogger(name).setLevel(logging.ERROR)  # its import sets the level

        root = subject.run.path.resolve().parent
        uri = os.environ.get("MLFLOW_TRACKING_URI") or _database(root, MlflowClient)
        self._client: Any = MlflowClient(uri)
        file = subject.run.path / TRACK / RUN_ID
        file.parent.mkdir(exist_ok=True)
        self._id = file.read_text(encoding="utf-8").strip() if file.is_file() else ""
        last: dict[str, int] = {}
        try:
            found = self._client.get_run(self._id) if self._id else None
        except MlflowException:  # of another store, or removed there
            found = None
        if found is None:
            experiment = self._experiment((root / ARTIFACTS).as_uri() if uri.startswith("sqlite") else None)
            found = self._client.create_run(experiment, run_name=subject.run.path.name)
            self._id = found.info.run_id
            write_text(file, self._id + "\n")
        else:
            self._client.update_run(self._id, status="RUNNING")
            for name in found.data.metrics:
                last[name] = max(each.step for each in self._client.get_metric_history(self._id, name))
        self._note_settings(subject, found.data.params)
        self._is_open = True
        return last

    def _experiment(self, artifacts: str | None) -> str:
        found = self._client.get_experiment_by_name(EXPERIMENT)
        if found is None:
            try:
                return str(self._client.create_experiment(EXPERIMENT, artifact_location=artifacts))
            except Exception:  # another training made it in the meantime
                found = self._client.get_experiment_by_name(EXPERIMENT)
                if found is None:
                    raise
        return str(found.experiment_id)

    def _note_settings(self, subject: Subject, known: Mapping[str, str]) -> None:
        """Write parameters, which can be written once; what a resume changed becomes a tag."""
        from mlflow.entities import Param, RunTag

        texts = {name: str(value)[:_LONGEST] for name, value in subject.settings.items()}
        params = [Param(name, text) for name, text in texts.items() if name not in known]
        changed = [RunTag(f"changed.{name}", text) for name, text in texts.items() if known.get(name, text) != text]
        for start in range(0, len(params), 100):
            self._client.log_batch(self._id, params=params[start : start + 100])
        if changed:
            self._client.log_batch(self._id, tags=changed)

    def write(self, items: Sequence[Item]) -> None:
        """Add metrics."""
        from mlflow.entities import Metric

        now_ms = int(time.time() * 1000)
        metrics = [Metric(name, value, now_ms, item.step) for item in items for name, value in item.values.items()]
        for start in range(0, len(metrics), _MOST):
            self._client.log_batch(self._id, metrics=metrics[start : start + _MOST])

    def show(self, final: Final, numbers: Item) -> None:
        """Add the confusion matrix and images, in the place of earlier ones, and the final metrics."""
        table = {"classes": list(final.classes), "confusion": final.confusion.tolist()}
        self._client.log_dict(self._id, table, "confusion.json")
        self._client.log_image(self._id, confusion_picture(final.confusion), "confusion.png")
        for number, (image, caption) in enumerate(zip(final.images, final.captions, strict=True)):
            self._client.log_image(self._id, image, f"images/{number:02}.png")
            self._client.log_text(self._id, caption + "\n", f"images/{number:02}.txt")
        self.write([numbers])

    def close(self, ending: Ending) -> None:
        """Say what became of the training; whoever goes on sets the run to running again."""
        if self._is_open:
            self._client.set_terminated(self._id, STATUS[ending])
