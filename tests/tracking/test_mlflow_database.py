"""MLflow's database beside the runs: made whole, or not at all."""

from pathlib import Path

from clfctl.tracking import mlflow_store


def test_half_a_database_of_mlflow_is_made_anew(tmp_path: Path) -> None:
    """Found by a kill in the moment in which MLflow made its tables: no later run could use what was left."""
    made = list[str]()

    def make(uri: str) -> None:
        made.append(uri)
        Path(uri.removeprefix("sqlite:///")).write_text("whole")

    (tmp_path / "mlflow.db.tmp").write_text("half")
    address = mlflow_store._database(tmp_path, make)
    assert address == mlflow_store._database(tmp_path, make) == f"sqlite:///{tmp_path}/mlflow.db"
    assert made == [f"sqlite:///{tmp_path}/mlflow.db.tmp"]
    assert (tmp_path / "mlflow.db").read_text() == "whole"
