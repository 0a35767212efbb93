"""onnx's own test cases that a derivative can be asked of."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from onnx import ModelProto
from onnx.backend.test.case.node import collect_testcases

from tests.graph.tangent.checker import default_sources

__all__ = ["SLOW", "node_cases"]

# The reference evaluator takes half a minute for each of these; smaller ones of the kind are there.
SLOW = {"test_averagepool_3d_default", "test_lppool_3d_default", "test_maxpool_3d_default"}

_Case = tuple[str, ModelProto, dict[str, Any]]


def node_cases() -> Iterator[_Case]:
    """Cases with a float input that is data and a float output."""
    with warnings.catch_warnings():
        # Some cases overflow on purpose.
        warnings.simplefilter("ignore")
        found = collect_testcases(None)
    for case in found:
        if case.model is None or not case.data_sets or case.name in SLOW:
            continue
        inputs, outputs = case.data_sets[0]
        names = [value.name for value in case.model.graph.input]
        if len(names) != len(inputs):
            continue
        feeds = dict(zip(names, inputs, strict=True))
        real = any(
            isinstance(each, np.ndarray) and each.dtype in (np.float32, np.float64) and each.size
            for each in outputs
        )
        if real and default_sources(case.model, feeds):
            yield case.name, case.model, feeds
