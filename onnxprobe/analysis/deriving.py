"""``onnxprobe.derive``: Jacobian-vector products in Python."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from onnxprobe.analysis import conductor
from onnxprobe.analysis.arguments import checked_sizes, listed
from onnxprobe.analysis.conductor.request import ModelSource

if TYPE_CHECKING:
    from onnx import ModelProto

__all__ = ["derive"]


def derive(
    model: ModelSource,
    wrt: Sequence[str] | None = None,
    tensors: Sequence[str] | None = None,
    *,
    sizes: Mapping[str, int] | None = None,
    straight_through: bool = False,
    allow_links: bool = False,
) -> ModelProto:
    """Extend a model by Jacobian-vector products.

    Args:
        model: Path of an ``.onnx`` file, or a ``ModelProto``.
        wrt: Sources: float inputs or inner float tensors; every float input if not given.
        tensors: Whose tangents become outputs; the model's float outputs if not given.
        sizes: Sizes of dimensions that the model leaves open, by name or ``INPUT[AXIS]``; they are
            fixed in what is returned.
        straight_through: Whether pairs of QuantizeLinear and DequantizeLinear are differentiated as
            if they did not round; metadata entry ``onnxprobe.straight_through`` lists them.
        allow_links: Whether external data may be reached through links.

    Returns:
        A model whose inputs are those of the original plus, for each source ``X``, ``X@tangent`` of
        shape (k, *shape of X), and whose outputs are those of the original plus, for each tensor
        ``T``, ``T@tangent`` of shape (k, *shape of T). Its metadata entries are JSON:
        ``onnxprobe.numerical_nodes`` lists the nodes that have no exact rule, ``onnxprobe.sources``
        and ``onnxprobe.tangents`` map tensors to the names of their tangents, and
        ``onnxprobe.assumed_ranks`` tells at which ranks of which tensors alone it runs.

    Raises:
        ModelError: If the model is refused, or a tangent cannot be computed; the message names the
            node, the reason and what to do.
        DataError: If a source or tensor does not exist or is not real-valued, or an argument cannot
            mean anything.

    Source:
        Forward-mode automatic differentiation: Griewank & Walther 2008, Evaluating Derivatives.
    """
    import onnx

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "derived.onnx")
        data = path.with_name(f"{path.name}.data")
        for each in (path, data):
            # The worker may fill files, and make none.
            each.touch()
        conductor.derive(
            model,
            path,
            data.name,
            data,
            wrt=listed("wrt", wrt),
            tensors=listed("tensors", tensors),
            sizes=checked_sizes(sizes),
            straight_through=straight_through,
            allow_links=allow_links,
        )
        return onnx.load(path)
