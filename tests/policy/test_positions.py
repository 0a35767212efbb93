"""On which line of a TOML document its keys and elements stand."""

from __future__ import annotations

import time
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxprobe.policy.positions import (
    MAX_DEPTH,
    MAX_LETTERS,
    MAX_PLACES,
    Path,
    Positions,
    Trouble,
    locate,
)
from tests.policy.toml_documents import Document, documents

TABLES = """\
name = "a"              # 1
[[rule]]                # 2
name = 'first'
tensors = [             # 4
  "a", "b",
  # "c",
  "d]", 'e"',           # 7
]
[[rule]]                # 9

"name" = "second"       # 11
'max'.rank = 1          # 12
max . "bits".noise = 1  # 13
[rule.min]              # 14
rank = 1
[[rule]]                # 16
[ rule . "max" ]        # 17
dof = 3
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ((), 1),
        (("name",), 1),
        (("rule",), 2),
        (("rule", 0), 2),
        (("rule", 0, "name"), 3),
        (("rule", 0, "tensors"), 4),
        (("rule", 0, "tensors", 0), 5),
        (("rule", 0, "tensors", 1), 5),
        (("rule", 0, "tensors", 2), 7),
        (("rule", 0, "tensors", 3), 7),
        (("rule", 1), 9),
        (("rule", 1, "name"), 11),
        (("rule", 1, "max"), 12),
        (("rule", 1, "max", "rank"), 12),
        (("rule", 1, "max", "bits"), 13),
        (("rule", 1, "max", "bits", "noise"), 13),
        (("rule", 1, "min"), 14),
        (("rule", 1, "min", "rank"), 15),
        (("rule", 2), 16),
        (("rule", 2, "max"), 17),
        (("rule", 2, "max", "dof"), 18),
        # What there is not stands where it would have to.
        (("rule", 0, "role"), 2),
        (("rule", 0, "tensors", 9), 4),
        (("rule", 2, "max", "rank"), 17),
        (("waiver",), 1),
        # A position in what is no list is passed over.
        (("rule", 1, "max", "bits", 0, "noise"), 13),
        (("rule", 0, "name", 0), 3),
    ],
)
def test_keys_elements_and_headers_are_found(path: Path, line: int) -> None:
    for text in (TABLES, TABLES.replace("\n", "\r\n")):
        assert locate(text).line(path) == line


@pytest.mark.parametrize(
    ("text", "path", "line"),
    [
        # What looks like a header or a key, in the four kinds of strings and in comments.
        ('x = """\n[[rule]]\nname = 1\n"""\n[[rule]]\nname = 1', ("rule", 0, "name"), 6),
        ("x = '''\n[[rule]]\nname = 1\n'''\n[[rule]]\nname = 1", ("rule", 0, "name"), 6),
        ('x = "[[rule]]"\n[[rule]]\nname = 1', ("rule", 0), 2),
        ("x = '[[rule]]'\n[[rule]]\nname = 1", ("rule", 0), 2),
        ("# [[rule]]\n[[rule]] # name = 1\nname = 1", ("rule", 0, "name"), 3),
        ("[[rule]]\nx = 'name = 1'\nname = 1", ("rule", 0, "name"), 3),
        # Quotes and backslashes at the ends of strings.
        ('x = """a\n\\"""\n"""\ny = 1', ("y",), 4),
        ('x = """"a\n"" """""\ny = 1', ("y",), 3),
        ("x = ''''a\n'' '''''\ny = 1", ("y",), 3),
        ("x = '''\\'''\ny = 1", ("y",), 2),
        ('x = "\\\\"\ny = 1', ("y",), 2),
        ("x = ''\ny = '\\'\nz = 1", ("z",), 3),
        ('x = """\\\n  \n  a"""\ny = 1', ("y",), 4),
        # Rules and waivers in one line, and in several.
        ("rule = [{ name = 1, max = { rank = 1 } }]", ("rule", 0, "max", "rank"), 1),
        ("rule = [\n{ name = 1 },\n{ name = 2,\tmax.rank = 2 },\n]", ("rule", 1, "max", "rank"), 3),
        ("waiver = [\n{ rule = [\n1,\n2 ] },\n]", ("waiver", 0, "rule", 1), 4),
        ("x = { y = [\n{ z = 1 },\n{ z = 2 } ], w = 3 }", ("x", "w"), 3),
        ("x = [[1,\n2],\n[3]]", ("x", 1, 0), 3),
        # Keys with quotes, dots, escapes, and those that look like numbers.
        ('"a.b" = 1\na.b = 2', ("a", "b"), 2),
        ('"a\\u0062\\t" = 1', ("ab\t",), 1),
        ('"\\U0001F642" = 1\nA = 1\na = 2', ("🙂",), 1),
        ("a = 1\nA = 2", ("A",), 2),
        ("\n'' = 1", ("",), 2),
        ("\n1.2 = 3", ("1", "2"), 2),
        ("a.b = 1\n\na.c = 2", ("a",), 1),
        # Tables that headers below imply.
        ("[a.b.c]\n[a.d]\n", ("a",), 1),
        ("[a.b.c]\n[a]\nx = 1", ("a",), 2),
        ("[a.b.c]\n[a]\nx = 1", ("a", "b"), 1),
        ("[[a.b]]\n[[a.b]]\n[a.b.c]\nx = 1", ("a", "b", 1, "c", "x"), 4),
        ("[[a]]\n[[a.b]]\n[[a]]\n[[a.b]]\n[[a.b]]", ("a", 1, "b", 1), 5),
        ("[a]\nb.c = 1\n[a.b.d]\nx = 1", ("a", "b", "d"), 3),
        # Dates and numbers.
        ("x = [1979-05-27 07:32:00Z,\n1979-05-27 07:32:00,\n1e5]\ny = 1", ("x", 2), 3),
    ],
)  # fmt: skip
def test_every_shape_is_walked_over(text: str, path: Path, line: int) -> None:
    for each in (text, text.replace("\n", "\r\n")):
        tomllib.loads(each)
        positions = locate(each)
        assert positions.lines[path] == line
        assert positions.trouble is None


