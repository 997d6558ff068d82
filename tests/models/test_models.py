"""Models by name, where they come from, and their sizes."""

from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from typer.testing import Result

from clfctl.errors import UsageError
from clfctl.models.custom import N_PARAMETERS
from clfctl.models.custom_cnn import CustomCNN
from clfctl.models.factory import build_model, rebuild_model
from clfctl.models.sources import model_names, source_of
from clfctl.settings.network import ModelSettings


def wanted(**values: object) -> ModelSettings:
    return ModelSettings.model_validate({"pretrained": False} | values)


def build(size: int = 32, **values: object) -> torch.nn.Module:
    return build_model(wanted(**values), 10, size).model


def test_names_are_those_of_timm_with_and_without_the_cache() -> None:
    for _ in range(2):
        assert model_names() == [*N_PARAMETERS, *sorted(timm.list_models())]


def test_unknown_model_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="model: 'efficientnet_bo' is not a model") as caught:
        source_of("efficientnet_bo")
    assert "efficientnet_b0" in caught.value.hint
    source_of("efficientnet_b0.ra_in1k")


def test_a_name_like_no_other_is_told_where_models_come_from() -> None:
    with pytest.raises(UsageError) as caught:
        source_of("qqqqqqqq")
    assert "`custom`" in caught.value.hint
    assert "local-dir:" in caught.value.hint


@pytest.mark.usefixtures("real_cnn")
def test_sizes_are_those_of_the_design() -> None:
    assert sum(p.numel() for p in build().parameters()) == 4_719_338 == N_PARAMETERS["custom"]
    assert sum(p.numel() for p in build(model="efficientnet_b0").parameters()) == 4_020_358


def test_custom_cnn_returns_logits() -> None:
    assert CustomCNN(7)(torch.zeros(2, 3, 64, 32)).shape == (2, 7)


@pytest.mark.parametrize(
    ("model", "size", "hint"),
    [
        ("custom", 31, "it takes 32 pixels or more"),
        # Its assertion has no text of its own.
        ("halonet26t", 64, "it was made for 256 pixels"),
        ("vit_tiny_patch16_224", 10, "it was made for 224 pixels: "),
    ],
)
def test_a_size_that_the_model_does_not_take_is_refused(model: str, size: int, hint: str) -> None:
    with pytest.raises(UsageError, match=f"image_size: {model} cannot take images of {size} pixels") as caught:
        build(size, model=model)
    assert hint in caught.value.hint


def test_a_size_is_refused_before_anything_is_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def download(*_: object, **__: object) -> None:
        raise AssertionError("it was downloaded")

    monkeypatch.setattr("timm.models._builder.load_pretrained", download)
    with pytest.raises(UsageError, match="image_size"):
        build(10, model="vit_tiny_patch16_224", pretrained=True)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["test_vit", "deit_tiny_patch16_224", "swin_tiny_patch4_window7_224"])
def test_a_model_of_one_size_is_built_for_another(model: str) -> None:
    made = build(96, model=model)
    again = rebuild_model(model, 10, wanted(model=model), 96)
    assert again.load_state_dict(made.state_dict())
    with torch.no_grad():
        assert again.eval()(torch.zeros(1, 3, 96, 96)).shape == (1, 10)


def test_position_embeddings_of_published_weights_are_resampled(tmp_path: Path) -> None:
    """A folder as timm saves it stands for a download; its model was trained at 224 pixels."""
    torch.manual_seed(1)
    saved = timm.create_model("vit_tiny_patch16_224", num_classes=7)
    timm.models.save_for_hf(saved, tmp_path / "mine", safe_serialization=True)
    name = f"local-dir:{tmp_path / 'mine'}"
    built = build_model(wanted(model=name, pretrained=None), 10, 96)
    assert built.origin == "published weights"
    own, new = saved.state_dict(), built.model.state_dict()
    assert torch.equal(own["blocks.0.attn.qkv.weight"], new["blocks.0.attn.qkv.weight"])
    assert own["pos_embed"].shape != new["pos_embed"].shape
    # That of the class token has no place in the image.
    assert torch.equal(own["pos_embed"][:, 0], new["pos_embed"][:, 0])


def test_a_folder_of_timms_is_a_model_and_another_is_refused(tmp_path: Path) -> None:
    timm.models.save_for_hf(timm.create_model("test_resnet", num_classes=7), tmp_path / "mine", safe_serialization=True)
    assert build(model=f"local-dir:{tmp_path / 'mine'}").num_classes == 10
    with pytest.raises(UsageError, match=r"model: there is no .*gone/config\.json"):
        source_of("local-dir:gone")


@pytest.mark.slow
def test_a_run_of_a_folders_model_can_be_used_from_elsewhere(
    photos: Path, cli: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    timm.models.save_for_hf(timm.create_model("test_resnet", num_classes=7), "mine", safe_serialization=True)
    runs, here = Path("runs").resolve(), Path.cwd()
    monkeypatch.setenv("HOME", str(here))
    quick = ("--data", str(photos), "--batch-size", "4", "--image-size", "64", "--epochs", "1", "--no-export")
    for run, model in (("one", "mine"), ("two", "~/mine")):
        monkeypatch.chdir(here)
        trained = cli("train", *quick, "--model", f"local-dir:{model}", "--run-name", run)
        assert trained.exit_code == 0, trained.stderr
        (tmp_path / run).mkdir()
        monkeypatch.chdir(tmp_path / run)
        assert cli("eval", str(runs / run)).exit_code == 0
        assert cli("resume", str(runs / run), "--epochs", "2").exit_code == 0


def test_the_trial_before_a_download_changes_no_first_weights(tmp_path: Path) -> None:
    timm.models.save_for_hf(timm.create_model("test_resnet", num_classes=7), tmp_path / "mine", safe_serialization=True)
    name = f"local-dir:{tmp_path / 'mine'}"
    torch.manual_seed(3)
    expected = timm.create_model(name, pretrained=True, num_classes=10).state_dict()
    torch.manual_seed(3)
    found = build(64, model=name, pretrained=None).state_dict()
    assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_preprocessing_of_a_timm_model_is_its_own() -> None:
    built = build_model(wanted(model="vit_tiny_patch16_224"), 10, 224)
    assert built.preprocess.mean == (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"pretrained": True}, "pretrained: the custom model has no published weights"),
        ({"drop_path": 0.1}, "drop_path: the custom model has no blocks to skip"),
        ({"model": "resnet18d", "pretrained": True}, "pretrained: resnet18d has"),
        ({"model": "vgg11", "drop_path": 0.1}, "drop_path: vgg11 does not support drop path"),
    ],
)
def test_settings_that_a_model_cannot_go_by_are_refused(
    values: dict[str, object], error: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("timm.is_model_pretrained", lambda _: False)
    with pytest.raises(UsageError, match=error):
        build(32, **values)


@pytest.mark.parametrize(
    ("model", "heads"),
    [
        ("custom", {"head.weight", "head.bias"}),
        ("test_resnet", {"fc.weight", "fc.bias"}),
        ("volo_d1_224", {"head.weight", "head.bias", "aux_head.weight", "aux_head.bias"}),
        ("deit_tiny_distilled_patch16_224", {"head.weight", "head.bias", "head_dist.weight", "head_dist.bias"}),
        ("crossvit_tiny_240", {"head.0.weight", "head.0.bias", "head.1.weight", "head.1.bias"}),
    ],
)
def test_every_head_of_a_model_is_known(model: str, heads: set[str]) -> None:
    source = source_of(model)
    made = source.rebuild(model, 10, wanted(model=model), 224)
    assert source.head(made) == heads
