"""The file model.onnx: stale, damaged, cut short, of others or changed by a tool, and who answers instead."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from clfctl.data.pixels.transform import Preprocess
from clfctl.errors import ClfctlError, DamagedError, ModelError
from clfctl.inference.onnx_file import read_onnx, to_metadata, with_checksum
from clfctl.inference.onnx_predictor import load_onnx, start_onnx
from clfctl.models.card import Card
from clfctl.runs.checkpoint import load_checkpoint, save_checkpoint
from clfctl.runs.folder import RunFolder
from clfctl.runs.header import checksum_of
from tests.inference.opinions import NAMES, seen

Cli = Callable[..., Result]


def test_a_stale_export_does_not_answer_for_a_newer_checkpoint(copy: RunFolder, digits: Path, cli: Cli) -> None:
    checkpoint = load_checkpoint(copy.best)
    checkpoint.tensors["model.head.bias"][3] += 100
    save_checkpoint(copy.best, checkpoint)
    result = cli("predict", str(copy.path), str(digits), "--json")
    assert "was made from an older checkpoint; torch answers instead" in result.stderr
    assert f"clfctl export {copy.path} makes it again" in result.stderr
    assert {json.loads(line)["class"] for line in result.stdout.splitlines()} == {"3"}
    # Without any checkpoint it is all there is.
    shutil.rmtree(copy.last.parent)
    result = cli("predict", str(copy.path), str(digits), "--json")
    assert result.exit_code == 0
    assert len({json.loads(line)["class"] for line in result.stdout.splitlines()}) > 5


def test_a_damaged_export_is_found_and_torch_answers(copy: RunFolder, digits: Path, cli: Cli) -> None:
    expected = cli("predict", str(copy.best), str(digits), "--json").stdout
    content = bytearray(copy.onnx.read_bytes())
    content[len(content) // 2] ^= 1
    copy.onnx.write_bytes(content)
    result = cli("predict", str(copy.path), str(digits), "--json")
    assert result.exit_code == 0
    assert "model.onnx is damaged: its checksum does not match its content; torch answers instead" in result.stderr
    assert result.stdout == expected
    result = cli("predict", str(copy.onnx), str(digits))
    assert (result.exit_code, result.stdout) == (1, "")
    assert "is damaged" in result.stderr


def test_every_flipped_bit_is_found_or_changes_nothing(tmp_path: Path) -> None:
    path, draw, model = tmp_path / "x.onnx", random.Random(0), random.Random(1).randbytes(300)
    whole = with_checksum(model)
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        try:
            # Only in the mark of the checksum may a bit go unnoticed: then none of the model is another.
            assert read_onnx(path)[: len(model)] == model
        except DamagedError:
            continue


def test_a_file_that_is_cut_short_is_refused(run: RunFolder, tmp_path: Path) -> None:
    whole, draw, path = run.onnx.read_bytes(), random.Random(0), tmp_path / "x.onnx"
    # The last cuts leave a whole graph, without its metadata or with half of them.
    for n in [
        0,
        1,
        100,
        *(draw.randrange(len(whole)) for _ in range(4)),
        *range(len(whole) - 500, len(whole) - 81, 60),
    ]:
        path.write_bytes(whole[:n])
        with pytest.raises(ClfctlError):
            start_onnx(path, read_onnx(path), 1)


def test_files_of_others_are_refused(tmp_path: Path, run: RunFolder, digits: Path, cli: Cli) -> None:
    import onnx

    model = onnx.load(run.onnx)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "bare.onnx")
    result = cli("predict", str(tmp_path / "bare.onnx"), str(digits))
    assert (result.exit_code, result.stdout) == (1, "")
    assert "bare.onnx was not made by clfctl export" in result.stderr
    (tmp_path / "text.onnx").write_text("no model")
    result = cli("predict", str(tmp_path / "text.onnx"), str(digits))
    assert (result.exit_code, result.stdout) == (1, "")
    assert "text.onnx cannot be read" in result.stderr
    described = json.loads(to_metadata(Card("custom", NAMES, Preprocess(32), ""), "9.0")["clfctl"])
    model.metadata_props.add(key="clfctl", value=json.dumps(described | {"format": 4}))
    onnx.save(model, tmp_path / "newer.onnx")
    with pytest.raises(ModelError, match="written by a newer clfctl"):
        load_onnx(tmp_path / "newer.onnx", 1)


def test_a_tool_may_change_an_export(tmp_path: Path, run: RunFolder) -> None:
    """What such a tool writes has no checksum at its end, and is used all the same."""
    import onnx

    model = onnx.load(run.onnx)
    onnx.checker.check_model(model, full_check=True)
    entry = next(each for each in model.metadata_props if each.key == "clfctl_xxh3")
    assert with_checksum(run.onnx.read_bytes()[: -len(with_checksum(b""))]) == run.onnx.read_bytes()
    model.metadata_props.remove(entry)
    onnx.save(model, tmp_path / "x.onnx")
    one = np.zeros((1, 32, 32, 3), np.uint8)
    changed, own = (load_onnx(path, 1).probabilities(seen(one)) for path in (tmp_path / "x.onnx", run.onnx))
    assert (changed == own).all()


def test_a_run_without_onnx_runtime_is_answered_by_torch(
    copy: RunFolder, digits: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("clfctl.inference.open", "clfctl.inference.onnx_predictor"):
        monkeypatch.setattr(f"{module}.has_runtime", lambda: False)
    result = cli("predict", str(copy.path), str(digits), "--json")
    assert result.exit_code == 0
    assert "pip install 'clfctl[onnx]'" in result.stderr
    result = cli("predict", str(copy.onnx), str(digits))
    assert result.exit_code == 1
    assert "needs ONNX Runtime, which is not installed" in result.stderr


def test_the_checksum_tells_one_checkpoint_from_another(run: RunFolder, tmp_path: Path) -> None:
    checkpoint = load_checkpoint(run.best)
    save_checkpoint(tmp_path / "same.safetensors", checkpoint)
    assert checksum_of(tmp_path / "same.safetensors") == checksum_of(run.best) != checksum_of(run.last)
