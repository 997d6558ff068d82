"""The app in a real browser: pictures dropped and pasted, on a phone and a desktop, light and dark."""

import base64
import contextlib
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.app.running import DROPZONE, IDLE, N_DRAWN, App
from tests.browser import Browser, find_browser

PROGRAM = find_browser()
pytestmark = [pytest.mark.slow, pytest.mark.skipif(PROGRAM is None, reason="no Chromium or Chrome is installed")]
WIDE, NARROW = 1280, 360
BEST = "document.querySelector('.clfctl-answer dt')?.innerText"
N_CHARTS = "document.querySelectorAll('[data-testid=stVegaLiteChart] :is(canvas, svg)').length"
PAGES = {
    "": f"document.querySelector('{DROPZONE}')",
    "runs": f"{N_CHARTS} == 3",
    "schedules": f"{N_CHARTS} == 1",
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert PROGRAM
    with Browser(PROGRAM) as browser:
        yield browser


@pytest.fixture(scope="module")
def app(runs: Path) -> Iterator[App]:
    with App(str(runs)) as app:
        yield app


def open_page(browser: Browser, app: App, name: str, width: int, *, dark: bool = False) -> None:
    browser.go(f"{app.address}/{name}", width, dark=dark)
    browser.wait(PAGES[name])
    browser.wait(IDLE)


def test_a_picture_that_is_dropped_or_pasted_is_named(browser: Browser, app: App, pictures: Path) -> None:
    open_page(browser, app, "", WIDE)
    for color in ("green", "red"):
        browser.drop(pictures / color / "2.jpg", DROPZONE)
        browser.wait(f"{BEST} == {json.dumps(color)}")
        assert browser.value("document.querySelector('.clfctl-answer dd').innerText").endswith(" %")
    content = base64.b64encode((pictures / "blue/2.jpg").read_bytes()).decode()
    browser.value(
        f"""(() => {{
          const bytes = Uint8Array.from(atob("{content}"), each => each.charCodeAt(0));
          const held = new DataTransfer();
          held.items.add(new File([bytes], "image.jpg", {{ type: "image/jpeg" }}));
          document.dispatchEvent(new ClipboardEvent("paste", {{ clipboardData: held, bubbles: true }}));
        }})()"""
    )
    browser.wait(f"{BEST} == 'blue'")
    assert browser.value("document.querySelectorAll('.clfctl-answer').length") == 1


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [NARROW, WIDE])
@pytest.mark.parametrize("name", PAGES)
def test_every_page_fits_and_asks_nobody_else(name: str, width: int, dark: bool, browser: Browser, app: App) -> None:
    open_page(browser, app, name, width, dark=dark)
    assert browser.value("document.documentElement.scrollWidth") <= width
    # The input behind the knob of a slider is seen by readers of the screen alone.
    outside = (
        "[...document.querySelectorAll('[data-testid=stMain] *')]"
        ".filter(each => each.type != 'range' && each.checkVisibility())"
        ".filter(each => each.getBoundingClientRect().right > innerWidth + 1).length"
    )
    browser.wait(f"{outside} == 0")
    others = [each for each in browser.requests if not re.match(rf"{app.address}/|(data|blob|about):", each)]
    assert others == []
    assert [each for each in browser.complaints if "Content Security Policy" in each] == []
    browser.wait(IDLE)
    with Image.open(io.BytesIO(browser.picture(whole=False))) as picture:
        assert (np.asarray(picture.convert("L")).mean() < 110) == dark


