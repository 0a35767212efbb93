"""TOML in any shape, written so that the line of every key and element is known."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from random import Random
from typing import Any, TypeAlias

from hypothesis import strategies as st

__all__ = ["Document", "documents", "written"]

Path: TypeAlias = tuple[str | int, ...]

# Texts that look like what they are not.
DECOYS = (
    "[[rule]]", '\n[[rule]]\nname = "decoy"\n', "max = 1", "\nmax = { rank = 1 }\n", "# no comment",
    "]", "}", "{ [", "'''", '"""', 'ends in "', "ends in ''", "\\", "\\n", "a,b = c", "tab\there",
    "\x1b[2J", "\u2028\x85\x0c", "Grüße 🙂",
)  # fmt: skip
_COMMENTS = ("#", "# [[rule]]", "# max = { rank = 1 }", '# it\'s """ open [ {', "#\tname = '''")
_BARE = re.compile(r"[A-Za-z0-9_-]+")


@dataclass
class Document:
    """A document, and where in it stands what.

    Attributes:
        text: The document.
        value: What it says.
        lines: By path, the line.
    """

    text: str
    value: dict[str, Any]
    lines: dict[Path, int] = field(default_factory=lambda: {(): 1})


@st.composite
def written(draw: st.DrawFn, value: Mapping[str, Any]) -> Document:
    """Write a value in a random shape."""
    # One seed for all of it: hundreds of choices would be drawn slowly one by one.
    writer = _Writer(Random(draw(st.integers(0, 2**32 - 1))))
    writer.table((), value)
    writer.filler()
    text = "".join(writer.parts)
    if writer.chance():
        text = text.replace("\n", "\r\n")
    return Document(text, dict(value), writer.lines)


def documents() -> st.SearchStrategy[Document]:
    """Any value, in a random shape."""
    keys = st.sampled_from([
        "a",
        "b",
        "rule",
        "max",
        "1",
        "a b",
        "",
        "a.b",
        "ü",
        "[[rule]]",
        '"',
        "'",
    ])
    scalars = st.one_of(
        st.sampled_from(DECOYS), st.integers(-9, 99), st.booleans(), st.just(0.5),
        st.just(date(2027, 1, 31)),
    )  # fmt: skip
    values = st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
        max_leaves=12,
    )
    return st.dictionaries(keys, values, max_size=4).flatmap(written)


