"""The tables of rules."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from onnxprobe.graph.tangent.node import Node
from onnxprobe.graph.tangent.registry import Result, Rules, Table


def _rule(_: Node) -> Sequence[Result]:
    return []


def test_a_second_rule_for_a_version_is_refused() -> None:
    table: Rules = Table()
    table.add("Relu", _rule, since=13, before=14)
    with pytest.raises(ValueError, match=r"^two rules for \('', 'Relu', 13\)$"):
        table.add("Relu", _rule)


def test_a_version_that_does_not_exist_is_refused() -> None:
    table: Rules = Table()
    with pytest.raises(ValueError, match="Relu has no version from 15 to"):
        table.add("Relu", _rule, since=15)


def test_a_rule_covers_the_versions_of_its_range() -> None:
    table: Rules = Table()
    table.add("Clip", _rule, since=11, before=13)
    assert [*table] == [("", "Clip", 11), ("", "Clip", 12)]
    assert table.find("", "Clip", 12) is _rule
    assert table.find("", "Clip", 13) is None
