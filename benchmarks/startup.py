"""What `clfctl --help`, a preview and a TAB cost, as ratios to a two-command 'hello' Typer app's --help, in turns.

Beside the preview: the same curve drawn by stepping torch's scheduler. Modules are read from their bytecode, as those
of an installed program are: with PYTHONDONTWRITEBYTECODE set, a checkout would be compiled anew at each start.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HELLO = """
import typer
app = typer.Typer()

@app.command()
def hello(name: str = "you") -> None:
    "Say hello."

@app.command()
def goodbye(name: str = "you") -> None:
    "Say goodbye."

app(prog_name="hello")
"""
TORCH = """
import torch
from clfctl.display.curve import draw_curve
optimizer = torch.optim.SGD([torch.zeros(1)], lr=1e-4)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=50)
points = []
for epoch in range(50):
    points.append((epoch, optimizer.param_groups[0]["lr"]))
    optimizer.step()
    scheduler.step()
print(*draw_curve([points], 80, 15), sep="\\n")
"""
ROUNDS = 11
MAX_HELP, MAX_TAB, MAX_PREVIEW = 1.5, 2.0, 2.0
CLFCTL = [sys.executable, "-m", "clfctl"]
TABS = {
    "commands": "clfctl ",
    "options": "clfctl train --sch",
    "recipes": "clfctl train --recipe ",
    "schedules": "clfctl train --scheduler ",
    "models": "clfctl train --model eff",
}


def measure(commands: dict[str, tuple[list[str], dict[str, str]]]) -> dict[str, float]:
    """Return the median time of each command in seconds; they take turns, so that all see the same machine."""
    times: dict[str, list[float]] = {name: [] for name in commands}
    compiled = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    for _ in range(1 + ROUNDS):
        for name, (command, environment) in commands.items():
            started = time.perf_counter()
            subprocess.run(command, env=compiled | environment, capture_output=True, check=True)
            times[name].append(time.perf_counter() - started)
    # The first round writes the bytecode.
    return {name: statistics.median(each[1:]) for name, each in times.items()}


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        hello = Path(folder, "hello.py")
        hello.write_text(HELLO, encoding="utf-8")
        commands: dict[str, tuple[list[str], dict[str, str]]] = {
            "hello --help": ([sys.executable, str(hello), "--help"], {}),
            "clfctl --help": ([*CLFCTL, "--help"], {}),
            "lr-preview": ([*CLFCTL, "lr-preview", "cosine", "--t-max", "50"], {}),
            "torch, stepped": ([sys.executable, "-c", TORCH], {}),
        }
        for what, line in TABS.items():
            variables = {
                "_CLFCTL_COMPLETE": "complete_bash",
                "COMP_WORDS": line,
                "COMP_CWORD": str(len(line.split(" ")) - 1),
            }
            commands[f"TAB: {what}"] = (CLFCTL, variables)
        medians = measure(commands)
    base, failed = medians["hello --help"], 0
    for name, median in medians.items():
        limit = {"clfctl --help": MAX_HELP, "lr-preview": MAX_PREVIEW, "torch, stepped": None}.get(name, MAX_TAB)
        failed += limit is not None and median / base > limit
        bar = f" (at most {limit})" if limit else ""
        print(f"{name:16} {1000 * median:6.0f} ms   {median / base:5.2f} times hello{bar}")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
