"""clfctl models: which there are, what is known of them without torch, and where their weights are."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
from typer.testing import Result

from clfctl.errors import ModelError
from clfctl.models.factory import build_model
from clfctl.models.hub_cache import cached_file, how_to_bring, hub_folder
from clfctl.models.listing import matching_models
from clfctl.models.timm_table import Row, read_table, write_table
from clfctl.settings.network import ModelSettings
from tests.models.table import row_of

Cli = Callable[..., Result]
MADE_OF, TABLE = read_table()
REPOSITORY = "timm/efficientnet_b0.ra_in1k"
same_timm = pytest.mark.skipif(timm.__version__ != MADE_OF, reason=f"the table was made of timm {MADE_OF}")


@same_timm
def test_every_classifier_of_timm_is_in_the_table() -> None:
    others = set(timm.list_models()) - set(TABLE)
    assert all(name.endswith("_enc") for name in others), "run: python -m tests.models.table"
    assert set(TABLE) <= set(timm.list_models())


@same_timm
@pytest.mark.parametrize("name", ["efficientnet_b0", "vgg11", "volo_d1_224", "vitamin_small_224", "test_vit"])
def test_the_table_is_right(name: str) -> None:
    assert TABLE[name] == row_of(name)


@same_timm
def test_published_weights_are_those_of_timm() -> None:
    published = {f"{name}.{tag}" if tag else name for name, row in TABLE.items() for tag, _ in row.published}
    assert published == {each for each in timm.list_pretrained() if each.partition(".")[0] in TABLE}
    for name in ("resnet50", "vit_base_patch16_224", "fastvit_mci0", "efficientnet_b0"):
        assert TABLE[name].published[0][0] == timm.get_pretrained_cfg(name).tag


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    rows = [
        Row("a", 12, 8, 9, ("head", "head_dist"), 3, 4, (("x", ""), ("y", "who/y"), ("z", "https://where/z.pth"))),
        Row("b", 1, 8, 8, (), 1, 1, ()),
    ]
    write_table(tmp_path / "t.tsv", "1.2", rows)
    assert read_table(tmp_path / "t.tsv") == ("1.2", {row.name: row for row in rows})
    assert [rows[0].place(tag) for tag in "xyz"] == ["timm/a.x", "who/y", "https://where/z.pth"]


def test_models_are_listed_without_torch(tmp_path: Path) -> None:
    code = (
        "import sys; sys.argv = ['clfctl', 'models', 'efficientnet_b0']\n"
        "from clfctl.cli.app import main\n"
        "try: main()\n"
        "finally: print(sorted({'torch', 'timm', 'numpy', 'rich', 'huggingface_hub'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, *_, last = done.stdout.splitlines()
    assert first.startswith("efficientnet_b0  5.29 M  224  ra_in1k +1")
    assert last == "[]"


PATTERNS = {
    "efficientnet_b0": ["efficientnet_b0", "tf_efficientnet_b0"],
    "custom": ["custom"],
    "CUSTOM": ["custom"],
    "resnet1[08]t": ["resnet10t"],
    "resnet50.tv2*": ["resnet50"],
    "b0.ra_": ["efficientnet_b0"],
}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_find_names_and_then_weights(pattern: str) -> None:
    found = [each.name for each in matching_models(pattern)]
    assert set(PATTERNS[pattern]) <= set(found)
    assert len(found) < 20


def test_a_pattern_of_weights_shows_those_alone() -> None:
    assert [each.weights for each in matching_models("resnet50.tv2*")] == [("tv2_in1k",)]


def put_into_cache(repository: str, *, ref: bool = True) -> Path:
    """Make what huggingface_hub makes when it downloads, in the cache of this test."""
    folder = hub_folder() / f"models--{repository.replace('/', '--')}"
    file = folder / "snapshots/abc/model.safetensors"
    blob = folder / "blobs/123"
    for each in (file, blob, folder / "refs/main"):
        each.parent.mkdir(parents=True, exist_ok=True)
    blob.write_bytes(b"weights")
    file.symlink_to(blob)
    if ref:
        (folder / "refs/main").write_text("abc")
    return file


def test_weights_that_were_downloaded_are_known(cli: Cli) -> None:
    assert cli("models", "--cached").exit_code == 2
    file = put_into_cache(REPOSITORY)
    put_into_cache("timm/resnet18.a1_in1k", ref=False)
    lines = [json.loads(line) for line in cli("models", "--cached", "--json").stdout.splitlines()]
    assert [(each["name"], each["cached"]) for each in lines] == [("efficientnet_b0", ["ra_in1k"])]
    assert "ra_in1k +1  here" in cli("models", "efficientnet_b0").stdout
    assert cached_file(REPOSITORY) == file
    file.resolve().unlink()
    assert cached_file(REPOSITORY) is None


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("HF_HUB_CACHE", "/a/hub", "/a/hub"),
        ("HUGGINGFACE_HUB_CACHE", "/a/hub", "/a/hub"),
        ("HF_HOME", "/a", "/a/hub"),
        ("XDG_CACHE_HOME", "/a", "/a/huggingface/hub"),
    ],
)
def test_the_cache_is_where_its_library_has_it(
    variable: str, value: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    assert str(hub_folder()) == expected
    code = "from huggingface_hub import constants; print(constants.HF_HUB_CACHE)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == expected


def test_weights_at_an_address_are_in_torchs_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    address = "https://somewhere.org/weights/net-123.pth?download=1"
    file = tmp_path / "hub/checkpoints/net-123.pth"
    assert cached_file(address) is None
    file.parent.mkdir(parents=True)
    file.write_bytes(b"weights")
    assert cached_file(address) == file
    assert address in how_to_bring(address)
    assert str(file.parent) in how_to_bring(address)


def test_weights_that_cannot_be_downloaded_say_how_to_bring_them(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="could not be downloaded") as caught:
        build_model(ModelSettings(model="efficientnet_b0"), 10, 64)
    hint = caught.value.hint
    assert f"https://huggingface.co/{REPOSITORY}/resolve/main/model.safetensors" in hint
    assert "`weights=FILE`" in hint
    assert f"copy models--timm--efficientnet_b0.ra_in1k/ of another machine's cache into {hub_folder()}" in hint
    assert "`pretrained=False`" in hint


def test_a_weights_file_that_was_put_into_the_cache_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the error says works: huggingface_hub finds it, with no connection."""
    import torch
    from huggingface_hub import constants
    from safetensors.torch import save_file

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(hub_folder()))
    config = timm.get_pretrained_cfg("test_resnet")
    source = timm.create_model("test_resnet", num_classes=config.num_classes)
    save_file(source.state_dict(), put_into_cache(config.hf_hub_id).resolve())
    built = build_model(ModelSettings(model="test_resnet"), 10, 64)
    assert built.origin == "published weights"
    assert torch.equal(built.model.state_dict()["conv1.0.weight"], source.state_dict()["conv1.0.weight"])


