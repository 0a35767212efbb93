"""Every version of every operator that has a rule, by models written for the opset that has it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, defs

from onnxprobe.graph import operator_coverage
from onnxprobe.graph.flow import RANDOM_OPERATORS
from onnxprobe.graph.tangent.registry import since_version
from tests.graph.tangent.checker import Verdict, check_tangents
from tests.graph.tangent.classical_cases import CLASSICAL
from tests.graph.tangent.contrib_cases import CONTRIB
from tests.graph.tangent.control_models import control_models
from tests.graph.tangent.node_cases import node_cases
from tests.graph.tangent.sequence_models import GRAPHS, X, sequence_model
from tests.graph.tangent.specs import SPECS
from tests.graph.tangent.version_cases import version_cases
from tests.graph.tangent.versions import as_stored, operators, retargeted

# Models tried for each version.
DONORS = 3
# Checked with the operators of other domains: onnx's evaluator does not know them.
ELSEWHERE = {case.node.op_type for case in [*CLASSICAL, *CONTRIB] if not case.node.domain}

# Neither runtime nor evaluator has these, whose texts differ from the version before in the types
# that they allow.
# LinearAttention's evaluator rounds to float32, and no difference of it is decided.
NOT_RUN = {("GlobalLpPool", 22), ("LinearAttention", 27), ("Optional", 28)}

_Donor = tuple[str, ModelProto, dict[str, Any]]


def _keys() -> list[tuple[str, int]]:
    found = [
        (each.operator, each.since)
        for each in operator_coverage()
        if each.domain == "" and each.how in {"rule", "expansion"}
    ]
    known = [key for key in found if key[0] not in ELSEWHERE and key not in NOT_RUN]
    return [key for key in known if not defs.get_schema(key[0], max(key[1], 9)).deprecated]


def _donors() -> Iterator[_Donor]:
    for spec in SPECS:
        yield str(spec), *spec.model()
    yield from control_models()
    for name, nodes in GRAPHS.items():
        yield name, sequence_model(nodes, ["x", "y"]), {"x": X, "y": X + np.float32(0.3)}
    for name, proto, feeds in node_cases():
        integers = [
            each
            for each, fed in feeds.items()
            if isinstance(fed, np.ndarray) and fed.dtype.kind in "iub"
        ]
        rest = {each: fed for each, fed in feeds.items() if each not in integers}
        yield name, as_stored(feeds, proto, integers), rest


@cache
def _by_operator() -> dict[str, list[_Donor]]:
    found: dict[str, list[_Donor]] = defaultdict(list)
    for donor in _donors():
        used = {operator for domain, operator in operators(donor[1]) if domain == ""}
        # What is drawn differs from run to run.
        if not used & RANDOM_OPERATORS:
            for operator in used:
                found[operator].append(donor)
    return found


def _verdicts(operator: str, version: int) -> Iterator[tuple[str, Verdict]]:
    """Check models that have an operator at a version, until some of them are decided."""
    decided = 0
    cases = version_cases().get((operator, version), [])
    for place, (proto, feeds, reference) in enumerate(cases):
        yield str(place), _check(proto, feeds, reference)
    for label, proto, feeds in _by_operator()[operator]:
        if cases or decided == DONORS:
            return
        written = retargeted(proto, operator, version)
        if written is not None:
            verdict = _check(written, feeds, proto)
            yield label, verdict
            decided += verdict.status == "exact"


def _check(proto: ModelProto, feeds: dict[str, Any], reference: ModelProto) -> Verdict:
    verdict = check_tangents(proto, feeds, reference=reference, directions=(1, 3))
    # The evaluator stacks what loops give in its own way.
    if verdict.status != "refused" or not {("", "Loop"), ("", "Scan")}.isdisjoint(operators(proto)):
        return verdict
    return check_tangents(
        proto, feeds, reference=reference, directions=(1, 3), without_runtime=True
    )


@pytest.mark.parametrize("key", _keys(), ids=lambda key: f"{key[0]}-{key[1]}")
def test_every_version_of_an_operator_is_exact(key: tuple[str, int]) -> None:
    operator, version = key
    assert since_version("", operator, {"ai.onnx": max(version, 9)}) == version
    verdicts = dict(_verdicts(operator, version))
    wrong = {label: each.detail for label, each in verdicts.items() if each.status == "wrong"}
    assert wrong == {}
    assert any(each.status == "exact" for each in verdicts.values()), verdicts
