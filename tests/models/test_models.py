"""Models by name, their sizes, and weights from files."""

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from clfctl.errors import ModelError, UsageError
from clfctl.models.custom_cnn import CustomCNN
from clfctl.models.factory import build_model
from clfctl.models.names import check_model_name, model_names
from clfctl.models.weights import load_weights
from clfctl.settings.groups import ModelSettings


def build(size: int = 32, **values: object) -> torch.nn.Module:
    return build_model(ModelSettings.model_validate({"pretrained": False} | values), 10, size).model


def test_names_are_those_of_timm_with_and_without_the_cache() -> None:
    for _ in range(2):
        assert model_names() == ["custom", *sorted(timm.list_models())]


def test_unknown_model_names_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        check_model_name("efficientnet_bo")
    assert "efficientnet_b0" in caught.value.hint
    check_model_name("efficientnet_b0.ra_in1k")


def test_sizes_are_those_of_the_design() -> None:
    assert sum(p.numel() for p in build().parameters()) == 4_719_338
    assert sum(p.numel() for p in build(model="efficientnet_b0").parameters()) == 4_020_358


def test_custom_cnn_returns_logits() -> None:
    assert CustomCNN(7)(torch.zeros(2, 3, 64, 32)).shape == (2, 7)


def test_images_too_small_for_the_model_are_refused() -> None:
    with pytest.raises(UsageError, match="--image-size: custom cannot take images of 31 pixels"):
        build(31)


def test_preprocessing_of_a_timm_model_is_its_own() -> None:
    built = build_model(ModelSettings(model="vit_tiny_patch16_224", pretrained=False), 10, 224)
    assert built.preprocess.mean == (0.5, 0.5, 0.5)


def test_pretrained_custom_is_refused() -> None:
    with pytest.raises(UsageError, match="--pretrained"):
        build(pretrained=True)


def test_weights_that_cannot_be_downloaded_say_what_else_can_be_done(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(timm.models._hub, "_has_hf_hub", True)
    with pytest.raises(ModelError, match="could not be downloaded") as caught:
        build(model="efficientnet_b0", pretrained=None)
    assert "--weights" in caught.value.hint
    assert "--no-pretrained" in caught.value.hint


@pytest.mark.parametrize("kind", ["safetensors", "pth", "wrapped.pth", "prefixed.pth"])
def test_weights_of_every_kind_are_loaded(kind: str, tmp_path: Path) -> None:
    source, target = CustomCNN(10), CustomCNN(10)
    path = tmp_path / f"weights.{kind}"
    state = source.state_dict()
    match kind:
        case "safetensors":
            save_file(state, path)
        case "pth":
            torch.save(state, path)
        case "wrapped.pth":
            torch.save({"state_dict": state, "epoch": 3}, path)
        case _:
            torch.save({f"module.{name}": tensor for name, tensor in state.items()}, path)
    assert load_weights(target, path) == []
    assert all(
        torch.equal(a, b) for a, b in zip(source.state_dict().values(), target.state_dict().values(), strict=True)
    )


def test_a_head_of_another_size_is_made_anew(tmp_path: Path) -> None:
    save_file(CustomCNN(3).state_dict(), tmp_path / "w.safetensors")
    assert load_weights(CustomCNN(10), tmp_path / "w.safetensors") == ["head.weight", "head.bias"]


def test_weights_of_another_model_or_shape_are_refused(tmp_path: Path) -> None:
    state = CustomCNN(10).state_dict()
    path = tmp_path / "w.safetensors"
    save_file(state, path)
    with pytest.raises(ModelError, match="is of another model: it lacks"):
        build(model="efficientnet_b0", weights=path)
    save_file(state | {"stages.0.0.weight": torch.zeros(1, 3, 3, 3)}, path)
    with pytest.raises(ModelError, match=r"stages\.0\.0\.weight is \(1, 3, 3, 3\), the model's is \(32, 3, 3, 3\)"):
        build(weights=path)


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return (Path("pwned").touch, ())


def test_a_pickle_that_would_run_code_is_refused_and_not_run(tmp_path: Path) -> None:
    torch.save({"head.weight": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(ModelError, match="cannot be read"):
        build(weights=tmp_path / "evil.pth")
    assert not Path("pwned").exists()


def test_missing_and_broken_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        build(weights=tmp_path / "gone.pth")
    for name in ("x.pth", "x.safetensors"):
        (tmp_path / name).write_text("nothing")
        with pytest.raises(ModelError, match="cannot be read"):
            build(weights=tmp_path / name)
