"""The schedule expression: `linear(start=0.1):2 > cosine(eta_min=1e-5):20 > plateau(patience=3)`.

    expression = part { ( ">" | ">>" ) part }
    part       = [ factor "*" ] call { "*" call } [ ":" length ]
    call       = name [ "(" argument { "," argument } ")" ] [ "@" start ]
    name       = a kind | "torch:" class | "timm:" class | module ":" class, one of your own
    argument   = [ parameter "=" ] ( number | word | "[" number { "," number } "]" )
    length     = epochs (2, 0.5), batches (500b) or a share of the training (10%), and so is a start

A part begins at the rate at which the part before it ended, after ">>" at the base rate again. Only the last part may
have no length. What has a start begins there, as if it had run before; what is multiplied has one clock.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NoReturn

from clfctl.errors import UsageError, nearest
from clfctl.schedules.averaging import Average
from clfctl.schedules.base import Schedule
from clfctl.schedules.by_name import LIBRARIES
from clfctl.schedules.calls import Call
from clfctl.schedules.catalog import ALIASES, KINDS
from clfctl.schedules.compose import Chain
from clfctl.schedules.durations import DURATIONS, Duration, parse_duration
from clfctl.schedules.parameters import fit_value, parameters_of

_TOKEN = re.compile(r"""\s*(?:(?P<quoted>'[^']*'|"[^"]*")|(?P<word>[\w.+%-]+)|(?P<sign>>>|.))""", re.DOTALL)
_MODULE = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
EXAMPLES = {"torch": "torch:CyclicLR(base_lr=1e-5, max_lr=1e-3)", "timm": "timm:TanhLRScheduler(t_initial=30)"}
# Translated by lr-preview: planning/foreign.
FOREIGN = ("hf", "keras", "ultralytics")
_WORDS = {"true": True, "false": False, "none": None}


@dataclass(frozen=True)
class Expression:
    """A parsed expression: its text and its parts."""

    text: str
    calls: tuple[Call, ...]

    @property
    def kind(self) -> str:
        """The name of the kind, if the expression is a single built-in one without a length; else empty."""
        first = self.calls[0]
        is_plain = len(self.calls) == 1 and first == Call(first.name, first.arguments, usual=first.usual)
        return first.name if is_plain else ""

    def schedule(self, defaults: Mapping[str, Any] | None = None) -> Schedule:
        """Return the schedule, not fitted yet; `defaults` (by option name) only apply to a kind on its own."""
        if len(self.calls) == 1 and self.calls[0].length is None:
            return self.calls[0].schedule((defaults or {}) if self.kind else {})
        parts = [(call.schedule({}), call.length) for call in self.calls]
        # A length in epochs needs no fitting, so that the chain can be used as it is.
        return Chain(
            tuple((made, length.value if length and length.unit == "epochs" else length) for made, length in parts)
        )


class ExpressionError(UsageError):
    """A wrong expression; the message shows the place with a caret."""


def parse_expression(text: str) -> Expression:
    """Return the parsed expression; raises ExpressionError, which shows the place and what was expected there."""
    return _Parser(text).expression()


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    start: int
    end: int

    @property
    def misplaced(self) -> str:
        """What to say about a token where another is needed."""
        return f"{self.text!r} does not belong here" if self.text else "it ends too early"


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = " ".join(text.split("\n"))
        self.tokens = [*self._read(), _Token("end", "", len(self.text.rstrip()), len(self.text.rstrip()) + 1)]
        self.position = 0

    def expression(self) -> Expression:
        calls = [self._part()]
        while self.now.text in (">", ">>"):
            restarts = self._next().text == ">>"
            previous = self.tokens[self.position - 2]
            if calls[-1].name == Average.name and not calls[-1].library:
                what = f"{Average.name} can only be the last part: its mean is of the weights to the end"
                self._fail(self.tokens[self.position - 1], what, "the end")
            if calls[-1].length is None:
                end = _Token("end", "", previous.end, previous.end + 1)
                self._fail(end, "only the last part may have no length", "':' and a length, such as :10")
            calls.append(replace(self._part(), restarts=restarts))
        if self.now.kind != "end":
            opens = "'(', " if self.tokens[self.position - 1].kind == "word" and calls[-1].length is None else ""
            length = "':' and a length, " if calls[-1].length is None else ""
            self._fail(self.now, self.now.misplaced, f"{opens}{length}'>' or the end")
        return Expression(self.text.strip(), tuple(calls))

    @cached_property
    def names(self) -> list[str]:
        return [*KINDS, *(f"{library}:" for library in LIBRARIES)]

    @property
    def now(self) -> _Token:
        return self.tokens[self.position]

    def _part(self) -> Call:
        factor = 1.0
        # A factor, unless it is a schedule that others are multiplied by.
        if (
            self.now.kind == "word"
            and self.now.text[0] in "0123456789.-+"
            and self.tokens[self.position + 1].text == "*"
        ):
            factor = self._number(self._next(), "a factor")
            self._take("*")
        calls = [self._call()]
        while self._take("*"):
            calls.append(self._call())
        *times, last = calls
        for each in times:
            if each.name == Average.name and not each.library:
                end = self.tokens[self.position - 1]
                self._fail(end, f"{Average.name} can only be the last of what is multiplied", "another schedule")
        return replace(last, factor=factor, times=tuple(times), length=self._length() if self._take(":") else None)

    def _call(self) -> Call:
        token = self._next()
        if token.kind != "word":
            what = f"{token.text!r} is not a schedule" if token.text else "a schedule is missing"
            self._fail(token, what, "one of " + ", ".join(self.names))
        self._refuse_foreign(token)
        library = token.text if self._is_library(token) and self._take(":") else ""
        if library and self.now.kind != "word":
            self._fail(self.now, f"the class of {library} is missing", f"its name, such as {EXAMPLES[library]}")
        name = self._next().text if library else token.text.lower().replace("_", "-")
        name, usual = (name, {}) if library else ALIASES.get(name, (name, {}))
        if not library and name not in KINDS:
            self._fail(token, f"{token.text!r} is not a schedule", "one of " + ", ".join(self.names), name)
        arguments = self._arguments(library, name) if self._take("(") else {}
        place = self._shown(token.start, self.tokens[self.position - 1].end) if library else ""
        late = self._length() if self._take("@") else None
        return Call(name, arguments, library, late=late, usual=usual, place=place)

    def _refuse_foreign(self, token: _Token) -> None:
        """Raise ExpressionError for the words of another library, which are more than an expression."""
        is_timm = token.text == "timm" and re.match(r":\s*-", self.text[token.end :])
        if is_timm or (token.text in FOREIGN and self.now.text == ":"):
            what = f"these are the words of another library\n  clfctl lr-preview {self.text.strip()!r} says it in ours"
            raise ExpressionError(what)

    def _is_library(self, token: _Token) -> bool:
        """Return whether a class follows: of a library, or of a module that no kind is called as."""
        if token.text in LIBRARIES:
            return True
        after, name = (self.tokens[min(self.position + n, len(self.tokens) - 1)] for n in (0, 1))
        is_kind = token.text.lower().replace("_", "-") in {*KINDS, *ALIASES}
        return (
            after.text == ":" and not is_kind and name.text.isidentifier() and _MODULE.fullmatch(token.text) is not None
        )

    def _arguments(self, library: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not self._take(")"):
            if found and not self._take(","):
                self._fail(self.now, self.now.misplaced, "',' or ')'")
            if found and self._take(")"):
                break
            token = self._next()
            if self.now.text == "=" and token.kind == "word":
                self._take("=")
                self._keep(found, library, name, token, self._next())
            else:
                self._keep(found, library, name, self._nth_parameter(library, name, len(found), token), token)
        return found

    def _nth_parameter(self, library: str, name: str, n: int, at: _Token) -> _Token:
        """Return the parameter that a value without a name belongs to, as a word that stands where the value does."""
        known = [] if library else parameters_of(KINDS[name])
        if at.kind == "end" or at.text in ("=", ",", ")"):
            self._fail(at, "an argument is missing" if at.text else "')' is missing", "parameter=value")
        if n >= len(known):
            expected = "parameter=value" if library else f"')': {name} has no more parameters"
            self._fail(at, "a value without a name", expected)
        return _Token("word", known[n].name, at.start, at.end)

    def _keep(self, found: dict[str, Any], library: str, kind: str, name: _Token, value: _Token) -> None:
        given = self._value(value)
        end = self.tokens[self.position - 1].end
        if library:
            found[name.text] = given
            if name.text == "every" and given not in ("epoch", "batch"):
                self._fail(value, f"{given!r} is not allowed", "epoch or batch")
            return
        known = {each.name: each for each in parameters_of(KINDS[kind])}
        known = {name: each for each in known.values() for name in (each.option, each.older) if name} | known
        parameter = known.get(name.text.lower().replace("-", "_"))
        if parameter is None:
            names = ", ".join(each.name for each in parameters_of(KINDS[kind]))
            self._fail(name, f"{kind} has no parameter {name.text!r}", f"one of {names}", name.text)
        if parameter.name in found:
            self._fail(name, f"{parameter.name} is given twice", "another parameter")
        try:
            found[parameter.name] = fit_value(given, parameter)
        except ValueError:
            at = _Token("word", self.text[value.start : end], value.start, end)
            self._fail(at, f"{parameter.name} of {kind} cannot be {at.text}", parameter.accepts)

    def _value(self, token: _Token) -> Any:
        if token.text == "[":
            items = list[Any]()
            while not self._take("]"):
                if items and not self._take(","):
                    self._fail(self.now, self.now.misplaced, "',' or ']'")
                items.append(self._value(self._next()))
            return tuple(items)
        if token.kind == "quoted":
            return token.text[1:-1]
        if token.kind != "word":
            self._fail(
                token, f"{token.text!r} is not a value" if token.text else "a value is missing", "a number or a word"
            )
        if token.text.lower() in _WORDS:
            return _WORDS[token.text.lower()]
        for number in (int, float):
            try:
                return number(token.text)
            except ValueError:
                continue
        return token.text

    def _length(self) -> Duration:
        token = self._next()
        try:
            length = parse_duration(token.text)
        except ValueError:
            length = Duration(0)
        if not length.value:
            what = f"{token.text!r} is not a length" if token.text else "a length is missing"
            self._fail(token, what, f"{DURATIONS}, more than 0")
        return length

    def _number(self, token: _Token, what: str) -> float:
        try:
            number = float(token.text)
        except ValueError:
            number = 0.0
        if not 0 < number < float("inf"):
            self._fail(token, f"{token.text!r} is not a number above 0", what)
        return number

    def _read(self) -> Iterator[_Token]:
        for match in _TOKEN.finditer(self.text.rstrip()):
            kind = str(match.lastgroup)
            yield _Token(kind, match[kind], match.start(kind), match.end(kind))

    def _next(self) -> _Token:
        token = self.now
        self.position = min(self.position + 1, len(self.tokens) - 1)
        return token

    def _take(self, sign: str) -> bool:
        if self.now.kind != "sign" or self.now.text != sign:
            return False
        self.position += 1
        return True

    def _fail(self, token: _Token, what: str, expected: str, word: str = "") -> NoReturn:
        close = nearest(word, self.names if "schedule" in what else expected.replace(",", "").split()) if word else ""
        raise ExpressionError(f"{what}; expected {expected}{self._shown(token.start, token.end)}", close)

    def _shown(self, start: int, end: int) -> str:
        """Return the lines that show a place of the expression with a caret."""
        return f"\n  {self.text.rstrip()}\n  {' ' * start}{'^' * max(1, end - start)}"
