"""The pages of the app by what they hold, in Streamlit's own tester: no browser."""

import io
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

import clfctl
from clfctl.app import server
from clfctl.app.answers import share
from clfctl.app.place import Place, hold
from clfctl.cli.reporting import spelled
from clfctl.inference.uploads import Limits
from clfctl.runs.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from clfctl.runs.folder import RunFolder
from clfctl.schedules import KINDS

pytestmark = [
    pytest.mark.slow,
    # Streamlit's own, of the libraries that it uses.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]
PATIENCE_S = 60


@pytest.fixture
def place(runs: Path) -> Place:
    held = Place(runs, Limits(), spelled)
    hold(held)
    return held


def app() -> AppTest:
    return AppTest.from_file(server.SCRIPT, default_timeout=PATIENCE_S).run()


def view(draw: Callable[[], None]) -> AppTest:
    return AppTest.from_function(draw, default_timeout=PATIENCE_S).run()


def runs_page() -> None:
    from clfctl.app.runs_view import runs_view

    runs_view()


def schedules_page() -> None:
    from clfctl.app.schedules_view import schedules_view

    schedules_view()


def sent(content: bytes, name: str = "x.png", kind: str = "image/png") -> tuple[str, bytes, str]:
    return name, content, kind


def of_color(color: tuple[int, int, int], size: tuple[int, int] = (48, 40)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, color).save(file, "png")
    return file.getvalue()


def answers(page: AppTest) -> list[str]:
    """The HTML of the answers on a page."""
    return [each.value for each in page.html if each.value.startswith("<section")]


def best(answer: str) -> str:
    found = re.search("<dt>(.*?)</dt>", answer)
    assert found
    return found[1]


def test_a_picture_is_named_by_one_model_and_by_two(place: Place, pictures: Path) -> None:
    page = app()
    assert not page.exception
    assert [each.split(" · ")[0] for each in page.multiselect(key="models").options] == ["two", "one"]
    assert all(re.fullmatch(r"\w+ · val acc \d+\.\d %", each) for each in page.multiselect(key="models").options)
    assert not answers(page)
    for color in ("red", "green", "blue"):
        picture = (pictures / color / "0.jpg").read_bytes()
        page.file_uploader(key="picture").set_value(sent(picture, "0.jpg", "image/jpeg")).run()
        assert [best(each) for each in answers(page)] == [color]
    page.multiselect(key="models").set_value(["one", "two"]).run()
    assert [best(each) for each in answers(page)] == ["blue", "blue"]
    page.slider(key="top_k").set_value(1).run()
    assert [each.count("<dt>") for each in answers(page)] == [1, 1]
    assert re.search(r"\d+ ms", page.caption[0].value)
    assert not page.exception


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"no image", "is not in an image format"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n", "is not in an image format"),
        (of_color((9, 9, 9), (2000, 2000)), "has 2000 x 2000 pixels"),
        (of_color((9, 9, 9))[:-30], "image file is truncated"),
    ],
)
def test_a_bad_picture_is_said_to_be_bad(content: bytes, why: str, place: Place) -> None:
    hold(Place(place.source, Limits(pixels=3_000_000), spelled))
    page = app()
    page.file_uploader(key="picture").set_value(sent(content)).run()
    assert not page.exception
    assert why in page.error[0].value.replace("\\", "")
    assert not answers(page)


@pytest.mark.parametrize("file", ["one/checkpoints/best.safetensors", "two/model.onnx"])
def test_a_model_that_is_sent_is_asked(file: str, place: Place, pictures: Path) -> None:
    page = app()
    content = (place.source / file).read_bytes()
    page.file_uploader(key="model").set_value(sent(content, "../../evil name" + Path(file).suffix, "")).run()
    (name,) = [each for each in page.multiselect(key="models").options if each.startswith("sent: ")]
    assert " · " not in name
    page.multiselect(key="models").set_value([name])
    picture = (pictures / "green/3.jpg").read_bytes()
    page.file_uploader(key="picture").set_value(sent(picture, "3.jpg", "image/jpeg")).run()
    assert [best(each) for each in answers(page)] == ["green"]
    page.file_uploader(key="model").set_value(sent(content[:-9], "x" + Path(file).suffix, "")).run()
    assert "cannot be used" in page.error[0].value
    assert not page.exception


def test_several_runs_answer_as_one_by_a_rule(place: Place, pictures: Path) -> None:
    picture = pictures / "green/3.jpg"
    page = app()
    assert not [each for each in page.selectbox if each.label == "They answer"]
    page.file_uploader(key="picture").set_value(sent(picture.read_bytes(), "3.jpg", "image/jpeg"))
    page.multiselect(key="models").set_value(["one", "two"]).run()
    (way,) = [each for each in page.selectbox if each.label == "They answer"]
    assert way.options == ["beside each other", "as one: mean", "as one: vote", "as one: geometric mean"]
    assert len(answers(page)) == 2
    for words, rule in (("as one: mean", "mean"), ("as one: geometric mean", "geometric")):
        page.selectbox(key="way").set_value(words).run()
        assert not page.exception
        (answer,) = answers(page)
        expected = clfctl.predict([place.source / "one", place.source / "two"], picture, ensemble=rule)[0]
        assert best(answer) == expected.best == "green"
        assert share(expected.classes[0][1]) in answer
        assert len(page.image) == 2  # the picture, and one map of both


