"""A model of every family of timm is trained on one batch, in a process of its own: none takes it down."""

import re

import pytest

from tests.models.families import DOCUMENT, FAMILIES, in_a_process


def documented() -> dict[str, str]:
    """Return what docs/models.md says of each family: `yes`, why it does not train, or that it was not run."""
    rows = re.findall(r"^\| (\w+) \| `(\w+)` \|.*\| ([^|]+) \|$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    return {family: trains for family, model, trains in rows if FAMILIES[family] == model}


def test_the_table_is_of_these_models() -> None:
    assert documented().keys() == FAMILIES.keys()


@pytest.mark.by_hand
@pytest.mark.parametrize("family", FAMILIES)
def test_it_trains_as_the_table_says(family: str) -> None:
    error = in_a_process(FAMILIES[family]).get("error", "")
    assert bool(error) == (documented()[family] not in ("yes", "not run")), error


@pytest.mark.by_hand
def test_every_family_of_timm_is_listed() -> None:
    import timm
    from timm.models._registry import _model_to_module

    assert {_model_to_module[name] for name in timm.list_models()} <= FAMILIES.keys()
