"""Bodies of control-flow nodes: copied, freed of branches that are never taken, differentiated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from onnx import GraphProto, NodeProto, numpy_helper

from onnxprobe.graph import walk
from onnxprobe.graph.model import tensor_type
from onnxprobe.graph.tangent.emitter import Typed, Value
from onnxprobe.graph.tangent.expansion import renamed_body
from onnxprobe.graph.tangent.inference import infer_written
from onnxprobe.graph.tangent.node import Node
from onnxprobe.graph.tangent.registry import NoRuleError, is_flat
from onnxprobe.graph.tangent.scope import Scope, Tangent
from onnxprobe.types import TensorType

__all__ = ["Body", "differentiated", "settled", "taken_branch"]

# From here on, Identity takes sequences.
COPIES_SEQUENCES = 14


@dataclass
class Body:
    """A body that was copied and differentiated.

    Attributes:
        graph: The copy, every name fresh.
        scope: What is known inside, tangents included.
        nodes: Nodes of the copy, and behind them those that compute tangents.
        carried: By place of an input that has a tangent, the name of that tangent.
    """

    graph: GraphProto
    scope: Scope
    nodes: list[NodeProto]
    carried: dict[int, str] = field(default_factory=dict)

    @property
    def moving(self) -> set[int]:
        """Places of the outputs that have a tangent."""
        return {
            place
            for place, value in enumerate(self.graph.output)
            if value.name in self.scope.tangents
        }

    def _own(self, name: str) -> Value:
        """Return the tangent of an output, written by a node of the body as runtimes want it."""
        e, kind = self.scope.emitter, self.scope.types.get(name)
        tangent = self.scope.filled(name)
        if e.opset >= COPIES_SEQUENCES or kind is None or kind.kind == "tensor":
            return e.op("Identity", tangent)
        if not any(tangent.name in each.output for each in self.nodes):
            raise NoRuleError(f"a sequence from outside a body, before opset {COPIES_SEQUENCES}")
        return tangent

    def write(
        self,
        label: str,
        inputs: Sequence[Typed],
        outputs: Sequence[int],
        primal: Sequence[int] = (),
    ) -> GraphProto:
        """Make the body of the node that computes tangents.

        Args:
            label: What to call it.
            inputs: Its inputs.
            outputs: Places of the outputs whose tangents it gives.
            primal: Places of the outputs that it gives as they are, before those.

        Returns:
            The body.
        """
        e, types = self.scope.emitter, self.scope.types
        with e.continued(self.nodes):
            names = [self.graph.output[place].name for place in outputs]
            tangents = [self._own(each) for each in names]
        given: list[Typed] = []
        for place in primal:
            value = self.graph.output[place]
            known = types.get(value.name, TensorType(value.name, None, None))
            plain = known.kind == "tensor"
            given.append((value.name, known.dtype if plain else value.type, known.shape))
        for place, tangent in zip(outputs, tangents, strict=True):
            value = self.graph.output[place]
            known = types.get(value.name, TensorType(value.name, None, None))
            shape = None if known.shape is None else (None, *known.shape)
            plain = known.kind == "tensor"
            given.append((tangent.name, tangent.dtype if plain else value.type, shape))
        wanted = [name for name, _, _ in given]
        nodes = walk.needed_nodes(self.nodes, wanted)
        graph = e.graph(e.fresh(label), nodes, inputs, given)
        read = walk.read_names(nodes).union(wanted)
        graph.initializer.extend(each for each in self.graph.initializer if each.name in read)
        graph.sparse_initializer.extend(
            each for each in self.graph.sparse_initializer if each.values.name in read
        )
        return graph


def differentiated(
    node: Node,
    body: GraphProto,
    types: Sequence[TensorType] = (),
    moved: Mapping[int, str] | None = None,
    carried: Mapping[int, int] | None = None,
) -> Body:
    """Copy a body and differentiate it.

    Args:
        node: The node that holds it.
        body: The body.
        types: Types of its inputs.
        moved: By place of an input, the name that its tangent has inside.
        carried: By place of an input that is carried from turn to turn, the place of the output
            that it becomes. Such an input has a tangent also where only the output has one.

    Returns:
        The copy with its tangents.

    Raises:
        NoRuleError: If a node inside has no derivative.
    """
    e = node.e
    copy = renamed_body(body, e)
    scope = node.scope.inner(node.scope.outcome)
    for value, kind in zip(copy.input, types, strict=False):
        scope.types[value.name] = TensorType(value.name, kind.dtype, kind.shape, kind.kind)
    declared = _note_declared(scope, copy)
    inside = dict(moved or {})
    with e.body() as nodes:
        primal = settled(scope, list(copy.node), declared)
        nodes.extend(primal)
        active = {copy.input[place].name for place in inside}
        for place in _joining(scope, copy, primal, active, carried or {}):
            inside.setdefault(place, e.fresh("carried@tangent"))
        for place, name in inside.items():
            inner = copy.input[place].name
            tangent = Value(e, name, scope.dtype(inner) or "float32")
            scope.tangents[inner] = Tangent(lead=tangent)
        failed = scope.outcome.failed
        before = len(failed)
        scope.walk(scope, primal)
        reason = ""
        while len(failed) > before:
            _, reason = failed.popitem()
        if reason:
            raise NoRuleError(reason, inside=True)
    return Body(copy, scope, nodes, inside)


def _note_declared(scope: Scope, body: GraphProto) -> dict[str, TensorType]:
    """Learn the types of what a body stores; return those that it declares of tensors."""
    kinds = [tensor_type(value) for value in [*body.output, *body.value_info]]
    # Inference does not follow sequences into a body.
    scope.types.update((kind.name, kind) for kind in kinds if kind.kind != "tensor")
    for tensor in body.initializer:
        array = numpy_helper.to_array(tensor)
        scope.types[tensor.name] = TensorType(tensor.name, str(array.dtype), array.shape)
        scope.emitter.remember(tensor.name, array)
    return {kind.name: kind for kind in kinds if kind.kind == "tensor" and kind.dtype}


def _joining(
    scope: Scope,
    body: GraphProto,
    nodes: Sequence[NodeProto],
    active: set[str],
    carried: Mapping[int, int],
) -> set[int]:
    """Tell which carried inputs get a tangent in some turn; too many cost time alone."""
    joining: set[int] = set()
    reached = set(active)

    def moves(name: str) -> bool:
        return name in reached or name in scope.tangents

    while True:
        for each in nodes:
            if not is_flat(each) and any(map(moves, walk.read_names([each]))):
                reached.update(name for name in each.output if scope.is_real(name))
        new = {
            place
            for place, after in carried.items()
            if moves(body.output[after].name)
            and scope.is_real(body.input[place].name)
            and body.input[place].name not in reached
        }
        if not new:
            return joining
        joining |= new
        reached |= {body.input[place].name for place in new}


def settled(
    scope: Scope, nodes: list[NodeProto], declared: Mapping[str, TensorType] | None = None
) -> list[NodeProto]:
    """Learn types, and put in place of an If whose condition is known the branch that it takes.

    Exporters write an If over shapes where an operator gives one rank or another; behind it no
    rank is known as long as both branches stand.

    Args:
        scope: What is known; types are added to it.
        nodes: Nodes of one graph, in order.
        declared: Types that the model declares, believed where nothing else is known.

    Returns:
        The nodes without such branches; what they compute and its names are the same.
    """
    while True:
        scope.statics.note(nodes)
        scope.statics.forget_unknown()
        infer_written(scope, nodes, declared)
        branches = [taken_branch(scope, node) for node in nodes]
        if all(branch is None for branch in branches):
            return nodes
        nodes = [
            each
            for node, branch in zip(nodes, branches, strict=True)
            for each in ([node] if branch is None else _inlined(scope, node, branch))
        ]


def taken_branch(scope: Scope, node: NodeProto) -> GraphProto | None:
    """Return the branch that an If takes whatever is fed, if that is known.

    Args:
        scope: What is known.
        node: Any node.

    Returns:
        The branch; ``None`` for other nodes and where the condition is computed from values.
    """
    if walk.operator_name(node) != "If":
        return None
    condition = scope.statics.get(node.input[0])
    if condition is None or condition.size != 1:
        return None
    wanted = "then_branch" if condition.item() else "else_branch"
    return next((each.g for each in node.attribute if each.name == wanted), None)


def _inlined(scope: Scope, node: NodeProto, branch: GraphProto) -> list[NodeProto]:
    e = scope.emitter
    copy = renamed_body(branch, e)
    _note_declared(scope, copy)
    e.initializers.extend(copy.initializer)
    with e.body() as nodes:
        nodes.extend(copy.node)
        for value, name in zip(copy.output, node.output, strict=False):
            if name:
                e.node("Identity", [value.name], [name])
    return nodes
