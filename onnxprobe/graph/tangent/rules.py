"""All rules together: what differentiates which operator."""

from __future__ import annotations

from onnxprobe.graph.flow import PIECEWISE_CONSTANT
from onnxprobe.graph.tangent import (
    classical,
    contrib,
    contrib_attention,
    control,
    elementwise,
    lifting,
    normalisation,
    pooling,
    products,
    recurrent,
    reduction,
    sampling,
    scattering,
    sequences,
    structure,
)
from onnxprobe.graph.tangent.registry import Expansions, Rules, Table

__all__ = ["EXPANSIONS", "RULES", "ZERO"]

RULES: Rules = Table()
EXPANSIONS: Expansions = Table()
for _room in (
    control,
    elementwise,
    structure,
    scattering,
    sequences,
    reduction,
    products,
    pooling,
    lifting,
):
    _room.register(RULES)
normalisation.register(RULES, EXPANSIONS)
recurrent.register(EXPANSIONS)
sampling.register(RULES, EXPANSIONS)
contrib.register(RULES, EXPANSIONS)
contrib_attention.register(EXPANSIONS)
classical.register(RULES, EXPANSIONS)

# OneHot is linear in the values that stand for hot and cold; Unique moves values. The edges of
# mel bands are rounded to bins.
ZERO = frozenset(
    ("", name) if "." not in name else tuple(name.rsplit(".", 1))
    for name in PIECEWISE_CONSTANT - {"OneHot", "Unique"} | {"MelWeightMatrix"}
)
