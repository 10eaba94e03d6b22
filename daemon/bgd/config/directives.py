"""nginx's configuration taken apart as nginx does it: directives, where they stand, and within what.

Rules that live here: a `#` begins a comment, and a quote counts, only where a word could begin; a `}` within
a word is part of it; a body of Lua is no directives. A text is read as far as nginx would read it, which has
a word of its own for the rest.
"""

import re
from collections.abc import Iterator

import attrs

TOKEN = re.compile(
    r"""[\ \t\r\n]*+
    (?:(?P<comment>\#[^\n]*)
    |(?P<mark>[;{}])
    |(?P<word>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|(?!["'])(?:\\.|\$\{|[^\ \t\r\n;{\\])++))""",
    re.DOTALL | re.VERBOSE,
)
"""A comment, a mark or a word, and the blanks before it."""
_ESCAPED = re.compile(r"""\\(["'\\])""")
_LUA = re.compile(
    r"""(?:--)?\[(?P<level>=*)\[(?:.*?\](?P=level)\]|.*)
    |--[^\n]*
    |"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'
    |(?P<brace>[{}])""",
    re.DOTALL | re.VERBOSE,
)


@attrs.frozen
class Directive:
    """One directive without quotes, its name first, and its place in the text with them."""

    words: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]
    """From where to where each word stands."""
    line: int
    within: tuple[str, ...]
    """The names of the blocks around it, the outermost first."""
    block: int
    """Where the innermost of these blocks begins: the same for all that stand in it; -1 for none."""
    end: int
    """Just behind its `;` or `{`."""
    opens: bool
    """Whether it begins a block."""

    @property
    def name(self) -> str:
        return self.words[0]

    @property
    def values(self) -> tuple[str, ...]:
        return self.words[1:]


def directives(text: str, within: tuple[str, ...] = ()) -> Iterator[Directive]:
    """The directives of a text that is loaded within these blocks, in order."""
    names, blocks, spans = list(within), [-1] * (len(within) + 1), list[tuple[int, int]]()
    at, line, counted = 0, 1, 0
    while found := TOKEN.match(text, at):
        at = found.end()
        if found["word"]:
            spans.append(found.span("word"))
        elif found["mark"] and bool(spans) == (found["mark"] == "}"):
            return
        elif found["mark"] == "}":
            if len(names) == len(within):
                return
            names.pop()
            blocks.pop()
        elif found["mark"]:
            line, counted = line + text.count("\n", counted, spans[0][0]), spans[0][0]
            words, opens = tuple(_bare(text[slice(*span)]) for span in spans), found["mark"] == "{"
            yield Directive(words, tuple(spans), line, tuple(names), blocks[-1], at, opens)
            if opens and words[0].endswith("_by_lua_block"):
                at = _behind_lua(text, at)
            elif opens:
                names.append(words[0])
                blocks.append(at)
            spans = []


def quoted(word: str) -> str:
    """One word, whatever is in it."""
    return '"' + re.sub(r'(["\\])', r"\\\1", word) + '"'


def _bare(written: str) -> str:
    inner = written[1:-1] if written[0] in "\"'" else written
    return _ESCAPED.sub(r"\1", inner) if "\\" in inner else inner


def _behind_lua(text: str, at: int) -> int:
    """Behind the brace that ends a body of Lua."""
    depth = 1
    for found in _LUA.finditer(text, at):
        depth += {"{": 1, "}": -1}.get(found["brace"] or "", 0)
        if not depth:
            return found.end()
    return len(text)
