"""Runs as one: predicted, measured, kept in a folder, exported; each the same as its members say."""

import json
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import Result

import clfctl
from clfctl.cli import completion
from clfctl.comparing import origins
from clfctl.ensembles import make
from clfctl.inference.combining import combine
from clfctl.inference.open import open_predictor
from clfctl.runs.ensemble import EnsembleFolder, model_from, read_ensemble
from clfctl.serving.current import what_answers
from tests.ensembles.conftest import digit, trained
from tests.ensembles.records import members, record, some_digits

Cli = Callable[..., Result]
Pair = tuple[Path, Path]


@pytest.fixture
def images() -> Path:
    """Six digits as files."""
    folder = Path("images")
    folder.mkdir()
    for n in range(6):
        digit(n).save(folder / f"{n}.png")
    return folder


def test_several_runs_predict_as_one(pair: Pair, images: Path, cli: Cli) -> None:
    pictures = [digit(n) for n in range(6)]
    alone = []
    for path in pair:
        predictor = open_predictor(path, 1, print)
        alone.append(predictor.probabilities([predictor.look(each) for each in pictures]))
    for rule in ("mean", "vote", "geometric"):
        model = model_from(pair, rule)
        together = open_predictor(model, 1, print)
        found = together.probabilities([together.look(each) for each in pictures])
        assert np.allclose(found, combine(rule, alone), atol=1e-6)
    result = cli("predict", *map(str, pair), str(images), "--ensemble", "geometric", "--json", "--top-k", "1")
    assert result.exit_code == 0, result.output
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [each["class"] for each in lines] == [str(each.argmax()) for each in combine("geometric", alone)]
    assert "geometric mean of 2" in result.stderr
    answers = clfctl.predict(list(pair), pictures, ensemble="geometric", top_k=1)
    assert [each.best for each in answers] == [each["class"] for each in lines]


@pytest.mark.slow
def test_one_that_resizes_by_itself_is_shown_other_pixels(pair: Pair, cli: Cli, tmp_path: Path) -> None:
    """Of two files that see an image alike by their cards one makes that of the whole picture, in either order."""
    prepared, whole = tmp_path / "prepared.onnx", tmp_path / "whole.onnx"
    for file, words in ((prepared, ()), (whole, ("--bake-preprocessing",))):
        result = cli("export", str(pair[0]), "--output", str(file), *words)
        assert result.exit_code == 0, result.output
    pictures = [digit(n) for n in range(3)]
    alone = open_predictor(prepared, 1, print)
    expected = alone.probabilities([alone.look(each) for each in pictures])
    for paths in ((prepared, whole), (whole, prepared)):
        together = open_predictor(model_from(paths, "mean"), 1, print)
        for n, each in enumerate(pictures):
            assert np.allclose(together.probabilities([together.look(each)])[0], expected[n], atol=0.02)


