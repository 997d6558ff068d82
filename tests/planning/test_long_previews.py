"""Previews of trainings of any length: memory does not grow with the epochs, and what is too much is refused."""

import resource
import subprocess
import sys
from collections.abc import Callable
from itertools import islice

import pytest
from typer.testing import Result

from clfctl.schedules import Chain, Cosine, Step, sample_curve
from clfctl.schedules.sampling import MAX_POINTS

# Two lists of a number for each of ten million epochs would not fit.
MOST_BYTES = 700_000_000
MANY = "10000000"


def start(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "clfctl", "lr-preview", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES)),
    )


LONG = [
    ("cosine", "--epochs", MANY),
    ("cosine", "step(1000):5000 > linear", "--epochs", MANY),
    ("plateau", "--epochs", "300000"),
    ("plateau", "--epochs", "300000", "--early-stopping", "9", "--cooldown", "3", "--warmup", "2.5"),
    ("step:10 > plateau", "--epochs", "200000", "--monitor", "val_top1"),
]


@pytest.mark.slow
@pytest.mark.parametrize("words", LONG)
def test_a_curve_is_drawn_from_some_of_its_epochs(words: tuple[str, ...]) -> None:
    process = start(*words)
    stdout, stderr = process.communicate(timeout=200)
    assert process.returncode == 0, stderr
    last = stdout.splitlines()[-1].split()[0]
    assert last.rpartition("–")[2] == words[words.index("--epochs") + 1]


@pytest.mark.parametrize("style", ["table", "csv", "json"])
@pytest.mark.parametrize("more", [("cosine",), ("plateau",), ("wsd", "--steps-per-epoch", "1000000000")])
def test_a_table_is_written_as_it_is_made(style: str, more: tuple[str, ...]) -> None:
    if style == "table":
        more = more[:1]
    with start(*more, "--epochs", MANY, "--format", style) as process:
        assert process.stdout
        lines = [*islice(process.stdout, 30000)]
        process.kill()
    assert len(lines) == 30000
    assert lines[-1].strip()


TOO_LONG = "the plan has more than 10,000,000 epochs"
REFUSED = [
    (("cosine", "--epochs", "100000000"), "--epochs: '100000000' (from the command line) is not allowed; it must be a"),
    (("cosine:100000000",), TOO_LONG),
    (("cosine(t_max=1e300)",), TOO_LONG),
    (("step:1e308 > cosine:1e308",), TOO_LONG),
    (("step", "--warmup", "1e9", "--no-warmup-inside", "--epochs", "9"), TOO_LONG),
    (
        ("step", "--warmup", "1e308%", "--no-warmup-inside", "--epochs", "9999"),
        TOO_LONG,
    ),
    (("cosine-restarts(cycles=1000000000)",), "cycles of cosine-restarts cannot be 1000000000"),
    (
        ("cosine-restarts(cycles=900, t_mult=9)",),
        "900 cosines, each 9 times as long as the one before, do not fit",
    ),
    (("cosine-restarts(t_0=1e-300)",), "t_0 of cosine-restarts is 1e-300; it must be at least"),
]


@pytest.mark.parametrize(("words", "message"), REFUSED)
def test_what_no_training_has_is_refused(words: tuple[str, ...], message: str, cli: Callable[..., Result]) -> None:
    result = cli("lr-preview", *words)
    assert message in result.stderr
    assert result.exit_code == 2


def test_long_curves_keep_their_seams() -> None:
    epochs = 1_000_000
    chain = Chain(((Step(10), 123_456), (Cosine(1000), 77), (Step(10), None)))
    times = [t for t, _ in sample_curve(chain, 1.0, epochs)]
    assert len(times) < 2 * MAX_POINTS
    assert {123_455, 123_456, 123_532, 123_533, epochs - 1, epochs} <= set(times)
    assert times == sorted(times)