class _Writer:
    def __init__(self, rng: Random) -> None:
        self.rng, self.line = rng, 1
        self.parts: list[str] = []
        self.lines: dict[Path, int] = {(): 1}

    def write(self, text: str) -> None:
        self.parts.append(text)
        self.line += text.count("\n")

    def chance(self) -> bool:
        return self.rng.random() < 0.5

    def one_of(self, choices: Sequence[str]) -> str:
        return self.rng.choice(choices)

    def filler(self) -> None:
        """Blank lines and comments."""
        for _ in range(self.rng.randint(0, 2)):
            self.write(self.one_of(["", "  ", *_COMMENTS, "\t" + _COMMENTS[1]]) + "\n")

    def table(self, path: Path, table: Mapping[str, Any]) -> None:
        """Pairs first, then tables with headers of their own."""
        headed = [key for key, value in table.items() if _may_be_headed(value) and self.chance()]
        self.pairs(path, {key: table[key] for key in table if key not in headed})
        for key in headed:
            self.headed((*path, key), table[key])

    def pairs(self, path: Path, pairs: Mapping[str, Any]) -> None:
        for key, value in pairs.items():
            self.filler()
            if value and isinstance(value, dict) and self.chance():
                self.dotted((*path, key), value, [key])
            else:
                self.lines[*path, key] = self.line
                self.write(self.one_of(["", "  "]) + self.key(key) + self.one_of(["=", " =\t"]))
                self.value((*path, key), value)
                self.write(self.one_of(["\n", "  \n", " # ] } ''' \"\n"]))

    def dotted(self, path: Path, table: Mapping[str, Any], keys: list[str], end: str = "\n") -> int:
        """Return the line of the first key: there the table begins."""
        begin = 0
        for count, (key, value) in enumerate(table.items()):
            if end == "\n":
                self.filler()
            elif count:
                self.write(end)
            if value and isinstance(value, dict) and self.chance():
                line = self.dotted((*path, key), value, [*keys, key], end)
            else:
                line = self.lines[*path, key] = self.line
                self.write(self.one_of([".", " . "]).join(map(self.key, [*keys, key])) + " = ")
                self.value((*path, key), value)
                self.write(end if end == "\n" else "")
            begin = begin or line
        self.lines[path] = begin
        return begin

    def headed(self, path: Path, value: Any) -> int:
        """Return the line of the first header that names it."""
        if isinstance(value, list):
            begins = []
            for place, each in enumerate(value):
                begins.append(self.header((*path, place), "[[", "]]"))
                self.table((*path, place), each)
            self.lines[path] = begins[0]
            return begins[0]
        inner = {key: each for key, each in value.items() if _may_be_headed(each)}
        if not inner or self.chance():
            begin = self.header(path, "[", "]")
            self.table(path, value)
            return begin
        # The tables inside come first, so that its own header may be missing.
        begin = min(self.headed((*path, key), each) for key, each in inner.items())
        rest = {key: each for key, each in value.items() if key not in inner}
        if rest or self.chance():
            self.header(path, "[", "]")
            self.pairs(path, rest)
        else:
            self.lines[path] = begin
        return begin

    def header(self, path: Path, start: str, end: str) -> int:
        self.filler()
        line = self.lines[path] = self.line
        space = self.one_of(["", " "])
        keys = [self.key(step) for step in path if isinstance(step, str)]
        self.write(start + space + self.one_of([".", " . "]).join(keys) + space + end)
        self.write(self.one_of(["\n", " # [[rule]]\n"]))
        return line

    def key(self, key: str) -> str:
        if _BARE.fullmatch(key) and self.chance():
            return key
        if "'" not in key and key.isprintable() and self.chance():
            return f"'{key}'"
        return f'"{self.escaped(key)}"'

    def escaped(self, text: str, kept: str = "") -> str:
        said = []
        for letter in text:
            if letter in kept:
                said.append(letter)
            elif letter in '\\"':
                said.append(f"\\{letter}")
            elif letter < " " or letter == "\x7f" or self.rng.random() < 0.1:
                said.append(
                    f"\\U{ord(letter):08x}" if ord(letter) > 0xFFFF else f"\\u{ord(letter):04X}"
                )
            else:
                said.append(letter)
        return "".join(said)

    def value(self, path: Path, value: Any) -> None:
        if isinstance(value, dict):
            self.inline(path, value)
        elif isinstance(value, list):
            self.listed(path, value)
        elif isinstance(value, str):
            self.string(value)
        else:
            self.write(str(value).lower() if isinstance(value, bool) else str(value))

    def string(self, text: str) -> None:
        has_control = any((each < " " and each not in "\t\n") or each == "\x7f" for each in text)
        kinds = ["basic", "long basic"]
        if not has_control and "'''" not in text:
            kinds.append("long literal")
        if not has_control and "'" not in text and "\n" not in text:
            kinds.append("literal")
        kind = self.one_of(kinds)
        if kind == "basic":
            self.write(f'"{self.escaped(text)}"')
        elif kind == "literal":
            self.write(f"'{text}'")
        elif kind == "long literal":
            self.write(f"'''\n{text}'''")
        else:
            # A newline behind the quotes is none of the text, nor is space behind a backslash.
            starts = ['"""\n', '"""\\\n   \n  '][: 1 if text[:1].isspace() else 2]
            kept = "\n\t" if '"""' in text else '\n\t"'
            self.write(self.one_of(starts) + self.escaped(text, kept) + '"""')

    def space(self) -> None:
        """What may stand between the elements of a list."""
        self.write(self.one_of(["", " ", "\n", "\n\n  ", " # ] it's\n", "\n# [[rule]]\n"]))

    def listed(self, path: Path, values: Sequence[Any]) -> None:
        self.write("[")
        for place, each in enumerate(values):
            self.space()
            self.lines[*path, place] = self.line
            self.value((*path, place), each)
            self.space()
            self.write("," if place + 1 < len(values) or self.chance() else "")
        self.space()
        self.write("]")

    def inline(self, path: Path, table: Mapping[str, Any]) -> None:
        self.write("{" + self.one_of(["", " "]))
        for place, (key, value) in enumerate(table.items()):
            self.write(self.one_of([",", " , "]) if place else "")
            if value and isinstance(value, dict) and self.chance():
                self.dotted((*path, key), value, [key], ", ")
                continue
            self.lines[*path, key] = self.line
            self.write(self.key(key) + self.one_of(["=", " = "]))
            self.value((*path, key), value)
        self.write(self.one_of(["", " "]) + "}")


def _may_be_headed(value: Any) -> bool:
    return isinstance(value, dict) or (
        isinstance(value, list) and bool(value) and all(isinstance(each, dict) for each in value)
    )
