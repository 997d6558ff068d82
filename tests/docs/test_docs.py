"""The documents are true: their commands run, their pictures, tables and outputs are those of the program."""

import contextlib
import io
import re
import runpy
import tomllib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from clfctl.cli.app import make_app
from clfctl.cli.reporting import spelled
from clfctl.schedules import KINDS
from tests.docs import python
from tests.docs.documents import (
    DOCUMENTS,
    GUIDE,
    PICTURES,
    QUICKREF,
    ROOT,
    Command,
    blocks,
    commands,
    matches,
    parameter_table,
    section_of,
)
from tests.docs.workspace import NOT_RUN, invoke, make_workspace, train_x, words_to_run

ALL = [command for document in DOCUMENTS for command in commands(document) if not {*NOT_RUN} & {*command.words}]
LINKED = [each for each in (*DOCUMENTS, ROOT / "docs/decisions/README.md") if each.is_file()]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
# What the examples print, in their last line.
LAST_LINES = {
    "schedule_in_your_own_loop": r"epoch 12 .* accuracy 9\d\.\d %",
    "schedule_as_torch_scheduler": "4 0.000015",
    "python_api": r"a picture of a 7 is taken for a \d",
    "cnn_and_efficientnet": r"weights 0\.\d{3}, 0\.\d{3} of 240 images",
}
MADE_WITH = next(
    line.partition("==")[2].strip()
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    if line.startswith("matplotlib==")
)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder that all commands run in, with the run that one short real training made.

    A run has no plots: they took half of a second at every training, and other tests look at them.
    """
    root = make_workspace(tmp_path_factory.mktemp("documents"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("clfctl.display.plots.save_plots", lambda history, folder: None)
        with contextlib.chdir(root):
            train_x()
        yield root


@pytest.fixture
def place(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(workspace)
    return workspace


# They train, or need what another of them has made. The others are done in a moment.
LONG = (
    "train",
    "resume",
    "branch",
    "eval",
    "compare",
    "ensemble",
    "predict",
    "explain",
    "export",
    "bench-data",
    "lr-find",
    "tune",
)


@pytest.mark.parametrize(
    "command", [pytest.param(each, marks=pytest.mark.slow if each.words[0] in LONG else ()) for each in ALL], ids=str
)
def test_command_runs(command: Command, place: Path, tmp_path: Path) -> None:
    if command.words[0] == "resume" and not Path((*command.words, "")[1] or "none").exists():
        pytest.skip("a run that is not made here")
    result = invoke(words_to_run(command, tmp_path / "runs"))
    assert result.exit_code == command.exit_code, result.output
    if command.shown:
        assert matches(command.shown, result.output), result.output


@pytest.mark.skipif(version("matplotlib") != MADE_WITH, reason=f"the pictures were made with matplotlib {MADE_WITH}")
@pytest.mark.parametrize("command", [each for each in ALL if each.picture], ids=str)
def test_picture_is_fresh(command: Command, place: Path) -> None:
    """`make docs` makes them again. Run after the commands, this finds what those have written."""
    if not Path(command.picture).is_file():
        invoke(command.words)
    assert Path(command.picture).read_bytes() == (ROOT / command.picture).read_bytes()


def test_every_picture_is_made_by_a_command() -> None:
    made = [each.picture for each in ALL if each.picture]
    assert len(set(made)) == len(made)
    assert {str(each.relative_to(ROOT)) for each in (ROOT / PICTURES).iterdir()} == set(made)


@pytest.mark.parametrize("kind", KINDS)
def test_guide_describes_every_kind(kind: str) -> None:
    section = section_of(kind)
    assert f"(images/lr/{kind}.svg)" in section
    assert f"$ clfctl lr-preview {kind}" in section or f'$ clfctl lr-preview "{kind}(' in section
    assert parameter_table(KINDS[kind]) in section, "make docs writes it"
    for word in ("lr = ", "**Take it**", "**Values.**", "**Source.**"):
        assert word in section or (kind in ("plateau", "greedy", "onecycle") and word == "lr = ")
    assert f"| `{kind}` |" in QUICKREF.read_text(encoding="utf-8")


# At least one command for every row of the guide's table of warnings.
WARNED = [
    "cosine --warmup 25",
    "cosine --t-max 10",
    "step --step-size 30",
    "multistep --milestones 30,60",
    "onecycle --t-max 10",
    "onecycle --t-max 30",
    "plateau --patience 5 --early-stopping 5",
    "plateau --patience 30",
    "plateau --patience 30 --plateau-every 2000b --steps-per-epoch 1000",
    "cosine --warmup auto:stable(window=5000b) --steps-per-epoch 1000",
    "greedy(patience=23)",
    "cosine --eta-min 1e-3",
    "cosine:30>step",
    "cosine:10>>step(3):5",
    "cosine:10>step",
    "linear --t-max 10",
    "cosine:20>average",
    "cosine --lr 2",
    "cosine --warmup auto --steps-per-epoch 100",
    "cosine --cooldown 3",
    "cosine --cooldown 3 --early-stopping 3 --eta-min 1",
    "cosine --warmup-start 0.1",
    "cosine-restarts --t-0 30",
    "cosine --warmup 13",
    "cosine --t-max 50 --eta-min 1e-6",
    "cosine --t-max 5000",
    "torch:CosineAnnealingLR(T_max=5000)",
    "plateau --plateau-mode max",
    "cosine-restarts --t-0 3 --warmup 5",
    "linear(start=0):6>>cosine-restarts(t_0=5)@6",
    "linear(start=0,t_max=6)*cosine-restarts(t_0=5)",
    "timm:CosineLRScheduler(t_initial=5,warmup_t=6)",
    "linear(start=0,every=epoch):5>cosine",
    "exponential --gamma 0.5",
    "wsd --early-stopping 8",
    "cosine --optimizer adamwschedulefree",
]


def test_warnings_are_those_of_the_guide() -> None:
    given = set()
    for words in WARNED:
        stderr = invoke(("lr-preview", *words.split(), "--epochs", "25", "--format", "csv")).stderr
        given |= set(re.findall(r"^Warning: (.*)\.$", spelled(stderr), re.MULTILINE))
    table = GUIDE.read_text(encoding="utf-8").partition("| warning | reason |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| (?!---)(.*?) \|", table, re.MULTILINE)
    patterns = [re.sub(r"\b[NMXYK]\b|…", "[^ ].*", re.escape(row)) for row in rows]
    assert [row for row, each in zip(rows, patterns, strict=True) if not any(re.match(each, w) for w in given)] == []
    assert [warning for warning in given if not any(re.match(each, warning) for each in patterns)] == []


# The data of the documents is made up, and a run of four epochs is too short for what they show with it.
OF_SHORT_RUNS = "runs/"


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [each for each in ALL if each.words[0] in ("train", "lr-preview") and not each.exit_code],
    ids=str,
)
def test_what_the_documents_recommend_is_not_warned_of(command: Command, place: Path) -> None:
    """Where `train` stands `lr-preview` shows its curve, here with the batches of a data set of usual size."""
    words, dropped = list(command.words[1:]), {"--output": 2, "--format": 2, "--json": 1, "--list": 1, "--dry-run": 1}
    if any(each.startswith(OF_SHORT_RUNS) for each in words):
        pytest.skip("of a short run")
    for option, n in dropped.items():
        while option in words:
            del words[words.index(option) : words.index(option) + n]
    batches = [] if "--steps-per-epoch" in words else ["--steps-per-epoch", "1000"]
    result = invoke(("lr-preview", *words, *batches, "--format", "table"))
    assert "Warning" not in result.stderr
    assert result.exit_code == 0, result.stderr


def known_options() -> set[str]:
    """Every way to write an option of any command."""
    from typer.main import get_command

    app = get_command(make_app())
    of_commands = [each for command in app.commands.values() for each in command.params]  # type: ignore[attr-defined]
    # Shells and the help are the program's own.
    known = {"--help", "--install-completion"}
    for option in (*app.params, *of_commands):
        known |= {*option.opts, *option.secondary_opts}
    return known


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda each: each.name)
def test_options_exist(document: Path) -> None:
    lines = document.read_text(encoding="utf-8").splitlines()
    # Options of other programs stand in lines of their own.
    text = "\n".join(line for line in lines if not re.match(r"\$ (?!clfctl)", line))
    text = re.sub(r"\"(?:hf|timm|keras|ultralytics): [^\"]*\"|`torchrun --[a-z-]+`", "", text)
    text = re.sub(r"(?m)^#SBATCH .*|^srun torchrun (?:.*\\\n)+", "", text)
    mentioned = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", text))
    assert not {each.replace("_", "-") for each in mentioned} - known_options()


@pytest.mark.parametrize("document", LINKED, ids=lambda each: each.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8")):
        if target.startswith(("https://", "http://")):
            continue
        name, _, anchor = target.partition("#")
        path = (document.parent / name) if name else document
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), target


def anchors(document: Path) -> set[str]:
    """The names of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}