def _paths(value: Any, path: Path = ()) -> Iterator[Path]:
    """The slow obvious way to all paths of a value."""
    yield path
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _paths(each, (*path, key))
    elif isinstance(value, list):
        for place, each in enumerate(value):
            yield from _paths(each, (*path, place))


@given(documents())
@settings(max_examples=300, deadline=None)
def test_any_document_is_walked_over(document: Document) -> None:
    assert tomllib.loads(document.text) == document.value
    assert set(document.lines) == set(_paths(document.value))
    assert locate(document.text) == Positions(document.lines)


_PIECES = st.sampled_from(
    ["a", "b", "c.a", "=", " = ", "1", "'", '"', "'''", '"""', "[", "]", "[[", "]]", "{", "}", ",",
     ".", "#", "\n", "\r\n", "\\", "\\u0061", " ", "\n[a]\n", "\n[[a]]\n", "\na = 1\n", "\nb.a = ",
     "[a.b]\n", "= '1'\n", "true", "07:32:00", "1979-05-27 07:32:00", "é", "\t"],
)  # fmt: skip


def _is_walked_over(text: str) -> bool:
    """Compare with tomllib; tell whether that takes the text for TOML."""
    positions = locate(text)
    try:
        value = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    assert set(positions.lines) == set(_paths(value))
    assert positions.trouble is None
    return True


@given(st.lists(_PIECES, max_size=9).map("".join))
@settings(max_examples=1000, deadline=None)
def test_whatever_tomllib_reads_is_walked_over_to_its_end(text: str) -> None:
    _is_walked_over(text)


@given(documents(), st.data())
@settings(max_examples=300, deadline=None)
def test_a_damaged_document_is_walked_over_as_tomllib_does(document: Document, data: Any) -> None:
    at = data.draw(st.integers(0, len(document.text)))
    end = data.draw(st.integers(at, min(len(document.text), at + 3)))
    piece = data.draw(_PIECES | st.just(""))
    _is_walked_over(document.text[:at] + piece + document.text[end:])