def test_a_run_that_becomes_better_stays_chosen(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    page = app()
    monkeypatch.setattr("clfctl.app.look_view.about", lambda path: f"better {path.name}")
    page.slider(key="top_k").set_value(1).run()
    assert page.multiselect(key="models").value == ["two"]
    before, other = page.multiselect(key="models").options
    assert before.startswith("two · val acc ")
    assert other == "one · better one"


def test_what_cannot_answer_as_one_is_said(place: Place, tmp_path: Path, pictures: Path) -> None:
    source = tmp_path / "runs"
    shutil.copytree(place.source / "one", source / "one")
    shutil.copytree(place.source / "two", source / "two")
    clfctl.ensemble([source / "one", source / "two"], run_name="e", runs_dir=source, export=False)
    hold(Place(source, place.limits, spelled))
    page = app()
    assert "e · mean of 2" in page.multiselect(key="models").options
    page.file_uploader(key="picture").set_value(sent((pictures / "red/3.jpg").read_bytes(), "3.jpg", "image/jpeg"))
    page.multiselect(key="models").set_value(["e", "one"]).run()
    assert len(answers(page)) == 2
    page.selectbox(key="way").set_value("as one: mean").run()
    assert "e is an ensemble, and cannot be a member of one" in page.error[0].value.replace("\\", "")
    assert not answers(page)
    assert not page.info
    # More than two have no place beside each other.
    page.multiselect(key="models").set_value(["e", "one", "two"]).run()
    assert page.selectbox(key="way.of_more").value == "as one: mean"
    page = view(runs_page)
    page.selectbox(key="run").set_value("e").run()
    assert not page.exception
    assert "<dd>mean</dd>" in " ".join(each.value for each in page.html)
    assert "clfctl eval" in page.caption[-1].value.replace("\\", "")


def test_a_report_that_is_too_large_is_not_read(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clfctl.app.runs_view.MOST_REPORT_BYTES", 10)
    real = Path.read_bytes

    def read(path: Path) -> bytes:
        assert path.name != "report.html"
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", read)
    page = view(runs_page)
    assert not page.exception
    assert "It is too large to be shown here" in page.caption[-1].value
    assert not page.download_button


def test_a_run_that_cannot_be_asked_is_said_to_be_so(place: Place, tmp_path: Path, pictures: Path) -> None:
    broken = tmp_path / "broken"
    (broken / "x").mkdir(parents=True)
    (broken / "x/config.toml").write_text("")
    hold(Place(broken, Limits(), spelled))
    page = app()
    assert not page.exception
    assert page.error


def test_the_page_of_runs_has_curves_and_reports(place: Place) -> None:
    page = view(runs_page)
    assert not page.exception
    assert page.selectbox(key="run").options == ["two", "one"]
    assert page.get("iframe")
    assert page.download_button
    assert len(page.get("vega_lite_chart")) + len(page.get("arrow_vega_lite_chart")) == 3
    numbers = next(each.value for each in page.html if "clfctl-numbers" in each.value)
    assert "finished" in numbers
    assert "4 of 4 epochs" in numbers
    page.selectbox(key="run").set_value("one").run()
    assert not page.exception
    assert "clfctl eval " in page.caption[-1].value.replace("\\", "")


def test_of_a_strangers_run_nothing_is_run(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, proof = RunFolder(tmp_path / "theirs/x"), tmp_path / "ran"
    shutil.copytree(place.source / "two", run.path)
    (run.path / "evil.py").write_text(f"open({str(proof)!r}, 'w').close()\n")
    for file in (run.best, run.last):
        saved = load_checkpoint(file)
        settings = {**saved.meta["settings"], "scheduler": "evil:Schedule"}
        save_checkpoint(file, Checkpoint(saved.tensors, saved.meta | {"settings": settings}))
    run.config.write_text(run.config.read_text().replace('scheduler = "', 'scheduler = "evil:Schedule" # "'))
    monkeypatch.chdir(run.path)
    hold(Place(Path(), place.limits, spelled))
    page = view(runs_page)
    assert not page.exception
    assert not proof.exists()
    assert "evil:Schedule is code of whoever made it" in " ".join(each.value.replace("\\", "") for each in page.caption)
    # The rates that were used are drawn without it.
    assert len(page.get("vega_lite_chart")) + len(page.get("arrow_vega_lite_chart")) == 3


def test_every_schedule_is_drawn_and_its_command_is_one(place: Place) -> None:
    page = view(schedules_page)
    for name in KINDS:
        page.multiselect(key="kinds").set_value([name]).run()
        assert not page.exception, name
        assert not page.error, name
        expression = "'step(step_size=5)'" if name == "step" else name
        assert page.code[0].value == f"clfctl train --scheduler {expression} --lr 0.001 --epochs 30"
    page.multiselect(key="kinds").set_value(["step", "cosine"]).run()
    page.select_slider(key="step.step_size").set_value(3)
    page.select_slider(key="lr").set_value(0.01)
    page.slider(key="warmup").set_value(2).run()
    wanted = "clfctl train --scheduler 'step(step_size=3)' --lr 0.01 --epochs 30 --warmup 2"
    assert page.code[0].value == wanted
