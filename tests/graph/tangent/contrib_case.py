"""One operator outside ONNX proper, with inputs, and a formula where no kernel runs it here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import NodeProto
from onnx.reference import ReferenceEvaluator

from onnxprobe.types import Array
from tests.graph.models import model, node, value

MS, ML = "com.microsoft", "ai.onnx.ml"

Formula = Callable[[Mapping[str, Array]], Sequence[Array]]


@dataclass(frozen=True)
class Case:
    """One operator.

    Attributes:
        label: What the test is called.
        node: The operator.
        feeds: Its inputs.
        formula: Computes the real outputs in the precision of the inputs.
        has_kernel: Whether ONNX Runtime's CPU provider runs the operator.
        still: Real inputs along which nothing is differentiated.
        opset: Version of the default domain.
        near_kinks: Whether only short steps stay on one side of each kink.
    """

    label: str
    node: NodeProto
    feeds: dict[str, Array]
    formula: Formula | None = None
    has_kernel: bool = True
    still: frozenset[str] = frozenset()
    opset: int = 17
    near_kinks: bool = False


def draw(*shape: int, seed: int = 0) -> Array:
    drawn = np.random.default_rng([seed, *shape]).normal(size=shape)
    return drawn.astype(np.float32)


def case(
    label: str,
    inputs: Mapping[str, Array | None],
    outputs: str = "y",
    domain: str = MS,
    *,
    formula: Formula | None = None,
    has_kernel: bool = True,
    still: str = "",
    opset: int = 17,
    near_kinks: bool = False,
    **attributes: Any,
) -> Case:
    names = " ".join(name if array is not None else "_" for name, array in inputs.items())
    made = node(label.split()[0], names, outputs, domain=domain, **attributes)
    feeds = {name: array for name, array in inputs.items() if array is not None}
    return Case(
        label,
        made,
        feeds,
        formula,
        has_kernel,
        frozenset(still.split()),
        opset,
        near_kinks,
    )


def reference(*nodes: NodeProto) -> Formula:
    """Compute with ONNX's own operators, of which the last gives ``y``."""

    def compute(feeds: Mapping[str, Array]) -> Sequence[Array]:
        inputs = [value(name, array.shape, str(array.dtype)) for name, array in feeds.items()]
        dtype = str(next(iter(feeds.values())).dtype)
        whole = model(list(nodes), inputs, [value("y", None, dtype)])
        results: Any = ReferenceEvaluator(whole).run(None, dict(feeds))
        return list(results)

    return compute
