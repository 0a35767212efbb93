"""Node data for Model Explorer, held against what the viewer documents and does with it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from onnxprobe.record import Report
from onnxprobe.report.heatmap import render_heatmap
from tests.reports import report, tensor
from tests.trust.test_names import PAYLOADS


def _drawn(found: Report) -> dict[str, Any]:
    """Read a heat-map as the viewer documents it: of one graph, a value by node."""
    document: dict[str, Any] = json.loads(render_heatmap(found))
    assert set(document) == {"name", "results", "thresholds"}
    assert isinstance(document["name"], str)
    for each in document["results"].values():
        assert set(each) == {"value"}
        assert isinstance(each["value"], float)
    limits = [each["value"] for each in document["thresholds"]]
    assert limits == sorted(limits)
    assert limits[-1] >= max((each["value"] for each in document["results"].values()), default=0)
    for each in document["thresholds"]:
        assert set(each) == {"value", "bgColor", "textColor"}
        assert all(
            each[key][0] == "#" and int(each[key][1:], 16) >= 0 for key in each.keys() - {"value"}
        )
    return document


def _values(found: Report) -> dict[str, float]:
    return {node: each["value"] for node, each in _drawn(found)["results"].items()}


def test_a_heat_map_has_a_value_by_node() -> None:
    """By the node's name, which is what the viewer's adapter for ONNX calls it."""
    found = report(tensor("a", node="first"), tensor("b", node="second", release=[]))
    assert _drawn(found)["name"] == "onnxprobe: recoverable share at noise 0.1"
    assert _values(found) == {"first": 0.62}


def test_where_nothing_is_known_of_recovery_it_shows_ranks_then_degrees_of_freedom() -> None:
    ranks = report(tensor("b", node="second", release=[]))
    assert _values(ranks) == {"second": 1.0}
    assert _drawn(ranks)["name"] == "onnxprobe: Jacobian rank share"
    bare = report(tensor("c", node="third", release=[], jacobian=None))
    assert _values(bare) == {"third": 0.84}
    assert _values(report()) == {}


def test_a_node_has_the_largest_value_of_its_outputs() -> None:
    quiet = tensor("low", node="split", release=[], jacobian=None)
    assert quiet.dof is not None
    quiet = quiet.model_copy(update={"dof": quiet.dof.model_copy(update={"share": 0.2})})
    loud = tensor("high", node="split", release=[], jacobian=None)
    for order in ([quiet, loud], [loud, quiet]):
        assert _values(report(*order)) == {"split": 0.84}


def test_what_is_attained_counts_where_it_is_more() -> None:
    record = tensor("a", node="n")
    release = [record.release[0].model_copy(update={"attained": 0.9})]
    assert _values(report(record.model_copy(update={"release": release}))) == {"n": 0.9}


def test_a_node_without_a_name_goes_by_its_outputs() -> None:
    assert _values(report(tensor("a", node="#4"))) == {"a": 0.62}


def test_a_share_above_1_has_a_colour() -> None:
    record = tensor("a", node="n", release=[], jacobian=None)
    assert record.dof is not None
    many = record.model_copy(update={"dof": record.dof.model_copy(update={"share": 1.7})})
    assert _drawn(report(many))["thresholds"][-1]["value"] == 1.7


def test_a_name_that_would_make_the_file_another_one_is_left_out() -> None:
    """The viewer looks for `results` within `results` to tell one graph from several."""
    found = report(tensor("a", node="results"), tensor("b", node="n"), tensor("results", node="#1"))
    assert _values(found) == {"n": 0.62}


@pytest.mark.parametrize("name", PAYLOADS.values(), ids=PAYLOADS)
def test_any_name_is_a_key(name: str) -> None:
    assert _values(report(tensor("a", node=name))) == {name: 0.62}
    assert render_heatmap(report(tensor("a", node=name))).isascii()


def test_half_of_a_letter_survives() -> None:
    assert _values(report(tensor("b\udcff", node="#0"))) == {"b\udcff": 0.62}
