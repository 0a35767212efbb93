from __future__ import annotations

from onnxprobe.graph.names import FreshNames
from tests.graph.models import branching, opened


def test_a_free_name_is_given_as_wanted() -> None:
    assert FreshNames(opened(branching()).names).name("new") == "new"


def test_a_taken_name_is_numbered() -> None:
    """Taken in the main graph or in a body; given before counts as taken."""
    fresh = FreshNames(opened(branching()).names)
    assert [fresh.name("h"), fresh.name("up"), fresh.name("h")] == ["h@2", "up@2", "h@3"]
    assert [fresh.name("new"), fresh.name("new")] == ["new", "new@2"]


def test_a_copy_of_a_copy_is_numbered_once() -> None:
    """Bodies are copied level by level: names must not grow with the depth."""
    fresh = FreshNames(opened(branching()).names)
    names = ["new"]
    for _ in range(4):
        names.append(fresh.name(names[-1]))
    assert names == ["new", "new", "new@2", "new@3", "new@4"]