MEBIBYTE = 2**20
HOSTILE = {
    "numbers": "a=[" + "1," * (MEBIBYTE // 2),
    "numbers on lines": "a=[" + "1,\n" * (MEBIBYTE // 3),
    "texts": "a=[" + '"",' * (MEBIBYTE // 3),
    "tables in a list": "a=[" + "{a=1}," * (MEBIBYTE // 6),
    "headers": "[[a]]\n" * (MEBIBYTE // 6),
    "keys": "".join(f"a{place}=1\n" for place in range(MEBIBYTE // 9)),
    "one key, dotted": "a" + ".a" * (MEBIBYTE // 2),
    "one header, dotted": "[a" + ".a" * (MEBIBYTE // 2),
    "many keys, dotted": "".join("a." * 30 + f"a{place}=1\n" for place in range(MEBIBYTE // 68)),
    "many keys, escaped": "".join(f'"\\t"."\\t".a{place}=1\n' for place in range(MEBIBYTE // 19)),
    "lists in lists": "a=" + "[" * MEBIBYTE,
    "tables in tables": "a=" + "{a=" * (MEBIBYTE // 3),
    "digits": "a=" + "1" * MEBIBYTE,
    "new lines": "\n" * MEBIBYTE,
    "carriage returns": "\r" * MEBIBYTE,
    "comments": "#\n" * (MEBIBYTE // 2),
    "commas": "a=[" + "," * MEBIBYTE,
    "spaces": "a" + " " * MEBIBYTE,
    "a text": 'a="' + "x" * MEBIBYTE + '"',
    "escapes": 'a="' + "\\n" * (MEBIBYTE // 2),
    "a long text": 'a="""' + '""a' * (MEBIBYTE // 3),
    "a long literal": "a='''" + "''a" * (MEBIBYTE // 3),
    "long escapes": 'a="""' + '\\"' * (MEBIBYTE // 2),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_mebibyte_takes_less_than_a_second(kind: str) -> None:
    text = HOSTILE[kind]
    assert len(text) > MEBIBYTE * 0.9
    begin = time.process_time()
    positions = locate(text)
    # The slowest takes 0.2 s on a core that is shared with others.
    assert time.process_time() - begin < 1
    assert len(positions.lines) <= MAX_PLACES + 1


def test_what_no_policy_needs_is_not_to_be_parsed() -> None:
    deep = f"this is nested more than {MAX_DEPTH} deep"
    many = f"there are more than {MAX_PLACES:,} keys and values"
    long = f"this number has more than {MAX_LETTERS:,} letters"
    for text, line, said in (
        ("\na = " + "[" * (MAX_DEPTH + 1), 2, deep),
        ("\na = " + "[\n" * (MAX_DEPTH - 1) + "{ a = 1", MAX_DEPTH + 1, deep),
        ("\n" + "a." * MAX_DEPTH + "a = 1", 2, deep),
        ("\n[" + "a." * MAX_DEPTH + "a]", 2, deep),
        ("a = [\n" + "1,\n" * MAX_PLACES, MAX_PLACES + 1, many),
        ("\na = 1" + "0" * MAX_LETTERS, 2, long),
        # Whatever else is wrong.
        ("a = 1\na = 2\n" + "a." * MAX_DEPTH + "a = 1", 3, deep),
    ):
        assert locate(text).trouble == Trouble(line, said, is_excess=True)
    for text in (
        "a = " + "[" * MAX_DEPTH + "]" * MAX_DEPTH,
        "[" + "a." * (MAX_DEPTH - 1) + "a]",
        "a = [" + "1," * (MAX_PLACES - 1) + "]",
        "a = 1" + "0" * (MAX_LETTERS - 1),
    ):
        tomllib.loads(text)
        assert locate(text).trouble is None
