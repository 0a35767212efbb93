"""All rules together: what differentiates which operator."""

from __future__ import annotations

from onnxprobe.graph.tangent import (
    blocked,
    branches,
    classical,
    contrib,
    contrib_attention,
    contrib_grouped,
    elementwise,
    lifting,
    loops,
    normalisation,
    pooling,
    products,
    recurrent,
    reduction,
    regions,
    sampling,
    scattering,
    sequences,
    structure,
)
from onnxprobe.graph.tangent.registry import Expansions, Rules, Table

__all__ = ["EXPANSIONS", "RULES"]

RULES: Rules = Table()
EXPANSIONS: Expansions = Table()
for _room in (
    branches,
    loops,
    elementwise,
    structure,
    scattering,
    sequences,
    reduction,
    products,
    pooling,
    lifting,
    regions,
):
    _room.register(RULES)
normalisation.register(RULES, EXPANSIONS)
recurrent.register(EXPANSIONS)
sampling.register(RULES, EXPANSIONS)
contrib.register(RULES, EXPANSIONS)
blocked.register(RULES, EXPANSIONS)
contrib_attention.register(EXPANSIONS)
contrib_grouped.register(EXPANSIONS)
classical.register(RULES, EXPANSIONS)
