"""The errors: what the tree at the top of their file says is what their classes are."""

from __future__ import annotations

import inspect
import re

import pytest

import onnxprobe
from onnxprobe import errors
from onnxprobe.analysis.api import IncompleteError
from onnxprobe.errors import (
    DataError,
    ExposureError,
    ModelError,
    OnnxProbeError,
    PolicyError,
    RunError,
)
from tests.graph.messages import exactly


@pytest.mark.parametrize(
    ("error", "parent", "exit_code"),
    [
        (OnnxProbeError, Exception, 5),
        (ModelError, OnnxProbeError, 3),
        (RunError, OnnxProbeError, 4),
        (ExposureError, RunError, 4),
        (IncompleteError, RunError, 4),
        (DataError, OnnxProbeError, 2),
        (PolicyError, OnnxProbeError, 2),
    ],
)
def test_an_error_has_its_parent_and_exit_code(
    error: type[OnnxProbeError], parent: type[Exception], exit_code: int
) -> None:
    assert error.__bases__ == (parent,)
    assert error.exit_code == exit_code


def test_the_exit_code_is_that_of_the_error_that_is_raised() -> None:
    """Where it is caught as any of ours."""
    with pytest.raises(OnnxProbeError, match=exactly("a sentence")) as caught:
        raise ExposureError("a sentence")
    assert caught.value.exit_code == 4


def test_the_tree_that_is_drawn_is_the_tree_that_is() -> None:
    """Names, parents by depth, and exit codes, which a line leaves out where its parent has it."""
    assert errors.__doc__ is not None
    path: list[str] = []
    drawn = {}
    for line in errors.__doc__.splitlines():
        found = re.match(r"    ([│├└─ ]*)(\w+Error)( +(\d) )?", line)
        if found is None:
            continue
        depth = len(found[1]) // 4
        path[depth:] = [found[2]]
        drawn[found[2]] = (path[depth - 1] if depth else "Exception", found[4])
    defined = {
        name: (each.__bases__[0].__name__, str(each.exit_code))
        for name, each in vars(errors).items()
        if inspect.isclass(each) and issubclass(each, OnnxProbeError)
    }
    # The root is never raised itself, so no code stands beside it.
    told = {name: code or drawn[parent][1] or "5" for name, (parent, code) in drawn.items()
            if parent in drawn} | {"OnnxProbeError": "5"}  # fmt: skip
    assert {name: parent for name, (parent, _) in drawn.items()} == {
        name: parent for name, (parent, _) in defined.items()
    }
    assert told == {name: code for name, (_, code) in defined.items()}
    assert sorted(drawn) == errors.__all__


def test_every_error_can_be_caught_by_a_name_that_the_package_offers() -> None:
    """The one of who can act on it, not only the root."""
    for name in errors.__all__:
        kinds = [kind.__name__ for kind in getattr(errors, name).__mro__]
        groups = set(kinds) & set(onnxprobe.__all__) - {"OnnxProbeError"}
        assert groups or name == "OnnxProbeError", name
        assert all(getattr(onnxprobe, each) is getattr(errors, each) for each in groups)


@pytest.mark.parametrize("name", errors.__all__)
def test_a_message_is_the_sentence_that_was_given(name: str) -> None:
    """Nothing is added, and a foreign cause is kept."""
    kind = getattr(errors, name)
    cause = OSError("no space")
    with pytest.raises(kind, match=exactly("what was given, what to do next")) as caught:
        raise kind("what was given, what to do next") from cause
    assert str(caught.value) == "what was given, what to do next"
    assert caught.value.__cause__ is cause
