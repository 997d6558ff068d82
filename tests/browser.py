"""A real browser without a window, driven through a pipe by the protocol that Chromium's own tools speak."""

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# No sandbox: it needs rights that containers lack, and the only page it shows is our own.
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--mute-audio",
    "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",  # a camera that shows a test picture
    "--disable-extensions", "--disable-background-networking", "--disable-component-update", "--hide-scrollbars",
    "--remote-debugging-pipe",
)  # fmt: skip
PATIENCE_S = 60


def find_browser() -> str | None:
    """Return the program of a Chromium or Chrome that is installed."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Browser:
    """One page; `requests` are the addresses that it asked for, `complaints` what it wrote to its console."""

    def __init__(self, program: str) -> None:
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        import fcntl  # not on Windows

        # The browser reads commands from descriptor 3 and answers on 4: high numbers here, so that none is in the way.
        pipes = (*os.pipe(), *os.pipe())
        read, self.commands, self.answers, write = (fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, 100) for each in pipes)
        for each in pipes:
            os.close(each)
        command = [program, *FLAGS, f"--user-data-dir={self.profile.name}", "about:blank"]
        shell = 'exec 3<&"$0" 4>&"$1"; shift; exec "$@"'
        self.process = subprocess.Popen(
            ["bash", "-c", shell, str(read), str(write), *command],
            pass_fds=(read, write),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(read)
        os.close(write)
        self.number, self.rest, self.session = 0, b"", ""
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.is_loaded = False

    def __enter__(self) -> Self:
        page = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.ask(f"{domain}.enable")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            os.close(self.commands)  # it ends when nobody is left to command it
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.answers)
        self.profile.cleanup()

    def ask(self, method: str, **values: Any) -> dict[str, Any]:
        """Give a command and return its result; what happens meanwhile is noted."""
        self.number += 1
        message: dict[str, Any] = {"id": self.number, "method": method, "params": values}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        for answer in self._messages():
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result
        raise AssertionError(f"the browser ended before it answered {method}")

    def show(self, file: Path, width: int, *, dark: bool = False, script: bool = True) -> None:
        """Load a file in a window of that many pixels, and wait until everything in it is loaded."""
        self.go(file.resolve().as_uri(), width, dark=dark, script=script)

    def go(self, address: str, width: int, *, height: int = 800, dark: bool = False, script: bool = True) -> None:
        """As `show`, for any address."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.ask("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])
        self.ask("Emulation.setScriptExecutionDisabled", value=not script)
        self.requests.clear()
        self.complaints.clear()
        self.is_loaded = False
        self.ask("Page.navigate", url=address)
        while not self.is_loaded:
            next(self._messages())

    def value(self, expression: str) -> Any:
        """Return the value of a JavaScript expression in the page."""
        return self.ask("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def wait(self, expression: str, patience_s: float = PATIENCE_S) -> None:
        """Wait until a JavaScript expression has a value that counts as true."""
        end = time.monotonic() + patience_s
        while time.monotonic() < end:
            if self.value(f"!!({expression})"):
                return
            time.sleep(0.1)
        raise AssertionError(
            f"{expression} did not become true; the page says:\n{self.value('document.body.innerText')}"
        )

    def press(self, element: str) -> None:
        """Press the mouse on an element, given as a JavaScript expression, when it is there and rests."""
        self.wait(element)
        self.value(f"{element}.scrollIntoView({{ block: 'center' }})")
        before = None
        while (place := self._middle(element)) != before:
            before = place
            time.sleep(0.1)
        x, y = place
        for kind in ("mousePressed", "mouseReleased"):
            self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def _middle(self, element: str) -> list[float]:
        return list(self.value(f"(r => [r.x + r.width / 2, r.y + r.height / 2])({element}.getBoundingClientRect())"))

    def drop(self, file: Path, selector: str) -> None:
        """Drop a file on an element, as a hand does."""
        x, y = self._middle(f"document.querySelector({json.dumps(selector)})")
        data = {"items": [], "files": [str(file.resolve())], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.ask("Input.dispatchDragEvent", type=kind, x=x, y=y, data=data)

    def picture(self, *, whole: bool = True) -> bytes:
        """Return the page as PNG."""
        shot = self.ask("Page.captureScreenshot", captureBeyondViewport=whole)
        return base64.b64decode(shot["data"])

    def _messages(self) -> Iterator[dict[str, Any]]:
        while True:
            while b"\0" not in self.rest:
                ready, _, _ = select.select([self.answers], [], [], PATIENCE_S)
                assert ready, "the browser does not answer"
                piece = os.read(self.answers, 1 << 16)
                if not piece:
                    return
                self.rest += piece
            text, _, self.rest = self.rest.partition(b"\0")
            message = json.loads(text)
            self._note(message.get("method", ""), message.get("params", {}))
            yield message

    def _note(self, event: str, values: dict[str, Any]) -> None:
        match event:
            case "Page.loadEventFired":
                self.is_loaded = True
            case "Network.requestWillBeSent":
                self.requests.append(values["request"]["url"])
            case "Runtime.consoleAPICalled" | "Runtime.exceptionThrown" | "Log.entryAdded":
                self.complaints.append(json.dumps(values))
