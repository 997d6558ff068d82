"""Make the documents' pictures and parameter tables again: `make docs`."""

import contextlib
import re
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from clfctl.schedules import KINDS
from tests.app.running import DROPZONE, IDLE, N_DRAWN, App
from tests.browser import Browser, find_browser
from tests.docs.documents import DOCUMENTS, GUIDE, PICTURES, ROOT, TABLE_HEAD, commands, parameter_table
from tests.docs.workspace import invoke, make_workspace, train_x

FOUND = "docs/images/lr-find.svg"
REPORT = "docs/images/eval/report.png"
EXPLAINED = "docs/images/explain/grid.png"
APP = "docs/images/app"
DIGIT = 7  # of scikit-learn's


def write_tables() -> None:
    """Put the parameters of each kind into its section of the guide."""
    text = GUIDE.read_text(encoding="utf-8")
    for name, kind in KINDS.items():
        table = re.compile(rf"(^### {name}\n(?:(?!^##).*\n)*?){re.escape(TABLE_HEAD)}(?:\|.*\n)*", re.MULTILINE)
        found = table.search(text)
        if not found:
            sys.exit(f"{GUIDE}: the section of {name} has no parameter table")
        text = text[: found.start()] + found[1] + parameter_table(kind) + text[found.end() :]
    GUIDE.write_text(text, encoding="utf-8")


def write_pictures() -> None:
    """Run every command that makes a picture, and put the pictures into docs/."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(make_workspace(Path(folder))):
        train_x()
        for command in (each for document in DOCUMENTS for each in commands(document) if each.picture):
            result = invoke(command.words)
            if result.exit_code:
                sys.exit(f"{command}\n{result.output}")
        for old in (ROOT / PICTURES).glob("*.svg"):
            old.unlink()
        shutil.copytree(PICTURES, ROOT / PICTURES, dirs_exist_ok=True)


def write_report_picture() -> None:
    """Look at a real report in a browser, and put what is seen into docs/; nothing where there is no browser."""
    program = find_browser()
    if not program:
        print("no Chromium or Chrome: the picture of the report stays as it is", file=sys.stderr)
        return
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for words in (("train", "--epochs", "2", "--run-name", "digits"), ("eval", "runs/digits")):
            result = invoke(words)
            if result.exit_code:
                sys.exit(f"{words}\n{result.output}")
        with Browser(program) as browser:
            browser.show(Path("runs/digits/eval/val-best/report.html"), 1000)
            picture = browser.picture(whole=False)
    (ROOT / REPORT).parent.mkdir(exist_ok=True)
    (ROOT / REPORT).write_bytes(picture)


def write_find_picture() -> None:
    """Make a real range test again; its losses are those of this machine, so that no test compares the picture."""
    command = next(each for each in commands(GUIDE) if FOUND in each.words)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        Path(FOUND).parent.mkdir(parents=True)
        result = invoke(command.words)
        if result.exit_code:
            sys.exit(f"{command}\n{result.output}")
        shutil.copy(FOUND, ROOT / FOUND)


def write_explained_picture() -> None:
    """Explain digits with a network of a short real training, and put the grid into docs/."""
    digits = load_digits()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for n in range(12):
            Image.fromarray(np.round(digits.images[n] * 255 / 16).astype(np.uint8)).save(f"digit-{n}.png")
        images = [f"digit-{n}.png" for n in range(12)]
        small = ("--model", "resnet9_small", "--image-size", "32", "--max-per-class", "80", "--no-export")
        train = ("train", *small, "--batch-size", "16", "--lr", "3e-3", "--epochs", "1", "--run-name", "digits")
        for words in (train, ("explain", "runs/digits", *images, "--method", "layercam", "--output", "maps")):
            result = invoke(words)
            if result.exit_code:
                sys.exit(f"{words}\n{result.output}")
        (ROOT / EXPLAINED).parent.mkdir(exist_ok=True)
        shutil.copy("maps/grid.png", ROOT / EXPLAINED)


def write_app_pictures() -> None:
    """Show a digit to two real models in the app, in a browser, and put what is seen into docs/; so the schedules."""
    program = find_browser()
    if not program:
        print("no Chromium or Chrome: the pictures of the app stay as they are", file=sys.stderr)
        return
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        common = ("train", "--epochs", "3", "--max-per-class", "60", "--batch-size", "16", "--lr", "1e-3")
        for words in (
            (*common, "--run-name", "custom"),
            (*common, "--run-name", "resnet9", "--model", "resnet9_small"),
        ):
            result = invoke(words)
            if result.exit_code:
                sys.exit(f"{words}\n{result.output}")
        pixels = np.round(load_digits().images[DIGIT] * 255 / 16).astype(np.uint8)
        Image.fromarray(pixels).save("seven.png")
        with App("runs") as app, Browser(program) as browser:
            browser.go(f"{app.address}/", 1280, height=1115)
            browser.wait(f"document.querySelector('{DROPZONE}')")
            browser.drop(Path("seven.png"), DROPZONE)
            browser.wait("document.querySelector('.clfctl-answer')")
            browser.press("document.querySelector('[data-testid=stMultiSelect] input')")
            browser.press("document.querySelector('[role=option]')")
            browser.wait("document.querySelectorAll('.clfctl-answer').length == 2")
            browser.press("document.querySelector('[data-testid=stMain] h3')")  # the list of models closes
            browser.wait(f"{N_DRAWN} == 3")
            browser.wait(IDLE)
            look = browser.picture(whole=False)
            browser.go(f"{app.address}/schedules", 1280, height=1018)
            browser.wait("document.querySelector('[data-testid=stVegaLiteChart] :is(canvas, svg)')")
            browser.wait(IDLE)
            schedules = browser.picture(whole=False)
    (ROOT / APP).mkdir(exist_ok=True)
    (ROOT / APP / "look.png").write_bytes(look)
    (ROOT / APP / "schedules.png").write_bytes(schedules)


if __name__ == "__main__":
    write_tables()
    write_pictures()
    write_find_picture()
    write_report_picture()
    write_explained_picture()
    write_app_pictures()
