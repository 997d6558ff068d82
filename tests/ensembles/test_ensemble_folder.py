"""A folder that says that it is an ensemble leads nowhere else, and is no member of another."""

import json
from pathlib import Path

import pytest

from clfctl.errors import DamagedError, UsageError
from clfctl.runs.ensemble import model_from, read_ensemble


def test_a_strangers_ensemble_leads_nowhere(tmp_path: Path) -> None:
    folder = tmp_path / "e"
    (folder / "members").mkdir(parents=True)
    (tmp_path / "secret.safetensors").write_bytes(b"x")
    listed = [{"name": "a", "checkpoint": f"../../{name}.safetensors", "run": ""} for name in ("secret", "other")]
    (folder / "ensemble.json").write_text(json.dumps({"format": 1, "rule": "mean", "members": listed}))
    with pytest.raises(DamagedError, match=str(folder / "members/secret.safetensors")):
        read_ensemble(folder)


def test_an_ensemble_is_no_member() -> None:
    Path("e").mkdir()
    Path("e/ensemble.json").write_text("{}")
    with pytest.raises(UsageError, match="e is an ensemble, and cannot be a member of one"):
        model_from([Path("a"), Path("e")])
