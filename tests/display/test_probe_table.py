"""What a probe found, at any width: columns are left out, nothing is cut or wrapped."""

import io
from types import SimpleNamespace
from typing import cast

import pytest
from rich.console import Console

from clfctl.display.probe_table import LEFT_OUT, TITLES, cells, print_table
from clfctl.evaluation.intervals import interval
from clfctl.probing.found import Probed


def probed(name: str) -> Probed:
    known = {"n_parameters": 3_383_818, "features_per_s": None, "neighbours": 0.6, "seconds": 12.4, "loss": 1.2}
    found = SimpleNamespace(model=name, image_size=64, top1=0.67, top1_interval=interval(67, 100), **known)
    return cast(Probed, found)


@pytest.mark.parametrize("name", ["resnet18", "tf_efficientnet_lite0", "vit_small_patch14_reg4_dinov2"])
@pytest.mark.parametrize("width", [70, 80, 100, 200])
def test_it_fits_and_cuts_nothing(width: int, name: str) -> None:
    console = Console(width=width, file=io.StringIO())
    print_table([probed(name)], console)
    header, _, row = console.file.getvalue().splitlines()  # type: ignore[attr-defined]  # a StringIO
    left_out = [title for title in LEFT_OUT if title not in header]
    assert left_out == list(LEFT_OUT[: len(left_out)])
    assert header.split() == " ".join(title for title in TITLES if title not in left_out).split()
    texts = [text for title, text in zip(TITLES, cells(probed(name)), strict=True) if title not in left_out]
    assert row.split() == " ".join(texts).split()
    assert max(len(header), len(row)) <= width
    assert not left_out or width < 100 or len(name) > 21
