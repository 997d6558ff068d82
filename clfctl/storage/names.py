"""Names of files and classes in writing: any name, bytes that are not UTF-8 included, as text that can be read back.

Python holds such a byte as a lone surrogate, which no file and no terminal takes. Files of JSON have it as JSON does
(`\\udce9`); everything else, tables, TOML, messages, has it as `\\xe9`.
"""

import hashlib
import re
import shlex

_SURROGATE = re.compile("[\ud800-\udfff]")
# Characters that move the cursor, colour what follows, or rename the window; ends of lines and tabs are left.
_CODE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# Of a file's name most file systems take 255 bytes, and ours get a suffix, a number, and `.tmp` while they are written.
_LONGEST = 200
# What `written` makes, and so what a name that has the like of it must not be mistaken for.
_ESCAPE = re.compile(r"\\(x5c|x[89a-f][0-9a-f]|ud[89a-f][0-9a-f]{2})")
_LIKE_ONE = re.compile(r"\\(?=x5c|x[89a-f][0-9a-f]|ud[89a-f][0-9a-f]{2})")


def written(name: str) -> str:
    """Return a name as text that UTF-8 can hold: a byte that is not UTF-8 as `\\xe9`. Other names stay as they are."""
    return plain(_LIKE_ONE.sub(r"\\x5c", name))


def read_back(text: str) -> str:
    """Return the name that `written` made this text of."""
    return _ESCAPE.sub(lambda found: _character(found[1]), text)


def plain(text: str) -> str:
    """Return a text for people, such as a sentence with names in it, without anything that UTF-8 cannot hold."""
    return _SURROGATE.sub(lambda found: _escape(found[0]), text)


def on_one_line(name: str) -> str:
    """Return a name for people without what would move the cursor or break the line, as file names may."""
    text = plain(name)
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def without_codes(text: str) -> str:
    """Return sentences for a terminal whose codes, which came in with somebody's names, are seen instead of obeyed."""
    return _CODE.sub(lambda found: repr(found[0])[1:-1], text)


def shortened(name: str, *, most: int = _LONGEST, digest: str = "") -> str:
    """Return a name of a file or folder, where it has more bytes than `most` its beginning and a digest of the whole.

    `digest`, in hexadecimal, is one of something else that the name stands for.
    """
    # File systems count bytes, of which a letter may be four.
    whole = name.encode(errors="surrogateescape")
    if len(whole) <= most:
        return name
    digest = digest or hashlib.sha256(whole).hexdigest()
    return f"{whole[:most].decode(errors='ignore')}-{digest[:6]}"


def shell(*words: object) -> str:
    """Return a command line of clfctl's, to be pasted into a shell whatever the words have in them."""
    return " ".join(["clfctl", *(quoted(str(word)) for word in words)])


def in_json(line: str) -> str:
    """Return JSON whose strings may have lone surrogates as JSON that UTF-8 can hold."""
    return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", line)


def quoted(word: str) -> str:
    """Return a word as a shell reads it, as it is where that needs no quotes."""
    if not _SURROGATE.search(word):
        return shlex.quote(word)
    # What bash, zsh and ksh read as bytes; nothing that is plain text would do.
    inside = word.replace("\\", "\\\\").replace("'", "\\'")
    return f"$'{plain(inside)}'"


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


def _character(escape: str) -> str:
    if escape == "x5c":
        return "\\"
    code = int(escape[1:], 16)
    return chr(code if escape[0] == "u" else 0xDC00 + code)
