"""What is known through some directions holds what is known through all of them."""

from __future__ import annotations

import numpy as np
import pytest

from tests.analysis import networks
from tests.analysis.test_conduct import analyse


@pytest.mark.parametrize("outputs", [1, 3, 12, 80])
@pytest.mark.parametrize("seed", range(4))
def test_both_ends_hold_the_value_through_all_directions(outputs: int, seed: int) -> None:
    """Few outputs mix what is looked at with what is not, which drowns it."""
    rng = np.random.default_rng(seed)
    turned = np.linalg.qr(rng.standard_normal((64, 64)))[0]
    spread = np.geomspace(1, 10.0 ** -rng.uniform(0.5, 2), 64)
    data = (rng.standard_normal((400, 64)) * spread @ turned).astype(np.float32)
    # The weaker a direction is in the data, the more the tensor makes of it.
    weight = (turned.T / spread ** rng.uniform(0, 2) @ turned)[:, :outputs].astype(np.float32)
    proto = networks.model(
        [networks.node("MatMul", ["x", "w"], ["y"])],
        {"x": (networks.FLOAT, ["N", 64])},
        ["y"],
        {"w": weight},
    )
    options = {"noise": [0.01, 0.1, 1.0], "data_limit": 400, "samples": 1}
    (whole,) = analyse(proto, data, directions="all", **options).tensors
    (part,) = analyse(proto, data, directions=8, **options).tensors
    for known, found in zip(whole.release, part.release, strict=True):
        assert known.recoverable is not None
        assert found.recoverable is not None
        assert found.recoverable.low <= known.recoverable.high + 1e-6
        assert known.recoverable.low <= found.recoverable.high + 1e-6
