"""How a source reaches each tensor: not at all, through steps without derivative, or smoothly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum

from onnx import NodeProto

from onnxprobe.graph import walk
from onnxprobe.graph.dtypes import REAL_TYPES, dtype_name
from onnxprobe.graph.model import Graph
from onnxprobe.graph.rounding import is_quantiser, multiplies_rounded, rounded_from
from onnxprobe.types import TensorType

__all__ = [
    "FLAT_OPERATORS",
    "RANDOM_OPERATORS",
    "ROUNDING_OPERATORS",
    "Reach",
    "branch_conditions",
    "may_drop",
    "random_nodes",
    "rounding_nodes",
    "trace",
]

RANDOM_OPERATORS = frozenset(
    {
        "Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform",
        "RandomUniformLike",
    }
)  # fmt: skip

# Operators whose outputs do not move when their inputs move a little. The derivative of what
# follows is zero almost everywhere, which is a fact about the operator and no finding about the
# network. What is drawn does not move with what it is drawn like.
FLAT_OPERATORS = RANDOM_OPERATORS | frozenset(
    {
        "And", "ArgMax", "ArgMin", "BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseOr",
        "BitwiseXor", "Ceil", "ConvInteger", "Equal", "EyeLike", "Floor", "Greater",
        "GreaterOrEqual", "Hardmax", "IsInf", "IsNaN", "Less", "LessOrEqual", "MatMulInteger",
        "MelWeightMatrix", "NonMaxSuppression", "NonZero", "Not", "Or", "QLinearConv",
        "QLinearMatMul", "QuantizeLinear", "Round", "Shape", "Sign", "Size", "StringNormalizer",
        "TfIdfVectorizer", "Xor", "ai.onnx.ml.Binarizer", "ai.onnx.ml.CategoryMapper",
        "ai.onnx.ml.LabelEncoder", "ai.onnx.ml.OneHotEncoder", "ai.onnx.ml.TreeEnsemble",
        "ai.onnx.ml.TreeEnsembleClassifier", "ai.onnx.ml.TreeEnsembleRegressor",
        "com.microsoft.QLinearAdd", "com.microsoft.QLinearAveragePool",
        "com.microsoft.QLinearConcat", "com.microsoft.QLinearGlobalAveragePool",
        "com.microsoft.QLinearLeakyRelu", "com.microsoft.QLinearMul",
        "com.microsoft.QLinearReduceMean", "com.microsoft.QLinearSigmoid",
        "com.microsoft.QLinearSoftmax", "com.microsoft.QuantizeLinear",
    }
)  # fmt: skip

# These round what they multiply, by a scale that moves with it. They do have a derivative, that of
# the scale, which says nothing of what passes.
ROUNDING_OPERATORS = frozenset(
    {
        "com.microsoft.DynamicQuantizeLSTM", "com.microsoft.DynamicQuantizeMatMul",
        "com.microsoft.QMoE", "com.microsoft.QOrderedAttention", "com.microsoft.QOrderedGelu",
        "com.microsoft.QOrderedLayerNormalization",
        "com.microsoft.QOrderedLongformerAttention", "com.microsoft.QOrderedMatMul",
    }
)  # fmt: skip


class Reach(Enum):
    """How a tensor depends on a source."""

    NONE = "none"
    SHAPE = "shape"
    PIECEWISE_CONSTANT = "piecewise constant"
    SMOOTH = "smooth"


def trace(
    graph: Graph,
    sources: Iterable[str],
    types: Mapping[str, TensorType] | None = None,
    *,
    straight_through: bool = False,
) -> dict[str, Reach]:
    """Follow sources through a graph.

    Args:
        graph: The model.
        sources: Names of inputs or inner tensors.
        types: Known types; a tensor that is not real-valued carries no derivative.
        straight_through: Whether what is quantised and dequantised at once counts as not rounded.

    Returns:
        The reach of every tensor of the main graph, sources included. ``SMOOTH`` means that some
        path passes only operators that have derivatives; it may still be that the derivative is
        zero. ``SHAPE`` means that only the shape of a source matters, not its values.
    """
    types = types or {}
    reached = dict.fromkeys(sources, Reach.SMOOTH)
    cut = frozenset(reached)
    order = walk.topological_order(graph.proto.graph.node)
    nodes = [graph.proto.graph.node[index] for index in order]
    pairs = rounded_from(nodes) if straight_through else {}
    for node in nodes:
        best = _best(reached, node)
        passed = [reached.get(pairs[name]) for name in node.output if name in pairs]
        if Reach.SMOOTH in passed:
            best = Reach.SMOOTH
        if node.op_type in ("Shape", "Size") and best is not Reach.NONE:
            best = Reach.SHAPE
        elif best is Reach.SMOOTH and _flattens(node, straight_through=straight_through):
            best = Reach.PIECEWISE_CONSTANT
        for name in filter(None, node.output):
            if name in cut:
                continue
            real = name not in types or types[name].dtype in REAL_TYPES | {None}
            flat = best is Reach.SMOOTH and not real
            reached[name] = Reach.PIECEWISE_CONSTANT if flat else best
    return reached


def _best(reached: Mapping[str, Reach], node: NodeProto) -> Reach:
    found = {reached.get(name, Reach.NONE) for name in [*node.input, *walk.outer_names(node)]}
    ranking = (Reach.SMOOTH, Reach.PIECEWISE_CONSTANT, Reach.SHAPE)
    return next((reach for reach in ranking if reach in found), Reach.NONE)


def _flattens(node: NodeProto, *, straight_through: bool) -> bool:
    operator = walk.operator_name(node)
    if operator == "Cast":
        targets = [dtype_name(each.i) for each in node.attribute if each.name == "to"]
        return any(target not in REAL_TYPES for target in targets)
    return (operator in FLAT_OPERATORS or _rounds(node)) and not (
        straight_through and multiplies_rounded(node)
    )


def _rounds(node: NodeProto) -> bool:
    operator = walk.operator_name(node)
    return operator in ROUNDING_OPERATORS | {"DynamicQuantizeLinear"} or multiplies_rounded(node)


def rounding_nodes(graph: Graph, reached: Mapping[str, Reach]) -> tuple[str, ...]:
    """Name the nodes at which rounding ends a derivative.

    Args:
        graph: The model.
        reached: How a source reaches its tensors, see `trace`.

    Returns:
        ``"name (operator)"`` per node of the main graph that rounds what a source moves smoothly.
    """
    found = []
    for node in graph.proto.graph.node:
        moved = any(reached.get(name) is Reach.SMOOTH for name in node.input)
        if moved and (is_quantiser(node) or _rounds(node)):
            label = node.name or next(filter(None, node.output), "unnamed")
            found.append(f"{label} ({walk.operator_name(node)})")
    return tuple(found)


def random_nodes(graph: Graph) -> tuple[str, ...]:
    """Name the nodes that draw random numbers at inference time.

    Args:
        graph: The model.

    Returns:
        ``"name (operator)"`` per node, bodies included; dropout counts unless it is surely off.
    """
    found = []
    for node in walk.graph_nodes(graph.proto.graph):
        if walk.operator_name(node) in RANDOM_OPERATORS or may_drop(graph, node):
            label = node.name or next(filter(None, node.output), "unnamed")
            found.append(f"{label} ({node.op_type})")
    return tuple(found)


def may_drop(graph: Graph, node: NodeProto) -> bool:
    """Tell whether a node is a Dropout that is not surely switched off.

    Args:
        graph: The model.
        node: Any of its nodes.

    Returns:
        True for a Dropout whose training mode is fed, computed or stored as true.
    """
    if walk.operator_name(node) != "Dropout" or len(node.input) < 3 or not node.input[2]:
        return False
    stored = graph.constant(node.input[2])
    return stored is None or bool(stored.any())


def branch_conditions(graph: Graph) -> tuple[str, ...]:
    """Name what decides which branches are taken, branches inside branches excluded.

    Args:
        graph: The model.

    Returns:
        The conditions of every If of the main graph, each once.
    """
    nodes = [node for node in graph.proto.graph.node if walk.operator_name(node) == "If"]
    return tuple(dict.fromkeys(node.input[0] for node in nodes if node.input))
