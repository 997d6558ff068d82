"""Processes that train together: whatever happens to one of them happens to all, and nothing is lost."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clfctl.runs.folder import RunFolder
from clfctl.runs.state import state_of
from tests.faults.processes import TINY, assert_same_bits, run, run_together, start_together

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="no fork there")]

MORE = ("--device", "cpu", "--workers", "1", "--epochs", "4")
SLOWLY = "import time, clfctl.engine.step as each; old = each.train_step\n"
SLOWLY += "each.train_step = lambda *a, **k: (time.sleep(0.1), old(*a, **k))[1]"


def words_of(photos: Path, *more: str) -> tuple[str, ...]:
    return ("train", "--data", str(photos), *TINY, *MORE, *more)


@pytest.fixture
def whole(photos: Path) -> RunFolder:
    """Return a run of two processes that nothing happened to."""
    codes, errors = run_together(2, *words_of(photos, "--run-name", "whole"))
    assert codes == [0, 0], errors
    return RunFolder(Path("runs/whole"))


def test_a_signal_to_any_process_stops_all_after_the_same_batch(photos: Path, whole: RunFolder) -> None:
    first, second = start_together(2, *words_of(photos, "--run-name", "stopped"), prepare=SLOWLY)
    first.wait_for('"epoch": 1')
    os.kill(second.pid, signal.SIGTERM)
    assert [first.wait(), second.wait()] == [143, 143], first.err.read_text()
    assert "Stopped by SIGTERM" in first.err.read_text()
    assert not second.err.read_text()
    stopped = RunFolder(Path("runs/stopped"))
    assert state_of(stopped).state == "interrupted"
    codes, errors = run_together(2, "resume", str(stopped.path))
    assert codes == [0, 0], errors
    assert_same_bits(whole, stopped)


def test_torchrun_starts_a_killed_process_anew_and_the_run_goes_on_by_itself(photos: Path) -> None:
    # torchrun gives each process one thread, and another number of threads gives other bits.
    codes, errors = run_together(
        2, *words_of(photos, "--run-name", "whole"), prepare="import torch; torch.set_num_threads(1)"
    )
    assert codes == [0, 0], errors
    words = words_of(photos, "--run-name", "restarted", "--save-every-batches", "1")
    program = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--max-restarts", "1"]
    slowly = "import sys; from clfctl.cli.app import main\n" + SLOWLY + "\nsys.argv[0] = 'clfctl'; main()"
    Path("slowly.py").write_text(slowly, encoding="utf-8")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [*program, "slowly.py", *words], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as launched:
        restarted = RunFolder(Path("runs/restarted"))
        end = time.monotonic() + 120
        while not restarted.rates.is_file():  # an epoch is trained
            assert time.monotonic() < end
            assert launched.poll() is None, launched.communicate()
            time.sleep(0.05)
        time.sleep(0.3)
        second = [pid for pid in _children(launched.pid) if _environment(pid).get("RANK") == "1"]
        os.kill(second[0], signal.SIGKILL)
        out, err = launched.communicate(timeout=240)
    assert launched.returncode == 0, err
    assert out.count('"epoch": 4') == 1
    assert state_of(restarted).state == "finished"
    assert_same_bits(RunFolder(Path("runs/whole")), restarted)


def test_a_process_that_is_killed_ends_the_others_at_once(photos: Path) -> None:
    first, second = start_together(2, *words_of(photos, "--run-name", "r"), prepare=SLOWLY)
    first.wait_for('"epoch": 1')
    os.kill(second.pid, signal.SIGKILL)
    assert first.wait(20) == 1
    assert "another of the 2 processes has ended" in first.err.read_text()
    assert state_of(RunFolder(Path("runs/r"))).state == "failed"


def test_if_the_first_process_is_killed_the_others_say_so(photos: Path) -> None:
    first, *others = start_together(3, *words_of(photos, "--run-name", "r", "--batch-size", "6"), prepare=SLOWLY)
    first.wait_for('"epoch": 1')
    os.kill(first.pid, signal.SIGKILL)
    assert [each.wait(30) for each in others] == [1, 1]
    for rank, each in enumerate(others, 2):
        assert f"Process {rank} of 3: Error: another of the 3 processes has ended" in each.err.read_text()


def test_all_processes_make_the_same_soup_though_the_first_is_still_writing(photos: Path) -> None:
    slow_save = "import time\nfrom clfctl.engine.saving import RunSaver as each\nold = each.save_weights\n"
    slow_save += "each.save_weights = lambda *a, **k: (time.sleep(0.5), old(*a, **k))[1]"
    words = words_of(photos, "--run-name", "r", "--soup", "3", "--lr", "0.001")
    codes, errors = run_together(2, *words, prepare=slow_save)
    assert codes == [0, 0], errors
    record = json.loads(RunFolder(Path("runs/r")).soup.read_text())
    assert len(record["tried"]) == 3
    assert errors[0].count("each tried on the validation images") == 1
    assert not errors[1]


def test_one_image_at_once_with_shared_statistics_does_not_hang(photos: Path) -> None:
    words = words_of(photos, "--run-name", "r", "--sync-batch-norm", "--accumulate", "4", "--epochs", "1")
    codes, errors = run_together(2, *words)
    assert codes in ([0, 0], [2, 2]), errors


def test_what_torch_cannot_do_in_several_processes_is_refused(photos: Path) -> None:
    codes, errors = run_together(2, *words_of(photos, "--static-graph", "--accumulate", "2"))
    assert codes == [2, 2], errors
    assert "torch's static graph loses the gradients of such" in errors[0]
    assert not Path("runs").exists()


def test_one_process_under_torchrun_goes_on_after_a_restart_and_a_later_launch_begins_anew(photos: Path) -> None:
    program = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "1", "--max-restarts", "1"]
    dies = "import os, sys, clfctl.engine.trainer as each; old = each.evaluate\n"
    dies += "first = os.environ['TORCHELASTIC_RESTART_COUNT'] == '0'\n"
    dies += "def die(*a, **k):\n    if first and os.path.exists('runs/one/history.jsonl'): os._exit(9)\n"
    dies += "    return old(*a, **k)\neach.evaluate = die\n"
    dies += "from clfctl.cli.app import main\nsys.argv[0] = 'clfctl'; main()"
    Path("dies.py").write_text(dies, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    words = words_of(photos, "--run-name", "one", "--save-every", "1")
    done = subprocess.run([*program, "dies.py", *words], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert state_of(RunFolder(Path("runs/one"))).state == "finished"
    # Another launch, with the id that torchrun gives to all, is not taken for the first one.
    again = subprocess.run([*program, "dies.py", *words], env=environment, capture_output=True, text=True, check=False)
    assert again.returncode != 0
    assert "runs/one exists already" in again.stderr


def test_a_process_that_waits_for_too_long_says_for_whom(photos: Path) -> None:
    prepare = "import time, clfctl.engine.session as each\neach.build_parts = lambda *given: time.sleep(60)"
    limit = ("--run-name", "r", "--wait-limit", "3s")
    first, second = start_together(2, *words_of(photos, *limit), prepare=prepare, of_rank=0)
    try:
        assert second.wait(30) == 1
        assert "another of the 2 processes has not come for 3s" in second.err.read_text()
        assert "--wait-limit" in second.err.read_text()
    finally:
        first.process.kill()
    assert not Path("runs").exists()


def _children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _environment(pid: int) -> dict[str, str]:
    words = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(word.split("=", 1) for word in words if "=" in word)


def test_what_one_process_cannot_read_ends_all_with_its_reason(photos: Path) -> None:
    prepare = "import clfctl.data.loader as each\ndef fail(*given): raise MemoryError('of one process')\n"
    prepare += "each.see_and_close = fail"
    codes, errors = run_together(2, *words_of(photos, "--run-name", "r"), prepare=prepare, of_rank=1)
    assert codes == [1, 1], errors
    assert "process 2 of 2: reading" in errors[0]
    assert "of one process" in errors[0]
    assert not errors[1]


def test_bad_images_that_one_process_meets_are_known_to_all(photos: Path) -> None:
    bad = sorted(photos.rglob("*.jpg"))[3]
    bad.write_bytes(b"no image")
    codes, errors = run_together(2, *words_of(photos, "--run-name", "r"))
    assert codes == [0, 0], errors
    assert errors[0].count("Bad images skipped: 1") == 1
    assert bad.name in RunFolder(Path("runs/r")).bad_images.read_text()


def test_a_loss_that_is_not_finite_in_one_process_stops_all(photos: Path) -> None:
    prepare = "import clfctl.engine.step as each; old = each.Normalize.__call__\n"
    prepare += "each.Normalize.__call__ = lambda self, images: old(self, images) * float('nan')"
    codes, errors = run_together(2, *words_of(photos, "--run-name", "r"), prepare=prepare, of_rank=1)
    assert codes == [1, 1], errors
    assert "no longer finite" in errors[0]
    assert not errors[1]
    assert RunFolder(Path("runs/r")).bad_batch.is_file()


def test_other_code_and_too_many_processes_are_refused_before_anything_is_made(photos: Path) -> None:
    prepare = "import clfctl.engine.joining as each; each._code = lambda: 'another version'"
    codes, errors = run_together(2, *words_of(photos), prepare=prepare, of_rank=1)
    assert codes == [2, 2], errors
    assert "process 2 of 2 has other code than the first" in errors[0]
    codes, errors = run_together(3, *words_of(photos, "--batch-size", "2"))
    assert codes == [2, 2, 2], errors
    assert "3 processes cannot share batches of 2 images" in errors[0]
    codes, errors = run_together(2, *words_of(photos), prepare="import os; os.environ['CLFCTL_SEED'] = '7'", of_rank=1)
    assert codes == [2, 2], errors
    assert "process 2 of 2 has other images than the first" in errors[0]
    assert not Path("runs").exists()


def test_another_number_of_processes_goes_on_and_says_so(photos: Path) -> None:
    codes, errors = run_together(2, *words_of(photos, "--run-name", "r", "--batch-size", "6"))
    assert codes == [0, 0], errors
    codes, errors = run_together(3, "resume", "runs/r", "--epochs", "5")
    assert codes == [0, 0, 0], errors
    assert "2 processes trained the run until now, and 3 go on" in errors[0]
    code, error = run("resume", "runs/r", "--epochs", "6")
    assert code == 0, error
    assert "3 processes trained the run until now, and 1 goes on" in error
