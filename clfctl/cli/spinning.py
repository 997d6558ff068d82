"""How long the threads of torch's matrix library spin before they sleep: long where nobody else wants their cores."""

import os
from contextlib import suppress
from pathlib import Path

VARIABLE = "GOMP_SPINCOUNT"
SHORT = "1000"
# Processes that computed in the last minute, and those that may do so now without being in anybody's way.
QUIET_LOAD, N_OWN = 0.5, 1
PROCESSES = Path("/proc")


def spin_where_quiet() -> None:
    """Have threads sleep soon, unless the user says otherwise or nothing else is running on this machine.

    libgomp's threads spin for 300,000 rounds while they wait. A small network is trained 13 to 40 % faster that way, a
    large one 4 %, but two trainings on two cores then share half of what one does. Read when torch is imported.
    """
    if VARIABLE not in os.environ and not is_quiet():
        os.environ[VARIABLE] = SHORT


def is_quiet(processes: Path = PROCESSES) -> bool:
    """Return whether this process is the only one that computes, now and for a minute; False if that is not known."""
    try:
        load = float((processes / "loadavg").read_text(encoding="ascii").split()[0])
        if load > QUIET_LOAD:
            return False
        return sum(_runs(each) for each in processes.iterdir() if each.name.isdecimal()) <= N_OWN
    except (OSError, ValueError, IndexError):  # macOS and Windows have no such files, and another OpenMP
        return False


def _runs(process: Path) -> bool:
    """Return whether a process computes at this moment."""
    with suppress(OSError, IndexError):  # it has ended meanwhile
        # Its name stands in parentheses, and may have some of its own; the state follows.
        return (process / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0] == "R"
    return False
