"""Names that no file takes as they are: written so that they can be read back, in JSON, TOML and plain text."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clfctl.storage.json_lines import dump_json
from clfctl.storage.names import on_one_line, plain, read_back, shell, shortened, without_codes, written

LATIN_1 = os.fsdecode("café".encode("latin-1"))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("cat", "cat"),
        ("Katze müde 猫", "Katze müde 猫"),
        (LATIN_1, r"caf\xe9"),
        (r"caf\xe9", r"caf\x5cxe9"),
        ("a\\b", "a\\b"),
        ("\ud800", r"\ud800"),
    ],
)
def test_names_in_writing(name: str, text: str) -> None:
    assert written(name) == text
    assert read_back(text) == name


# Whatever a file may be called, and what looks as if it had been written already.
@given(st.text(alphabet=st.characters() | st.sampled_from("\\xud8e9f5c\udce9")))
@example("\\\udcff")
@example(r"\x5cxe9")
def test_every_name_comes_back(name: str) -> None:
    assert read_back(written(name)) == name
    written(name).encode()


@given(st.text(alphabet=st.characters() | st.sampled_from('\\u"d8\udce9\ud83d')))
def test_json_holds_every_name(name: str) -> None:
    line = dump_json({"file": name, name: [name]})
    line.encode()
    # A pair of surrogates that stands for a character is that character in JSON.
    assert json.loads(line)["file"] == json.loads(json.dumps(name))


def test_a_sentence_keeps_what_only_looks_like_an_escape() -> None:
    assert plain(rf"{LATIN_1} and caf\xe9") == r"caf\xe9 and caf\xe9"


@pytest.mark.parametrize(
    ("name", "one_line", "codes"),
    [
        ("Katze müde 猫.png", "Katze müde 猫.png", "Katze müde 猫.png"),
        ("a\x1b[31mred\x07.png", r"a\x1b[31mred\x07.png", r"a\x1b[31mred\x07.png"),
        ("t\x1b]0;title\x07", r"t\x1b]0;title\x07", r"t\x1b]0;title\x07"),
        ("a\rb\x9b31m", r"a\rb\x9b31m", r"a\rb\x9b31m"),
        ("two\nlines\t.png", r"two\nlines\t.png", "two\nlines\t.png"),  # sentences may have several
        (LATIN_1, r"caf\xe9", LATIN_1),
    ],
)
def test_a_name_does_nothing_to_a_terminal(name: str, one_line: str, codes: str) -> None:
    assert on_one_line(name) == one_line
    assert without_codes(name) == codes


@given(st.text(alphabet=st.characters() | st.sampled_from("ax猫é\udce9"), max_size=300))
@example("x" * 255)
@example("猫" * 85)
@example(LATIN_1 * 63)
def test_a_long_name_leaves_room_for_its_suffix(name: str) -> None:
    name = name.encode(errors="ignore").decode() or LATIN_1
    found = shortened(name)
    size = len(found.encode(errors="surrogateescape"))
    assert size <= 207
    assert found == name or size > 196
    assert shortened(f"{name}{'y' * 255}") != shortened(f"{name}{'y' * 255}z")


@pytest.mark.parametrize(
    "name", ["runs/x", "my runs/x y", "it's", "$HOME", "a\\'b", LATIN_1, f"{LATIN_1}'s \\ run", "-x", ""]
)
def test_a_shell_reads_a_printed_command_as_it_was_meant(name: str, tmp_path: Path) -> None:
    line = shell("resume", name)
    assert line.startswith("clfctl resume ")
    script = f"clfctl() {{ printf '%s\\n' \"$2\" > {tmp_path}/seen; }}; {line}"
    subprocess.run(["bash", "-c", script], check=True)
    assert os.fsdecode((tmp_path / "seen").read_bytes()) == f"{name}\n"