def test_python_of_the_guide_prints_what_it_shows() -> None:
    printed, shown = io.StringIO(), "".join(text for _, text in blocks(GUIDE, "text"))
    names: dict[str, object] = {}
    known = set(KINDS)
    try:
        for _, text in blocks(GUIDE, "python"):
            with contextlib.redirect_stdout(printed):
                exec(compile(text, str(GUIDE), "exec"), names)
    finally:
        for name in KINDS.keys() - known:  # what the guide registers is not there for other tests
            del KINDS[name]
    assert printed.getvalue() == shown


@pytest.mark.parametrize("text", [text for each in (GUIDE, QUICKREF) for _, text in blocks(each, "toml")])
def test_configuration_of_the_guide_is_read(text: str) -> None:
    Path("clfctl.toml").write_text(text, encoding="utf-8")
    result = invoke(("lr-preview", "--format", "csv"))
    assert result.exit_code == 0, result.output
    assert len(set(re.findall(r",(\d+),", result.stdout))) >= tomllib.loads(text)["epochs"]


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda each: each.stem)
def test_example_prints_what_it_says(
    example: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EPOCHS", "1")  # of the one that trains longest
    runpy.run_path(str(example), run_name="__main__")
    assert re.fullmatch(LAST_LINES[example.stem], capsys.readouterr().out.splitlines()[-1])


def test_the_example_of_the_library_is_short() -> None:
    assert len(python.EXAMPLE.read_text(encoding="utf-8").splitlines()) < 30


def test_the_document_of_the_library_is_fresh() -> None:
    assert python.PATH.read_text(encoding="utf-8") == python.document(), "run: python -m tests.docs.python"


def test_shown_output_is_compared_line_by_line() -> None:
    assert matches(("a", "b"), "a\nb\n")
    assert matches(("a", "…", "d"), "a\nb\nc\nd\n")
    assert matches(("…", "d"), "b\nc\nd\n")
    assert not matches(("a", "…", "d"), "a\nb\nc\n")
    assert not matches(("a",), "a\nb\n")


def test_the_commands_of_clusters_are_ours(place: Path, tmp_path: Path) -> None:
    """The command in the examples of SLURM and Kubernetes, tried with one process."""
    document = ROOT / "docs/scaling.md"
    (_, slurm), (_, kubernetes) = (blocks(document, language)[0] for language in ("bash", "yaml"))
    written = slurm.replace("\\\n", " ").partition("-m clfctl ")[2].split()
    listed = kubernetes.partition("-m, clfctl, ")[2].partition("]")[0].split(", ")
    for words in (written, listed):
        assert words[0] == "train"
        command = Command(document, 0, (*words, "--dry-run"), 0, ())
        result = invoke(words_to_run(command, tmp_path / "runs"))
        assert result.exit_code == 0, result.output