@pytest.mark.usefixtures("real_cnn")
def test_one_model_is_shown_in_detail(cli: Cli) -> None:
    said = json.loads(cli("models", "--show", "test_resnet.r160_in1k", "--json").stdout)
    made = timm.create_model("test_resnet", num_classes=10)
    assert said["n_parameters"] == sum(each.numel() for each in made.parameters())
    assert said["n_features"] == made.num_features
    assert said["sees"]["input_size"] == [3, 160, 160]
    assert [part["name"] for part in said["parts"]] == [name for name, _ in made.named_children()]
    assert said["weights"][0]["place"] == "timm/test_resnet.r160_in1k"
    for name, other_sizes in (("resnet18", "yes"), ("vit_tiny_patch16_224", "no")):
        assert f"Other sizes {other_sizes}" in cli("models", "--show", name).stdout.splitlines()
    text = cli("models", "--show", "custom").stdout
    assert text.startswith("custom: 4.72 M parameters with 10 classes, 4.71 M without its classifier")


REFUSED = {
    ("models", "qqqq"): "no model is like 'qqqq'",
    ("models", "--show", "resnet19"): "--show: 'resnet19' is not a model",
    ("models", "--show", "gemma4_vit_167m_enc"): "--model: gemma4_vit_167m_enc is no classifier",
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_is_no_model_is_refused(words: tuple[str, ...], cli: Cli) -> None:
    result = cli(*words)
    assert result.exit_code == 2
    assert REFUSED[words] in result.stderr


def test_of_another_timm_what_is_not_known_is_said(monkeypatch: pytest.MonkeyPatch, cli: Cli, tmp_path: Path) -> None:
    write_table(tmp_path / "t.tsv", "0.9", [TABLE["efficientnet_b0"]])
    older = read_table(tmp_path / "t.tsv")
    monkeypatch.setattr("clfctl.models.listing.read_table", lambda: older)
    result = cli("models", "efficientnet_b?")
    assert "efficientnet_b1  ?  ?  ?" in result.stdout
    assert "efficientnet_b0  5.29 M" in result.stdout
    assert f"Sizes and weights are those of timm 0.9; timm {timm.__version__} is installed." in result.stderr
