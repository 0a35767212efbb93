"""Where things stand in a TOML document: the line of every key and of every element of a list.

Python's ``tomllib`` tells what a document says and not where. This walks over the same text along
the outlines of TOML: comments, the four kinds of strings, brackets, headers and keys. It accepts
more than TOML, since ``tomllib`` decides what is TOML, and takes a time proportional to the length.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, NoReturn, TypeAlias

__all__ = ["MAX_DEPTH", "MAX_LETTERS", "MAX_PLACES", "Path", "Positions", "Trouble", "locate"]

Path: TypeAlias = tuple[str | int, ...]

#: Keys and positions that lead to a value, parts of keys and elements of lists that are written,
#: and letters of a number or date, at most. No policy comes near. Beyond, ``tomllib`` would
#: overflow the stack, take the square of the length, or refuse an integer without saying where.
MAX_DEPTH, MAX_PLACES, MAX_LETTERS = 32, 50_000, 1000

_BASIC = r'"[^"\\\n]*+(?:\\.[^"\\\n]*+)*+"'
_LITERAL = r"'[^'\n]*+'"
_SPACE = re.compile(r"(?:[ \t\r\n]++|#[^\n]*+)*+")
_BETWEEN = re.compile(r"(?:[ \t\r\n,]++|#[^\n]*+)*+")
_PART = re.compile(rf"[ \t]*+(?:([^\s\"'#=\[\]{{}},.]++)|({_BASIC})|({_LITERAL}))[ \t]*+")
_STRING = re.compile(
    # A string of several lines may end in two quotes of its own.
    r'"""(?:[^"\\]++|\\[\s\S]|"(?!""))*+"{3,5}'
    r"|'''(?:[^']++|'(?!''))*+'{3,5}"
    rf"|(?!\"\"\"|'''){_BASIC}|(?!\"\"\"|'''){_LITERAL}"
)
# A number, a date, a word; between date and time there may be one space.
_BARE = re.compile(r"""[^\s,\[\]{}#"'=]++(?:[ ](?=\d\d:)[^\s,\[\]{}#"'=]++)?+""")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|x([0-9a-fA-F]{2})|(.))")
_ESCAPED = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", "e": "\x1b"}
_LAST_LETTER = 0x10FFFF

# How a key came to be there, which decides what may be added to it.
_Kind: TypeAlias = Literal["value", "dotted", "implied", "header", "tables"]


@dataclass(frozen=True)
class Trouble:
    """Why a document is no TOML, or more than is read.

    Attributes:
        line: Where that begins.
        said: What it is.
        is_excess: Whether it may be TOML, and is not to be parsed for its size.
    """

    line: int
    said: str
    is_excess: bool = False


@dataclass(frozen=True)
class Positions:
    """The places of a document.

    Attributes:
        lines: By path, the line: that of the key, for an element of a list that on which it begins,
            and for a table its header's. The document itself, the empty path, is on line 1.
        trouble: The first thing that is wrong, if it is one that this understands.
    """

    lines: Mapping[Path, int]
    trouble: Trouble | None = None

    def nearest(self, path: Path) -> Path:
        """Find what there is on the way to a place.

        Args:
            path: Keys and positions in lists. Positions in what is no list are passed over.

        Returns:
            The path as far as the document has it.
        """
        found: Path = ()
        for step in path:
            if (*found, step) in self.lines:
                found = (*found, step)
            elif isinstance(step, str):
                break
        return found

    def line(self, path: Path) -> int:
        """Find the line of a place, or of the last thing on the way to it that there is.

        Args:
            path: Keys and positions in lists.

        Returns:
            The line, counted from 1.
        """
        return self.lines[self.nearest(path)]


def locate(text: str) -> Positions:
    r"""Find the line of every key and element of a TOML document.

    Args:
        text: Anything. What is no TOML is walked as far as that can be understood.

    Returns:
        Their lines, after a time that is proportional to the length of the text.

    Example:
        >>> locate('[[rule]]\nname = "a"\nmax = { rank = 1 }').line(("rule", 0, "max", "rank"))
        3
    """
    walk = _Walk(text)
    with suppress(_EndOfWalk):
        walk.document()
    return Positions(walk.lines, walk.trouble)


class _EndOfWalk(Exception):  # noqa: N818 (no error: there is nothing more to walk over)
    pass


