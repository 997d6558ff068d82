"""Memory that a step frees is there for the next one."""

import os
import platform
import subprocess
import sys

import pytest

from clfctl.cli.allocator import OF_THE_USER

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's allocator is told")
# Page faults of ten rounds that each fill and free three blocks of 30 MB.
ROUNDS = """
import resource, sys
import numpy as np
from clfctl.cli.allocator import keep_freed_memory
is_kept = keep_freed_memory() if sys.argv[1] == "kept" else False
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    blocks = [np.ones(30 << 20, np.uint8) for _ in range(3)]
    del blocks
print(is_kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def rounds(how: str, **environment: str) -> tuple[bool, int]:
    plain = {name: value for name, value in os.environ.items() if name not in OF_THE_USER}
    done = subprocess.run(
        [sys.executable, "-c", ROUNDS, how], env=plain | environment, capture_output=True, text=True, check=True
    )
    is_kept, n_faults = done.stdout.split()
    return is_kept == "True", int(n_faults)


def test_pages_are_paid_for_once() -> None:
    (is_kept, n_kept), (_, n_usual) = rounds("kept"), rounds("usual")
    assert is_kept
    assert n_kept < n_usual / 3


def test_what_the_user_has_set_stays() -> None:
    assert not rounds("kept", MALLOC_TRIM_THRESHOLD_="131072")[0]
