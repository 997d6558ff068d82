"""Defaults of data sets whose images are not photographs of a usual size."""

import tomllib
from importlib import resources
from typing import Any

from clfctl.settings.base import Settings
from clfctl.settings.data import DataSettings


def data_defaults() -> dict[str, dict[str, Any]]:
    """Return the settings for which a data set has a default of its own, by the name of the data set."""
    text = (resources.files("clfctl.settings") / "data_defaults.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def changed_by_data() -> frozenset[str]:
    """Return the settings that some data set has a default of its own for."""
    return frozenset(name for defaults in data_defaults().values() for name in defaults)


def is_usual(settings: Settings, *names: str) -> bool:
    """Return whether nobody stated any of these settings: each is its default, or that of the data set."""
    of_data = data_defaults().get(settings.data, {}) if isinstance(settings, DataSettings) else {}
    stated = settings.model_fields_set & {*names}
    return all(name in of_data and of_data[name] == vars(settings)[name] for name in stated)
