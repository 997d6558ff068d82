"""The model that answers: tried out before, told apart by its mark, loaded again when its file changes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from clfctl.errors import DamagedError
from clfctl.inference.open import open_predictor
from clfctl.runs.ensemble import Ensemble, EnsembleFolder, Member
from clfctl.serving import current as current_module
from clfctl.serving.current import Current
from tests.serving.colours import COLOURS, colours_model
from tests.serving.conftest import asking, service_of

BAD_MODELS: list[tuple[str, tuple[str, ...], dict[str, Any]]] = [
    ("gives 3 probabilities, and names 2 classes", COLOURS[:2], {}),
    ("gives 3 probabilities, and names 4 classes", (*COLOURS, "none"), {}),
    ("are no probabilities", COLOURS, {"last": "Identity"}),
    ("are no probabilities", COLOURS, {"last": "Reciprocal"}),
    ("cannot be asked", COLOURS, {"last": "Det"}),
]  # fmt: skip


@pytest.mark.parametrize(("reason", "classes", "other"), BAD_MODELS)
def test_a_model_that_does_not_fit_its_card_never_answers(
    reason: str, classes: tuple[str, ...], other: dict[str, Any], tmp_path: Path
) -> None:
    path, said = tmp_path / "model.onnx", list[str]()
    path.write_bytes(colours_model())
    current = Current(path, 1, said.append)
    good = current.loaded
    path.write_bytes(colours_model(classes, **other))
    with pytest.raises(DamagedError, match=reason):
        Current(path, 1, said.append)
    assert [current.refresh() for _ in range(3)] == [None, False, None]
    assert current.loaded is good
    assert reason in said[-1]
    info = replace(good.predictor.info, classes=classes[:1])
    fewer = replace(good.predictor, info=info)  # type: ignore[type-var]  # it is a protocol, and each of its kind has fields
    with pytest.raises(DamagedError, match="it says 2 x 3 numbers, and it names 1 classes"):
        current_module.try_out(path, fewer)


def test_the_mark_is_that_of_what_was_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, new = tmp_path / "model.onnx", tmp_path / "new"
    path.write_bytes(colours_model())
    n_left = 1

    def replaced_meanwhile(*given: Any) -> Any:
        nonlocal n_left
        found = open_predictor(*given)
        if n_left:
            n_left -= 1
            new.write_bytes(colours_model((str(n_left), "gruen", "blau")))
            new.replace(path)
        return found

    monkeypatch.setattr(current_module, "open_predictor", replaced_meanwhile)
    current = Current(path, 1, print)
    assert current.loaded.predictor.info.classes == ("0", "gruen", "blau")
    assert current.loaded.mark == current_module.mark_of(path)
    assert current.refresh() is None
    n_left = 100
    with pytest.raises(DamagedError, match="changes while it is read"):
        Current(path, 1, print)


def test_what_computes_is_told(tmp_path: Path) -> None:
    one, two = tmp_path / "one.onnx", tmp_path / "two.onnx"
    one.write_bytes(colours_model())
    two.write_bytes(colours_model(records={"int8": {}}))

    async def ask(client: httpx.AsyncClient) -> str:
        about: str = (await client.get("/model")).json()["computed_by"]
        return about

    found = [asking(service_of(path), ask) for path in (one, two)]
    assert found == ["ONNX Runtime", "ONNX Runtime, int8"]
    pair = open_predictor(Ensemble((Member(one, "a"), Member(two, "b"))), 1, print)
    assert pair.computed_by == "ONNX Runtime and ONNX Runtime, int8"
    assert pair.title == "a, b, mean of 2, ONNX Runtime and ONNX Runtime, int8"


def test_the_mark_of_an_ensemble_is_that_of_its_members(tmp_path: Path) -> None:
    whole = EnsembleFolder(tmp_path)
    whole.members.mkdir()
    (whole.members / "a.safetensors").write_bytes(b"one")
    whole.file.write_text("{}")
    before = current_module.mark_of(tmp_path), current_module.look_at(tmp_path)
    (whole.eval / "x").mkdir(parents=True)
    (tmp_path / "notes.txt").write_text("not the model's")
    assert (current_module.mark_of(tmp_path), current_module.look_at(tmp_path)) == before
    (whole.members / "a.safetensors").write_bytes(b"two")
    assert current_module.mark_of(tmp_path) != before[0]
    assert current_module.look_at(tmp_path) != before[1]


def test_health_is_503_where_nothing_answers(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(colours_model())
    service = service_of(path)

    async def ask(client: httpx.AsyncClient) -> list[tuple[int, str, str]]:
        async def health() -> tuple[int, str, str]:
            answer = await client.get("/health")
            return answer.status_code, answer.json()["status"], answer.json()["newer_file"]

        found = [await health()]
        path.write_bytes(b"damaged")
        assert [service.current.refresh() for _ in range(2)] == [None, False]
        found.append(await health())
        service.is_stopping = lambda: True
        found.append(await health())
        service.is_stopping = lambda: False
        service.batches.stop()
        assert (await client.head("/health")).status_code == 503
        return [*found, await health()]

    bad = "cannot be loaded"
    assert asking(service, ask) == [
        (200, "ok", ""),
        (200, "ok", bad),
        (503, "stopping", bad),
        (503, "nothing computes", bad),
    ]


def test_a_changed_file_is_loaded_and_a_damaged_one_is_not(tmp_path: Path) -> None:
    path, said = tmp_path / "model.onnx", list[str]()
    path.write_bytes(colours_model())
    current = Current(path, 1, said.append)
    first = current.loaded
    assert current.refresh() is None
    path.write_bytes(colours_model(("rot", "gruen", "blau")))
    assert current.refresh() is None, "it may still be written"
    assert current.refresh() is True
    assert current.loaded.predictor.info.classes == ("rot", "gruen", "blau")
    assert current.loaded.mark != first.mark
    second = current.loaded
    path.write_bytes(path.read_bytes()[:300])
    assert [current.refresh() for _ in range(3)] == [None, False, None]
    assert current.loaded is second
    assert current.problem
    path.unlink()
    assert [current.refresh() for _ in range(3)] == [None, None, None]
    path.write_bytes(colours_model())
    assert [current.refresh() for _ in range(2)] == [None, True]
    assert not current.problem
    assert len(said) == 3
