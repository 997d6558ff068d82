"""What resume may change of a run, by its settings and its help; and images whose names are odd."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import Result

from clfctl.data.sources.fingerprint import compare, read_listing
from clfctl.errors import UsageError
from clfctl.planning.changes import change_settings
from clfctl.runs.folder import RunFolder
from clfctl.settings.groups import TrainSettings
from tests.conftest import SMALL, make_photos

Cli = Callable[..., Result]


def test_a_parameter_of_another_schedule_is_refused_and_a_new_schedule_drops_the_old_ones() -> None:
    saved = TrainSettings.model_validate({"scheduler": "cosine", "t_max": 9})
    settings, changes = change_settings(saved, {"scheduler": "step", "step_size": 2})
    values = settings.model_dump()
    assert (values["t_max"], values["step_size"]) == (None, 2)
    assert {change.name for change in changes} == {"scheduler", "step_size", "t_max"}
    with pytest.raises(UsageError, match="step_size: 2"):
        change_settings(saved, {"step_size": 2})


def test_options_that_cannot_change_are_not_in_the_help(cli: Cli) -> None:
    text = cli("resume", "--help").stdout
    assert "--epochs" in text
    assert "--allow-data-change" in text
    assert "--model" not in text
    assert "--recipe" not in text


def test_listing_holds_odd_names(tmp_path: Path, cli: Cli) -> None:
    photos = make_photos(tmp_path)
    for name in ("a\tb.jpg", "c\nd.jpg", "é ü.jpg", b"\xff\xfe.jpg".decode("utf-8", "surrogateescape")):
        Image.new("RGB", (40, 40)).save(photos / "red" / name)
    result = cli("train", "--data", str(photos), *SMALL, "--epochs", "1", "--run-name", "odd")
    assert result.exit_code == 0, result.output
    listing = read_listing(RunFolder(Path("runs/odd")).data)
    assert len(listing.sizes) == 28
    assert not compare(listing, listing)
    assert "nothing left to train" in cli("resume", "runs/odd").stderr
