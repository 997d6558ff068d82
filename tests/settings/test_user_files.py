"""Files as users write them, with a byte order mark or not as UTF-8, and paths that begin with `~`."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from clfctl.cli.options import with_settings
from clfctl.errors import UsageError
from clfctl.settings.groups import EvalSettings, OutputSettings, SourceSettings, TrainSettings
from clfctl.settings.keep import put_into
from clfctl.settings.sources import Resolved, resolve
from clfctl.storage.files import cache_folder
from clfctl.storage.home import expand_home

MARK = b"\xef\xbb\xbf"
MARKED: list[tuple[str, bytes, dict[str, str]]] = [
    ("clfctl.toml", b"epochs = 7\n", {}),
    ("mine.toml", b"\r\nepochs = 7\r\n", {"config": "mine.toml"}),
    (".env", b"CLFCTL_EPOCHS=7\n", {}),
    (".env", b"# first\r\nCLFCTL_EPOCHS=7\r\n", {}),
]


@pytest.mark.parametrize(("name", "text", "typed"), MARKED)
def test_a_byte_order_mark_is_read_over(name: str, text: bytes, typed: dict[str, str]) -> None:
    Path(name).write_bytes(MARK + text)
    assert resolve(TrainSettings, typed).settings.epochs == 7


def test_a_byte_order_mark_before_metrics_is_read_over(cli: Callable[..., Result]) -> None:
    for name, text in (
        ("a.csv", b"val_loss\n1\n2\n3\n"),
        ("a.tsv", b"val_loss\tx\n1\t2\n2\t2\n"),
        ("a.jsonl", b'{"a":1}'),
    ):
        Path(name).write_bytes(MARK + text)
        column = "a" if name.endswith("jsonl") else "val_loss"
        result = cli("lr-preview", "plateau", "--metrics", f"{name}:{column}", "--format", "csv")
        assert result.exit_code == 0, result.stderr


def test_a_byte_order_mark_stays_where_settings_are_written() -> None:
    new, changed = put_into("\ufeffepochs = 3\n", {"workers": 2})
    assert (new, changed) == ("\ufeffepochs = 3\nworkers = 2\n", {"workers": (None, 2)})


UNREADABLE: list[tuple[str, bytes, tuple[str, ...], str]] = [
    ("clfctl.toml", "data = 'é'".encode("latin-1"), ("train",), "--config: cannot read clfctl.toml: it is not UTF-8"),
    ("clfctl.toml", "epochs = 3".encode("utf-16"), ("train",), "--config: cannot read clfctl.toml: it is not UTF-8"),
    (".env", "CLFCTL_DATA=é".encode("latin-1"), ("train",), "cannot read .env: it is not UTF-8 text"),
    (
        "a.csv",
        "é\n1".encode("latin-1"),
        ("lr-preview", "plateau", "--metrics", "a.csv:x"),
        "a.csv cannot be read: it is",
    ),
]


@pytest.mark.parametrize(("name", "content", "words", "message"), UNREADABLE)
def test_what_is_not_utf_8_is_a_sentence(
    name: str, content: bytes, words: tuple[str, ...], message: str, cli: Callable[..., Result]
) -> None:
    Path(name).write_bytes(content)
    result = cli(*words)
    assert message in result.stderr
    assert result.exit_code in (1, 2)


PATHS = ["data", "data_dir", "cache_dir", "weights", "start_from", "distill", "runs_dir"]


def test_all_paths_are_in_the_table() -> None:
    paths = {name for group in (TrainSettings, OutputSettings) for name, field in group.model_fields.items()
             if "Path" in str(field.annotation)}  # fmt: skip
    assert paths | {"data"} == set(PATHS)


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("source", ["typed", "toml", "env", "dotenv"])
def test_every_path_of_every_source_begins_at_home(
    name: str, source: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    if source == "toml":
        Path("clfctl.toml").write_text(f'{name} = "~/x y"')
    elif source == "env":
        monkeypatch.setenv(f"CLFCTL_{name.upper()}", "~/x y")
    elif source == "dotenv":
        Path(".env").write_text(f'CLFCTL_{name.upper()}="~/x y"')
    settings = resolve(TrainSettings, {name: "~/x y"} if source == "typed" else {}).settings
    assert str(getattr(settings, name)) == f"{tmp_path}/x y"


def test_so_do_a_config_file_and_a_checkpoint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.toml").write_text("epochs = 7")
    for typed in ({"config": "~/mine.toml"}, {"config": Path("~/mine.toml")}):
        assert resolve(TrainSettings, typed).settings.epochs == 7
    assert resolve(SourceSettings, {"config": "~/mine.toml"}).settings.config == tmp_path / "mine.toml"
    assert resolve(EvalSettings, {"checkpoint": "~/x.pth"}).settings.checkpoint == f"{tmp_path}/x.pth"
    assert TrainSettings.model_validate({"runs_dir": Path("~/runs")}).runs_dir == tmp_path / "runs"


def test_so_do_the_arguments_of_a_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    got: dict[str, object] = {}

    def command(output: Resolved[OutputSettings], *, file: Path, files: list[Path], metrics: str, other: str) -> None:
        got.update(output=output, file=file, files=files, metrics=metrics, other=other)

    with_settings(command, ("OutputSettings",))(file=Path("~/a"), files=[Path("~")], metrics="~/m.csv:x", other="~x")
    assert got["file"] == tmp_path / "a"
    assert got["files"] == [tmp_path]
    assert (got["metrics"], got["other"]) == (f"{tmp_path}/m.csv:x", "~x")


def test_a_preview_is_written_at_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cli: Callable[..., Result]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cli("lr-preview", "step", "--output=~/curve.csv").exit_code == 0
    assert (tmp_path / "curve.csv").is_file()
    assert not Path("~").exists()


NAMES = ["~draft.csv", "a~", "./~/x", "x/~/y", "~nobody-of-that-name/x"]


@pytest.mark.parametrize("name", NAMES)
def test_other_names_stay(name: str) -> None:
    assert expand_home(name) == name


@pytest.fixture
def _homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container whose user is only a number."""
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)

    def no_entry(_uid: int) -> None:
        raise KeyError

    monkeypatch.setattr("pwd.getpwuid", no_entry)


@pytest.mark.usefixtures("_homeless")
def test_without_a_home_folder_there_is_a_sentence(cli: Callable[..., Result]) -> None:
    Path("clfctl.toml").write_text('runs_dir = "~/runs"')
    result = cli("train")
    assert "--runs-dir: '~/runs' begins with ~, and there is no home folder (from the config file" in result.stderr
    assert result.exit_code == 2
    Path("clfctl.toml").unlink()
    assert cli("lr-preview", "step").exit_code == 0
    assert "--config: '~/x.toml' begins with ~" in cli("train", "--config=~/x.toml").stderr
    assert cli("lr-preview", "step", "--output=~/x.csv").exit_code == 2
    with pytest.raises(UsageError, match="there is no home folder"):
        expand_home("~")
    assert cache_folder().is_absolute()
