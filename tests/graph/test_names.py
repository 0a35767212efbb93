from __future__ import annotations

from onnxprobe.graph.names import FreshNames
from tests.graph.models import branching, opened


def test_a_free_name_is_given_as_wanted() -> None:
    assert FreshNames(opened(branching())).name("new") == "new"


def test_a_taken_name_is_numbered() -> None:
    """Taken in the main graph or in a body; given before counts as taken."""
    fresh = FreshNames(opened(branching()))
    assert [fresh.name("h"), fresh.name("up"), fresh.name("h")] == ["h2", "up2", "h3"]
    assert [fresh.name("new"), fresh.name("new")] == ["new", "new2"]