class _Walk:
    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.lines: dict[Path, int] = {(): 1}
        self.trouble: Trouble | None = None
        self._kinds: dict[Path, _Kind] = {}
        self._lengths: dict[Path, int] = {}
        self._reached = (0, 1)
        self._written = 0

    def document(self) -> None:
        """Walk over headers and pairs of keys and values."""
        table: Path = ()
        while sign := self._next():
            if sign == "[":
                table = self._header()
            else:
                self._value(self._key(table))

    def _header(self) -> Path:
        line, is_list = self._line(), self.text.startswith("[[", self.at)
        self.at += 1 + is_list
        *before, last = self._parts(())
        self._expect("]")
        self.at += is_list
        path: Path = ()
        for part in before:
            path = (*path, part)
            self._add(path, line, "implied", may_be=("implied", "header", "dotted", "tables"))
            path = self._latest(path)
        path = (*path, last)
        if not is_list:
            is_new = self._kinds.get(path) in {None, "implied"}
            self._add(path, line, "header", may_be=("implied",))
            if is_new:
                self.lines[path], self._kinds[path] = line, "header"
            return self._latest(path)
        self._add(path, line, "tables", may_be=("tables",))
        self._lengths[path] = self._lengths.get(path, 0) + 1
        path = self._latest(path)
        self._count(len(path))
        self.lines[path] = line
        return path

    def _latest(self, path: Path) -> Path:
        """Step into the last of several tables."""
        return (*path, self._lengths[path] - 1) if path in self._lengths else path

    def _key(self, table: Path) -> Path:
        """Walk over a key and its sign, and remember where it stands."""
        line = self._line()
        *before, last = self._parts(table)
        self._expect("=")
        path = table
        for part in before:
            path = (*path, part)
            self._add(path, line, "dotted", may_be=("dotted",))
        path = (*path, last)
        self._add(path, line, "value", may_be=())
        return path

    def _parts(self, table: Path) -> list[str]:
        parts = []
        while True:
            match = _PART.match(self.text, self.at)
            if match is None:
                raise _EndOfWalk
            bare, basic, literal = match.groups()
            if bare is None:
                bare = _ESCAPE.sub(_letter, basic[1:-1]) if basic else literal[1:-1]
            parts.append(bare)
            self._count(len(table) + len(parts))
            self.at = match.end()
            if not self.text.startswith(".", self.at):
                return parts
            self.at += 1

    def _value(self, path: Path) -> None:
        """Walk over a value and all that is in it, without recursion."""
        opened: list[_Opened] = []
        while True:
            sign = self._next()
            if sign and sign in "[{":
                opened.append(_Opened(path, self._line(), is_list=sign == "["))
                self.at += 1
            else:
                self._scalar(sign)
            self._close(opened)
            if not opened:
                return
            inner = opened[-1]
            if inner.is_list:
                path = (*inner.path, inner.count)
                inner.count += 1
                self._count(len(path))
                self.lines[path] = self._line()
            else:
                path = self._key(inner.path)

    def _close(self, opened: list[_Opened]) -> None:
        """Walk over what may stand between two values."""
        while opened:
            inner, sign = opened[-1], self._next(_BETWEEN)
            if not sign:
                kind = "list" if inner.is_list else "table"
                self._complain(inner.line, f"the {kind} that begins here has no end")
                raise _EndOfWalk
            if sign != ("]" if inner.is_list else "}"):
                return
            opened.pop()
            self.at += 1

    def _scalar(self, sign: str) -> None:
        is_string = sign in ('"', "'")
        match = (_STRING if is_string else _BARE).match(self.text, self.at)
        if match is None:
            if is_string:
                self._complain(self._line(), "the text that begins here has no end")
            raise _EndOfWalk
        if not is_string and match.end() - self.at > MAX_LETTERS:
            self._exceed(f"this number has more than {MAX_LETTERS:,} letters")
        self.at = match.end()

    def _next(self, space: re.Pattern[str] = _SPACE) -> str:
        """Walk over space and comments; return the letter behind, or nothing at the end."""
        match = space.match(self.text, self.at)
        assert match is not None
        self.at = match.end()
        return self.text[self.at : self.at + 1]

    def _expect(self, sign: str) -> None:
        if not self.text.startswith(sign, self.at):
            raise _EndOfWalk
        self.at += 1

    def _line(self) -> int:
        before, line = self._reached
        line += self.text.count("\n", before, self.at)
        self._reached = (self.at, line)
        return line

    def _add(self, path: Path, line: int, kind: _Kind, may_be: tuple[_Kind, ...]) -> None:
        """Remember a key; complain if it is there already, and is nothing to add to."""
        if path not in self.lines:
            self._kinds[path], self.lines[path] = kind, line
        elif self._kinds[path] not in may_be:
            self._complain(line, f"{path[-1]!r} is given twice")

    def _count(self, depth: int) -> None:
        """Go no further than a policy would."""
        self._written += 1
        if depth > MAX_DEPTH:
            self._exceed(f"this is nested more than {MAX_DEPTH} deep")
        if self._written > MAX_PLACES:
            self._exceed(f"there are more than {MAX_PLACES:,} keys and values")

    def _complain(self, line: int, said: str) -> None:
        self.trouble = self.trouble or Trouble(line, said)

    def _exceed(self, said: str) -> NoReturn:
        # Whatever else is wrong, this is not to be parsed.
        self.trouble = Trouble(self._line(), said, is_excess=True)
        raise _EndOfWalk


@dataclass
class _Opened:
    path: Path
    line: int
    is_list: bool
    count: int = 0


def _letter(match: re.Match[str]) -> str:
    digits = match[1] or match[2] or match[3]
    if digits is None:
        return _ESCAPED.get(match[4], match[4])
    code = int(digits, 16)
    return chr(code) if code <= _LAST_LETTER else ""
