"""The app as a process of its own, for a browser to look at."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

PATIENCE_S = 60
DROPZONE = ".st-key-picture [data-testid=stFileUploaderDropzone]"
# Streamlit shows that it computes; what is of a run before is faint.
IDLE = "!document.querySelector('[data-testid=stStatusWidget], [data-stale=true]')"
# The picture that was dropped, and a heat map for each model.
N_DRAWN = "[...document.querySelectorAll('[data-testid=stImage] img')].filter(each => each.complete).length"
ADDRESS = re.compile(r"http://\S+")


class App:
    """`clfctl app` on a free port, with its `address`; ended by Ctrl-C, after which `code` is its exit code."""

    def __init__(self, *words: str) -> None:
        command = [sys.executable, "-m", "clfctl", "app", *words, "--port", "0"]
        root = Path(__file__).parents[2]
        environment = os.environ | {"PYTHONPATH": str(root), "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr
        self.first = self.process.stderr.readline()
        found = ADDRESS.search(self.first)
        assert found, self.first + self.process.stderr.read()
        self.address = found[0]
        self.said = ""
        self.code: int | None = None

    def __enter__(self) -> Self:
        return self

    def end(self, number: int = signal.SIGINT) -> None:
        """Send a signal, and wait until the app has ended."""
        if self.code is None:
            self.process.send_signal(number)
            _, self.said = self.process.communicate(timeout=PATIENCE_S)
            self.code = self.process.returncode

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self.end()
        finally:
            self.process.kill()