def test_a_heat_map_follows_the_answer_and_fits_on_a_phone(browser: Browser, app: App, pictures: Path) -> None:
    open_page(browser, app, "", NARROW)
    browser.drop(pictures / "green/2.jpg", DROPZONE)
    browser.wait(f"{BEST} == 'green'")
    browser.wait(f"{N_DRAWN} == 2")
    browser.wait(IDLE)
    assert browser.value(f"Math.max(...{sides('right')})") <= NARROW
    assert browser.value("document.documentElement.scrollWidth") <= NARROW
    # Vega warns of a chart that is drawn a moment before its data is there.
    assert [each for each in browser.complaints if "Infinite extent" not in each] == []
    # Two models have a map each, and several as one have one; a picture never takes the whole height of a phone.
    choose_first(browser)
    browser.wait(f"{N_DRAWN} == 3")
    browser.wait(IDLE)
    assert browser.value(f"Math.max(...{sides('right')})") <= NARROW
    assert browser.value(f"Math.max(...{sides('height')}) <= innerHeight / 2 + 1")


def choose_first(browser: Browser) -> None:
    """Choose the first of the options; the list closes when the page is drawn again, and is then opened once more."""
    option = "document.querySelector('[role=option]')"
    for _ in range(3):
        browser.press("document.querySelector('[data-testid=stMultiSelect] input')")
        with contextlib.suppress(AssertionError):
            browser.wait(option, patience_s=10)
            break
    browser.press(option)


def sides(side: str) -> str:
    """That side of each picture on the page, in JavaScript."""
    pictures = "[...document.querySelectorAll('[data-testid=stImage] img')]"
    return f"{pictures}.map(each => each.getBoundingClientRect().{side})"


def test_a_map_is_as_large_as_its_picture(browser: Browser, app: App, tmp_path: Path) -> None:
    for size in ((48, 40), (1600, 900), (300, 1200), (700, 200)):
        draw = np.random.default_rng(0)
        Image.fromarray(draw.integers(0, 255, (size[1], size[0], 3), np.uint8)).save(tmp_path / "x.png")
        open_page(browser, app, "", WIDE)
        browser.drop(tmp_path / "x.png", DROPZONE)
        browser.wait(f"{N_DRAWN} == 2")
        browser.wait(IDLE)
        for side in ("width", "height"):
            picture, heat = browser.value(sides(side))
            assert abs(picture - heat) <= 12, (size, side, picture, heat)


def test_what_a_camera_sees_is_named(browser: Browser, app: App) -> None:
    open_page(browser, app, "", WIDE)
    browser.press("[...document.querySelectorAll('button')].find(each => each.innerText.includes('Camera'))")
    browser.wait("document.querySelector('[data-testid=stCameraInput] video')?.readyState >= 2")
    browser.wait(IDLE)
    # Not by the mouse: the button moves as long as the camera's picture finds its size.
    browser.value("document.querySelector('[data-testid=stCameraInputButton]').click()")
    browser.wait(BEST)
    assert browser.value(BEST) in ("red", "green", "blue")


def test_a_report_is_shown_and_can_run_nothing(browser: Browser, app: App, runs: Path) -> None:
    report = next((runs / "two/eval").glob("*/report.html"))
    before = report.read_bytes()
    attack = b"<script>top.document.title = document.title = 'taken'</script><img src=http://192.0.2.1/x.png></body>"
    report.write_bytes(before.replace(b"</body>", attack).replace(b"Content-Security-Policy", b"none"))
    try:
        open_page(browser, app, "runs", WIDE)
        browser.wait("document.querySelector('iframe')")
        browser.wait(IDLE)
        assert browser.value("document.title") != "taken"
        assert not [each for each in browser.requests if "192.0.2.1" in each]
        refused = [each for each in browser.complaints if "sandbox" in each or "Content Security Policy" in each]
        assert refused  # it was shown, and was not let
    finally:
        report.write_bytes(before)


def test_ctrl_c_ends_it_although_someone_looks(runs: Path, browser: Browser) -> None:
    with App(str(runs)) as app:
        browser.go(f"{app.address}/", WIDE)
        browser.wait(PAGES[""])
        app.end()
    assert app.code == 0
    assert app.said == ""
    browser.ask("Page.navigate", url="about:blank")