def test_stopped_while_it_is_exported_the_ensemble_is_there_and_said(
    pair: Pair, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(make, "_export", stop)
    result = cli("ensemble", *map(str, pair), "--runs-dir", str(tmp_path), "--run-name", "e")
    assert result.exit_code == 143
    assert f"{tmp_path}/e is whole, without model.onnx; clfctl export {tmp_path}/e writes it" in result.stderr
    assert len(read_ensemble(tmp_path / "e").members) == 2


def test_a_member_of_a_long_name_is_kept(pair: Pair, cli: Cli, tmp_path: Path) -> None:
    long = shutil.copytree(pair[1], tmp_path / ("x" * 250))
    words = ("--runs-dir", str(tmp_path), "--run-name", "e", "--no-export")
    result = cli("ensemble", str(pair[0]), str(long), *words)
    assert result.exit_code == 0, result.output
    assert len(read_ensemble(tmp_path / "e").members) == 2


def test_an_evaluation_has_each_member_beside_the_whole(pair: Pair, cli: Cli) -> None:
    whole = record(cli, "eval", *map(str, pair), "--ensemble", "mean")
    for each, run in zip(members(whole), pair, strict=True):
        alone = record(cli, "eval", str(run))
        assert (each["top1"], each["loss"], each["ece"]) == (alone["top1"], alone["loss"], alone["ece"])
        n, difference = float(str(whole["n_images"])), float(str(whole["top1"])) - float(str(alone["top1"]))
        assert each["difference"] == pytest.approx(difference)
        assert each["only_whole"] - each["only_member"] == pytest.approx(difference * n)
        assert each["p"] <= each["p_holm"] <= 1
        assert each["weight"] == 0.5
    folder = Path(str(whole["folder"]))
    assert folder == pair[0].parent / "ensembles/one-two-mean-val"
    assert "The members alone" in (folder / "report.html").read_text()
    assert json.loads((folder / "metrics.json").read_text())["rule"] == "mean"


def test_weights_are_judged_on_what_they_were_not_fitted_on(pair: Pair, cli: Cli) -> None:
    own = record(cli, "eval", *map(str, pair), "--ensemble", "weighted")
    fitted = own["fitted"]
    assert isinstance(fitted, dict)
    assert own["loss"] == pytest.approx(fitted["loss"], rel=1e-5)
    assert fitted["n_images"] == own["n_images"]
    assert [each["weight"] for each in members(own)] == fitted["weights"]
    assert "weights fitted on the other 4 of 5 folds" in str(own["notes"])
    # Other images are answered with the weights of all validation images, and not one of them is fitted on.
    other = record(cli, "eval", *map(str, pair), "--ensemble", "weighted", "--data", str(some_digits()))
    assert other["fitted"] == fitted
    assert other["n_images"] == 40
    assert "none of those that are measured here" in str(other["notes"])


def test_the_folder_of_an_ensemble_is_a_model_of_its_own(pair: Pair, images: Path, cli: Cli, tmp_path: Path) -> None:
    copies = [shutil.copytree(run, tmp_path / "runs" / run.name) for run in pair]
    made = record(cli, "ensemble", *map(str, copies), "--run-name", "e", "--ensemble", "weighted", "--no-export")
    folder = tmp_path / "runs/e"
    assert made["folder"] == str(folder)
    kept = read_ensemble(folder)
    assert kept.rule == "weighted"
    assert sum(kept.weights) == pytest.approx(1)
    assert record(cli, "runs", str(folder))["members"] == made["members"]
    assert "e  ensemble  weighted mean of one" in cli("runs", str(folder.parent)).output
    assert record(cli, "eval", str(folder))["rule"] == "weighted mean"
    expected = clfctl.predict(folder, images)
    for run in copies:
        shutil.rmtree(run)
    assert clfctl.predict(folder, images) == expected
    assert record(cli, "eval", str(folder), "--data", str(some_digits()))["n_images"] == 40
    assert cli("resume", str(folder)).exit_code == 2


def test_weights_are_fitted_on_images_of_the_runs_alone(pair: Pair, cli: Cli) -> None:
    """`eval` would take others for images that the weights have not seen."""
    words = ("ensemble", *map(str, pair), "--runs-dir", "runs", "-n", "e", "--ensemble", "weighted", "--no-export")
    result = cli(*words, "--data", str(some_digits()))
    assert result.exit_code == 2
    assert "--data: some has not the images of any of these runs" in result.stderr
    assert not Path("runs/e").exists()


def test_a_member_that_knows_images_through_another_run_is_named(
    pair: Pair, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here the second says that it began with the weights of a third, which held out other images."""
    third, real = Path("third"), origins._trained

    def trained_as(path: Path) -> origins._Trained | None:
        found = real(pair[0] / "checkpoints/last.safetensors" if path == third else path)
        assert found
        new = {"seed": 5} if path == third else {"start_from": third} if pair[1] in path.parents else {}
        return replace(found, settings=found.settings.model_copy(update=new))

    monkeypatch.setattr(origins, "_trained", trained_as)
    said = "Warning: two began with the weights of third, which holds out other images of digits"
    assert said in str(record(cli, "eval", *map(str, pair))["notes"])
    words = ("ensemble", *map(str, pair), "--runs-dir", "runs", "-n", "e", "--ensemble", "weighted", "--no-export")
    assert said in cli(*words).stderr
    assert said not in str(record(cli, "eval", *map(str, pair), "--data", str(some_digits()))["notes"])


def test_tab_offers_ensembles(pair: Pair, cli: Cli) -> None:
    assert cli("ensemble", *map(str, pair), "--runs-dir", "runs", "-n", "e", "--no-export").exit_code == 0
    assert completion.measurable("runs/") == ["runs/e"]
    assert completion.runs("runs/") == ["runs/e/"]
    assert "runs/e" in completion.trained("runs/")


def test_ensembles_are_compared_with_runs(pair: Pair, cli: Cli) -> None:
    assert cli("ensemble", *map(str, pair), "--runs-dir", "runs", "-n", "e", "--no-export").exit_code == 0
    found = record(cli, "compare", "runs/e", str(pair[0]), "-o", "c")
    runs = found["runs"]
    assert isinstance(runs, list)
    assert runs[0]["model"] == "mean of one, two"
    assert runs[0]["parameters"] > 1.9 * runs[1]["parameters"]
    assert runs[0]["top1"] == record(cli, "eval", "runs/e")["top1"]


def test_a_damaged_ensemble_is_said(pair: Pair, cli: Cli) -> None:
    assert cli("ensemble", *map(str, pair), "--runs-dir", "runs", "-n", "e", "--no-export").exit_code == 0
    digit(0).save("x.png")
    Path("runs/e/members/two.safetensors").unlink()
    result = cli("predict", "runs/e", "x.png")
    assert result.exit_code == 1
    assert "lacks the checkpoint of one of its members" in result.stderr
    for text in ("", "{}", '{"format": 1, "rule": "sum", "members": []}', '{"format": 9}'):
        Path("runs/e/ensemble.json").write_text(text)
        with pytest.raises(clfctl.CheckpointError):
            read_ensemble(Path("runs/e"))
    assert "broken ensemble" in cli("runs", "runs").output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("eval", "{one}", "{one}"), "is named twice"),
        (("eval", "{one}", "--ensemble", "mean"), "--ensemble: one model, {one}, is no ensemble"),
        (("eval", "{one}", "{two}", "--checkpoint", "x"), "--checkpoint: 'x' is not best or last"),
        (("ensemble", "{one}"), "1 model for an ensemble; it must be 2 to 26"),
        (("ensemble", "{one}", "{two}", "--device", "bogus"), "--device: 'bogus' is not available"),
        (("ensemble", "{one}", "{two}", "--runs-dir", "{one}/config.toml"), "{one}/config.toml is not a folder"),
        (("ensemble", "{one}", "nowhere"), "nowhere is not a run folder"),
        (("compare", "{one}", "x.onnx"), "--runs: x.onnx can only be asked: runs and checkpoints are compared"),
        (("ensemble", "{one}", "{two}", "--run-name", "one"), "--run-name: {one} exists already"),
        (("ensemble", "{one}", "{two}", "--ensemble", "sum"), "--ensemble: 'sum' (from the command line) is not"),
        (("predict", "{one}", "{two}"), "there is no image to look at"),
        (("predict", "{one}", "{two}", "x.png", "--ensemble", "weighted"), "--ensemble: runs that are named have no"),
        (("predict", "{one}", "x.png", "--ensemble", "vote"), "--ensemble: one model, {one}, is no ensemble"),
        (("export", "{one}", "{two}"), "--output: several runs have no folder of their own"),
    ],
)
def test_wrong_usage_is_one_sentence(words: tuple[str, ...], message: str, pair: Pair, cli: Cli) -> None:
    names = {"one": str(pair[0]), "two": str(pair[1])}
    Path("x.onnx").write_bytes(b"")
    result = cli(*(word.format(**names) for word in words))
    assert result.exit_code == 2
    assert message.format(**names) in result.stderr
    assert result.stdout == ""


def test_a_run_without_its_checkpoint_is_said(pair: Pair, cli: Cli, tmp_path: Path) -> None:
    copy = shutil.copytree(pair[1], tmp_path / "copy")
    shutil.rmtree(copy / "checkpoints")
    for words in (("ensemble", str(pair[0]), str(copy)), ("eval", str(pair[0]), str(copy))):
        result = cli(*words)
        assert result.exit_code == 1
        assert "last.safetensors" in result.stderr


def test_a_name_that_another_process_takes_meanwhile_is_passed_over_or_said(
    pair: Pair, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, runs, taken = make._write, tmp_path / "runs", ["e", "ensemble-1", "ensemble-2"]

    def late(folder: EnsembleFolder, **values: Any) -> None:
        if folder.path.name in taken:
            (folder.path / "theirs").mkdir(parents=True)
        write(folder, **values)

    monkeypatch.setattr(make, "_write", late)
    words = ("ensemble", *map(str, pair), "--runs-dir", str(runs), "--no-export")
    refused = cli(*words, "--run-name", "e")
    assert refused.exit_code == 2
    assert f"--run-name: {runs / 'e'} exists already" in refused.stderr
    assert cli(*words).exit_code == 0
    assert sorted(each.name for each in runs.iterdir()) == [*taken, "ensemble-3"]
    assert [each.name for name in taken for each in (runs / name).iterdir()] == ["theirs"] * 3


@pytest.mark.slow
def test_members_whose_images_or_classes_differ_are_said(pair: Pair, cli: Cli, tmp_path: Path) -> None:
    other = trained(tmp_path, "other", "--data", "digits", "--image-size", "8", "--seed", "5")
    result = cli("eval", str(pair[0]), str(other))
    # Another seed holds other images out: what both hold out is few, or nothing.
    assert "are held out by every run" in result.stderr or "No image is held out" in result.output
    some, letters = some_digits(), Path("letters")
    for n in range(40):
        path = letters / "ab"[n % 2] / f"{n}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        digit(n).save(path)
    a, b = (trained(tmp_path, each.name, "--data", str(each), "--image-size", "8") for each in (some, letters))
    result = cli("ensemble", str(a), str(b))
    assert result.exit_code == 2
    assert "some, letters cannot answer as one: they have no class in common" in result.stderr
    result = cli("eval", str(pair[0]), str(a))
    assert result.exit_code == 1
    assert "the runs were trained on different data" in result.stderr
    result = cli("ensemble", str(pair[0]), str(a), "--ensemble", "weighted")
    assert result.exit_code == 1
    assert "take equal weights: --ensemble mean" in result.stderr
    assert "--data" not in result.stderr


def _is_served(folder: Path) -> None:
    """Check that a server exports an ensemble where that is needed, and then opens the export."""
    onnx, said = EnsembleFolder(folder).onnx, list[str]()
    assert what_answers(folder, said.append) == onnx
    assert not said
    onnx.unlink()
    assert what_answers(folder, said.append) == onnx
    assert len(said) == 1
    assert said[0].startswith("Exported")
    # What cannot be exported is answered by the members, and that is told.
    onnx.unlink()
    onnx.mkdir()
    assert what_answers(folder, said.append) == folder
    assert "torch answers instead" in said[-1]
    onnx.rmdir()
    what_answers(folder, said.append)


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["mean", "vote", "weighted", "geometric"])
def test_an_export_is_the_whole_in_one_file(rule: str, pair: Pair, images: Path, cli: Cli) -> None:
    made = record(cli, "ensemble", *map(str, pair), "--runs-dir", "runs", "-n", "e", "--ensemble", rule)
    exported = made["exported"]
    assert isinstance(exported, dict)
    assert exported["difference"] < 1e-4
    predictor = open_predictor(Path("runs/e"), 1, pytest.fail)
    assert predictor.title.endswith("model.onnx, ONNX Runtime")
    assert len(predictor.info.views) == 2
    kept = replace(read_ensemble(Path("runs/e")), folder=None)
    by_torch = open_predictor(kept, 1, print)
    pictures = [digit(n) for n in range(6)]
    ours, theirs = (each.probabilities([each.look(one) for one in pictures]) for each in (predictor, by_torch))
    # Pillow resizes for ONNX Runtime and torch for torch: one level of 255.
    assert np.abs(ours - theirs).max() < 0.02
    result = cli("predict", "runs/e", str(images))
    assert "ONNX Runtime" in result.stderr
    if rule == "mean":
        _is_served(Path("runs/e"))
    shutil.copy("runs/e/model.onnx", "whole.onnx")
    assert cli("predict", "whole.onnx", str(images)).exit_code == 0
    if rule == "mean":
        baked = record(cli, "export", "runs/e", "--bake-preprocessing", "--output", "baked.onnx")["whole"]
        assert isinstance(baked, dict)
        assert (baked["images"], baked["n_images"]) == ("the data and of scikit-learn", 40)
