"""The heat map below an answer, in Streamlit's own tester."""

import inspect
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest
from torch import nn

import clfctl
from clfctl.app import heat, server
from clfctl.app.models import Opened
from clfctl.app.place import Place, hold
from clfctl.cli.reporting import spelled
from clfctl.explaining.explanation import Explanation
from clfctl.inference.open import open_predictor
from clfctl.inference.torch_predictor import TorchPredictor
from clfctl.inference.trained import load_trained
from clfctl.inference.uploads import Limits, open_sent_model
from clfctl.runs.folder import RunFolder

pytestmark = [
    pytest.mark.slow,
    # Streamlit's own, of the libraries that it uses.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]
PATIENCE_S = 60


def shown_for(source: Path, picture: Path) -> AppTest:
    """The page of a model, to which a picture was given."""
    hold(Place(source, Limits(), spelled))
    page = AppTest.from_file(server.SCRIPT, default_timeout=PATIENCE_S).run()
    page.file_uploader(key="picture").set_value((picture.name, picture.read_bytes(), "image/jpeg")).run()
    assert not page.exception
    return page


def pictures_on(page: AppTest) -> list[str]:
    """The addresses of the pictures on a page, which are digests of what is in them: the one asked about, and maps."""
    return [each.value[0] for each in page.image]


def said(page: AppTest) -> str:
    return " ".join(each.value for each in page.caption).replace("\\", "")


def map_of(model: Opened, picture: Path, class_name: str = "green", method: str = "gradcam") -> Explanation:
    found: Explanation = inspect.unwrap(heat.heat_of)(0, "", class_name, method, model, picture.read_bytes(), Limits())
    return found


def test_the_map_is_of_the_class_answered_until_another_is_chosen(
    runs: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = shown_for(runs, pictures / "green/3.jpg")
    (model,) = page.multiselect(key="models").value
    assert model == "two"  # ONNX Runtime answers; its checkpoint is looked into
    (chosen,) = [each for each in page.selectbox if each.label == "What speaks for"]
    assert chosen.value == "green"
    assert "speaks for green (" in said(page)
    before = pictures_on(page)
    assert len(before) == 2
    chosen.set_value("red").run()
    assert "speaks for red (" in said(page)
    page.selectbox(key="heat.method.0").set_value("eigencam").run()
    assert pictures_on(page)[0] == before[0]
    page.selectbox(key="heat.method.0").set_value("gradcam").run()

    def fail(*_: object) -> Explanation:
        raise AssertionError("it is computed again")

    monkeypatch.setattr(heat, "_looked", fail)
    with_map = pictures_on(page)[1]
    page.slider(key="heat.opacity.0").set_value(10).run()
    assert pictures_on(page)[1] != with_map
    assert "No heat map" not in said(page)
    page.toggle(key="heat.0").set_value(False).run()
    assert len(pictures_on(page)) == 1


def test_two_models_have_a_map_each(runs: Path, pictures: Path) -> None:
    page = shown_for(runs, pictures / "red/3.jpg")
    page.multiselect(key="models").set_value(["two", "one"]).run()
    assert not page.exception
    assert len(pictures_on(page)) == 3
    assert [each.value for each in page.selectbox if each.label == "What speaks for"] == ["red", "red"]


def test_the_folder_of_an_ensemble_has_a_map(runs: Path, pictures: Path, tmp_path: Path) -> None:
    both = [runs / "one", runs / "two"]
    made = clfctl.ensemble(both, run_name="both", runs_dir=tmp_path, export=False)
    page = shown_for(made.folder, pictures / "blue/3.jpg")
    assert len(pictures_on(page)) == 2
    assert "speaks for blue (" in said(page)
    found = map_of(Opened(open_predictor(made.folder, 1, print), 0.0, path=made.folder), pictures / "blue/3.jpg")
    (wanted,) = clfctl.explain(both, pictures / "blue/3.jpg", class_name="green")
    np.testing.assert_allclose(found.map(), wanted.map(), atol=1e-6)


def test_an_onnx_file_is_said_to_have_none(runs: Path, pictures: Path) -> None:
    page = shown_for(runs / "two/model.onnx", pictures / "blue/3.jpg")
    assert "No heat map: an .onnx file only answers; choose the run or the checkpoint" in said(page)
    assert len(pictures_on(page)) == 1
    assert not [each for each in page.selectbox if each.label == "What speaks for"]


def test_a_checkpoint_that_is_sent_has_the_map_of_its_run(runs: Path, pictures: Path) -> None:
    content = (runs / "one/checkpoints/best.safetensors").read_bytes()
    sent = Opened(open_sent_model(content, "x.safetensors", Limits(), 1), 0.0)
    found = map_of(sent, pictures / "green/2.jpg", "red", "layercam")
    assert not found.error
    (wanted,) = clfctl.explain(runs / "one", pictures / "green/2.jpg", class_name="red", method="layercam")
    np.testing.assert_array_equal(found.map(), wanted.map())


def test_a_network_without_a_map_is_said_to_have_none(runs: Path, pictures: Path) -> None:
    trained = load_trained(RunFolder(runs / "one"))
    flat = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, len(trained.info.classes)))
    found = map_of(Opened(TorchPredictor(replace(trained, model=flat)), 0.0), pictures / "green/2.jpg")
    assert "has no layer that is a map over the image" in found.error


def test_what_is_sent_and_sees_millions_of_pixels_has_none(
    runs: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heat, "MOST_SEEN", 31 * 32)
    predictor = open_predictor(runs / "one", 1, print)
    assert "takes too much memory" in map_of(Opened(predictor, 0.0), pictures / "green/2.jpg").error
    assert not map_of(Opened(predictor, 0.0, path=runs / "one"), pictures / "green/2.jpg").error
