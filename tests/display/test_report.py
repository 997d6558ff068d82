"""The report in a real browser: on a phone and on a desktop, light and dark, without script and without network."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clfctl.display.report import render_report
from clfctl.runs.history import EpochResult
from tests.browser import Browser, find_browser
from tests.display.test_eval_display import HOSTILE, evaluation_of

PROGRAM = find_browser()
needs_browser = pytest.mark.skipif(PROGRAM is None, reason="no Chromium or Chrome is installed")
HISTORY = [
    EpochResult(
        epoch=i + 1,
        lr_start=1e-3,
        lr=1e-3 / (i + 1),
        metrics={"train_loss": 2.0 / (i + 1), "val_loss": 2.2 / (i + 1), "val_top1": 1 - 0.8 / (i + 1)},
        is_best=i > 3,
        images_per_s=100.0,
        time_s=3.0,
    )
    for i in range(8)
]
WIDE, NARROW = 1280, 360
EVERYTHING = "[...document.querySelectorAll('main *:not(svg *)')]"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert PROGRAM
    with Browser(PROGRAM) as browser:
        yield browser


def written(folder: Path, classes: list[str], n: int, side: int = 40) -> Path:
    """A report with invented answers and pictures of noise."""
    evaluation = evaluation_of(n, classes)
    pictures = np.random.default_rng(0).integers(0, 256, (len(evaluation.mistakes), side, side, 3), np.uint8)
    path = folder / "report.html"
    path.write_bytes(b"".join(render_report(evaluation, pictures, HISTORY)))
    return path


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report whose classes have the longest names that a folder can have, and markup."""
    longest = ["x" * 250, "a very long name of many words " * 8]
    return written(tmp_path_factory.mktemp("report"), [*HOSTILE, *longest, *(f"class {i}" for i in range(35))], 400)


@pytest.mark.slow
@needs_browser
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_it_fits_is_whole_and_asks_nobody(width: int, dark: bool, report: Path, browser: Browser) -> None:
    browser.show(report, width, dark=dark)
    assert browser.value("document.documentElement.scrollWidth") <= width
    assert browser.value("document.scrollingElement.scrollHeight") > 1000
    assert browser.value("document.images.length") == 24
    assert browser.value("[...document.images].every(each => each.complete && each.naturalWidth > 0)")
    assert [each for each in browser.requests if not each.startswith("data:")] == [report.resolve().as_uri()]
    assert browser.complaints == []
    assert browser.value("document.querySelectorAll('svg').length") == 5
    # Nothing hangs out of what holds it, hidden by a browser that cuts it off.
    outside = (
        "[...document.querySelectorAll('main *:not(svg *)')].filter(e => e.getBoundingClientRect().right > innerWidth)"
    )
    assert browser.value(f"{outside}.length") == 0
    with Image.open(__import__("io").BytesIO(browser.picture(whole=False))) as picture:
        brightness = np.asarray(picture.convert("L")).mean()
    assert (brightness < 90) == dark


@pytest.mark.slow
@needs_browser
def test_text_is_of_good_contrast_and_size(report: Path, browser: Browser) -> None:
    """At least 4.5 to 1 (WCAG AA) against the page, and 12 pixels."""
    for dark in (False, True):
        browser.show(report, NARROW, dark=dark)
        assert browser.value(CONTRAST) >= 4.5
        sizes = f"{EVERYTHING}.map(each => parseFloat(getComputedStyle(each).fontSize))"
        assert browser.value(f"Math.min(...{sizes})") >= 12


CONTRAST = """
(() => {
  const light = text => {
    const [r, g, b] = text.match(/[\\d.]+/g).map(Number).map(v => v / 255)
      .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = e => {
    for (; e; e = e.parentElement) {
      const color = getComputedStyle(e).backgroundColor;
      if (color != 'rgba(0, 0, 0, 0)') return light(color);
    }
  };
  return Math.min(...[...document.querySelectorAll('main *:not(svg *)')].filter(e => e.innerText).map(e => {
    const [a, b] = [light(getComputedStyle(e).color), ground(e)].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
  }));
})()
"""


@pytest.mark.slow
@needs_browser
def test_without_script_it_shows_the_same(report: Path, browser: Browser) -> None:
    browser.show(report, WIDE)
    with_script = browser.picture()
    browser.show(report, WIDE, script=False)
    assert browser.picture() == with_script


@pytest.mark.slow
@needs_browser
def test_names_are_text_and_no_markup(report: Path, browser: Browser) -> None:
    browser.show(report, WIDE)
    text = browser.value("document.body.textContent")
    for name in HOSTILE:
        assert name in text
    assert "3 images of <b>dragons</b>." in text
    assert browser.value("document.querySelectorAll('script').length") == 0
    assert browser.value("document.querySelector('.notes b')") is None
    assert HOSTILE[0] in browser.value("document.images[0].alt + [...document.images].map(each => each.alt).join()")


@pytest.mark.slow
@needs_browser
def test_two_classes_and_a_thousand(tmp_path: Path, browser: Browser) -> None:
    for classes in (["cat", "dog"], [f"n{i:08d}" for i in range(1000)]):
        path = written(tmp_path, classes, 3 * len(classes) + 40, side=224)
        browser.show(path, NARROW)
        assert browser.value("document.documentElement.scrollWidth") <= NARROW
        rows = browser.value("document.querySelectorAll('details tr, .settings tr').length")
        assert rows == (7 if len(classes) == 2 else 7 + 1 + 970)


def test_markup_in_the_file_is_escaped_everywhere(report: Path) -> None:
    """Also where no browser is."""
    text = report.read_text(encoding="utf-8")
    assert "<script" not in text
    assert "alert(1)" in text
    assert "49" not in text[text.index("{{ 7 * 7") : text.index("{{ 7 * 7") + 9]
    assert "http://" not in text.replace("http://www.w3.org/", "").replace("http://purl.org/", "")
    assert "https://" not in text


def test_a_run_without_history_and_without_mistakes_has_a_report() -> None:
    evaluation = evaluation_of(2, ["a", "b"], seed=3)
    assert not evaluation.mistakes
    text = b"".join(render_report(evaluation, None, [])).decode()
    assert "no finished epoch" in text
    assert "every answer is right" in text
