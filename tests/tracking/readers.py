"""Tracks read back, each by its own library: (step, value) of every number by its name."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

Track = dict[str, list[tuple[int, float]]]


def of_csv(folder: Path, name: str) -> Track:
    with (folder / "track" / name).open() as file:
        rows = list(csv.DictReader(file))
    step = next(iter(rows[0]))
    return {title: [(int(row[step]), float(row[title])) for row in rows if row[title]] for title in rows[0]}


def mlflow_client(folder: Path) -> Any:
    from mlflow.tracking import MlflowClient

    return MlflowClient(f"sqlite:///{folder.parent.resolve() / 'mlflow.db'}")


def mlflow_run(folder: Path) -> Any:
    return mlflow_client(folder).get_run((folder / "track/mlflow-run.txt").read_text().strip())


def of_mlflow(folder: Path) -> Track:
    client, found = mlflow_client(folder), mlflow_run(folder)
    history = {name: client.get_metric_history(found.info.run_id, name) for name in found.data.metrics}
    return {name: sorted((each.step, each.value) for each in values) for name, values in history.items()}


def of_wandb(folder: Path) -> Track:
    from clfctl.tracking.wandb_files import rows_in

    found: Track = {}
    for row in rows_in(folder / "track", (folder / "track/wandb-run.txt").read_text().strip()):
        for name, value in row.items():
            step = row.get("batches" if name.startswith("batch/") else "epoch")
            if step is not None:
                found.setdefault(name, []).append((int(step), value))
    return found


def of_tensorboard(folder: Path) -> Track:
    from clfctl.tracking.tensorboard_files import scalars_in

    return scalars_in(str(folder / "track/tensorboard"))


READERS: dict[str, Callable[[Path], Track]] = {
    "csv": lambda folder: of_csv(folder, "epochs.csv"),
    "tensorboard": of_tensorboard,
    "mlflow": of_mlflow,
    "wandb": of_wandb,
}
