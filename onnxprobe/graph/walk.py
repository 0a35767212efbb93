"""Walks over everything a model holds, without recursion: the file chooses how deep it nests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from onnx import (
    AttributeProto,
    FunctionProto,
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    TypeProto,
)

__all__ = [
    "body_graphs",
    "containers",
    "defined_names",
    "graph_nodes",
    "needed_nodes",
    "nested_graphs",
    "nodes",
    "operator_name",
    "outer_names",
    "read_names",
    "tensor_types",
    "tensors",
    "topological_order",
]


def body_graphs(node: NodeProto) -> Iterator[GraphProto]:
    """Yield the graphs that a node holds as attributes: branches, loop bodies.

    Args:
        node: Any node.

    Yields:
        Each body, in the order of the attributes.
    """
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.g
        elif attribute.type == AttributeProto.GRAPHS:
            yield from attribute.graphs


def nested_graphs(container: GraphProto | FunctionProto) -> Iterator[GraphProto]:
    """Yield every graph inside a graph or function, at any depth, the container excluded.

    Args:
        container: A graph, or the body of a local function.

    Yields:
        Each nested graph once, in the order of nodes and attributes, outer before inner.
    """
    pending = _bodies_reversed(container)
    while pending:
        graph = pending.pop()
        yield graph
        pending += _bodies_reversed(graph)


def _bodies_reversed(container: GraphProto | FunctionProto) -> list[GraphProto]:
    return [body for node in container.node for body in body_graphs(node)][::-1]


def graph_nodes(container: GraphProto | FunctionProto) -> Iterator[NodeProto]:
    """Yield every node of a graph or function and of the graphs inside it.

    Args:
        container: A graph, or the body of a local function.

    Yields:
        Each node once.
    """
    yield from container.node
    for graph in nested_graphs(container):
        yield from graph.node


def containers(model: ModelProto) -> Iterator[GraphProto | FunctionProto]:
    """Yield everything in a model that holds nodes.

    Args:
        model: Any model.

    Yields:
        The main graph, then bodies, local functions and training graphs.
    """
    yield model.graph
    yield from _inner_containers(model)


def _inner_containers(model: ModelProto) -> Iterator[GraphProto | FunctionProto]:
    yield from nested_graphs(model.graph)
    roots: list[GraphProto | FunctionProto] = [*model.functions]
    for training in model.training_info:
        roots += [training.initialization, training.algorithm]
    for root in roots:
        yield root
        yield from nested_graphs(root)


def nodes(model: ModelProto) -> Iterator[NodeProto]:
    """Yield every node of a model: main graph, bodies, local functions, training graphs.

    Args:
        model: Any model.

    Yields:
        Each node once.
    """
    for container in containers(model):
        yield from container.node


def tensors(model: ModelProto) -> Iterator[tuple[TensorProto, bool]]:
    """Yield every tensor stored anywhere in a model.

    Args:
        model: Any model.

    Yields:
        The tensor, and whether it is a dense initializer of the main graph: only those may be large
        or live in another file without being copied.
    """
    yield from ((tensor, True) for tensor in model.graph.initializer)
    for container in _inner_containers(model):
        if isinstance(container, GraphProto):
            yield from ((tensor, False) for tensor in container.initializer)
        else:
            for attribute in container.attribute_proto:
                yield from ((tensor, False) for tensor in _attribute_tensors(attribute))
    for container in containers(model):
        if isinstance(container, GraphProto):
            for sparse in container.sparse_initializer:
                yield sparse.values, False
                yield sparse.indices, False
        for node in container.node:
            for attribute in node.attribute:
                yield from ((tensor, False) for tensor in _attribute_tensors(attribute))


def _attribute_tensors(attribute: AttributeProto) -> Iterator[TensorProto]:
    # Read the fields whatever the declared type says: a mislabelled attribute hides nothing.
    if attribute.HasField("t"):
        yield attribute.t
    yield from attribute.tensors
    sparse = [attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else []
    for each in [*sparse, *attribute.sparse_tensors]:
        yield each.values
        yield each.indices


def tensor_types(model: ModelProto) -> Iterator[TypeProto.Tensor | TypeProto.SparseTensor]:
    """Yield every declared tensor type, those inside sequences, maps and optionals included.

    Args:
        model: Any model.

    Yields:
        The types of graph values and of attributes, to be read or changed.
    """
    pending: list[TypeProto] = []
    for container in containers(model):
        values = [*container.value_info]
        if isinstance(container, GraphProto):
            values += [*container.input, *container.output]
        pending += [value.type for value in values]
        for node in container.node:
            pending += [a.tp for a in node.attribute if a.type == AttributeProto.TYPE_PROTO]
    while pending:
        kind = pending.pop()
        held = kind.WhichOneof("value")
        if held in ("tensor_type", "sparse_tensor_type"):
            yield getattr(kind, held)
        elif held in ("sequence_type", "optional_type"):
            pending.append(getattr(kind, held).elem_type)
        elif held == "map_type":
            pending.append(kind.map_type.value_type)


def outer_names(node: NodeProto) -> set[str]:
    """Return the names that the bodies of a node take from the graphs around it.

    Args:
        node: Any node.

    Returns:
        Every name read inside the bodies, at any depth, that no body around the reader defines.
    """
    free: set[str] = set()
    # Each graph with the names defined in it and, innermost first, in the bodies around it.
    pending: list[tuple[GraphProto, tuple[set[str], ...]]] = [
        (body, ()) for body in body_graphs(node)
    ]
    while pending:
        graph, around = pending.pop()
        scopes = (defined_names(graph), *around)
        read = {value.name for value in graph.output}
        for inner in graph.node:
            read.update(inner.input)
            pending.extend((body, scopes) for body in body_graphs(inner))
        free |= read.difference(*scopes)
    return free - {""}


def defined_names(graph: GraphProto) -> set[str]:
    """Return the names that a graph gives to values.

    Args:
        graph: Any graph; the bodies inside it are left out.

    Returns:
        Its inputs, initializers and node outputs.
    """
    names = {value.name for value in graph.input}
    names.update(tensor.name for tensor in graph.initializer)
    names.update(sparse.values.name for sparse in graph.sparse_initializer)
    names.update(name for node in graph.node for name in node.output)
    return names


def operator_name(node: NodeProto) -> str:
    """Return the operator of a node, with its domain unless that is the default one.

    Args:
        node: Any node.

    Returns:
        Such as ``"Conv"`` or ``"com.microsoft.Gelu"``.
    """
    return node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"


def topological_order(nodes: Sequence[NodeProto]) -> list[int]:
    """Sort nodes so that each stands behind those whose outputs it reads.

    Exporters do not always sort them, and runtimes do not mind.

    Args:
        nodes: The nodes of one graph.

    Returns:
        Indices of the nodes; those that wait for their own outputs, and what depends on them, are
        left out.
    """
    producers = {name: index for index, node in enumerate(nodes) for name in node.output if name}
    consumers: dict[int, list[int]] = {}
    waiting: list[int] = []
    for index, node in enumerate(nodes):
        read = {*node.input, *outer_names(node)}
        needs = {producers[name] for name in read if name in producers}
        waiting.append(len(needs))
        for need in needs:
            consumers.setdefault(need, []).append(index)
    ready = [index for index, count in enumerate(waiting) if count == 0]
    for index in ready:
        for consumer in consumers.get(index, ()):
            waiting[consumer] -= 1
            if waiting[consumer] == 0:
                ready.append(consumer)
    return ready


def read_names(nodes: Iterable[NodeProto]) -> set[str]:
    """Name the values that nodes read, those that only their bodies read included.

    Args:
        nodes: Nodes of one graph.

    Returns:
        Names, whoever writes the values.
    """
    return {name for node in nodes for name in [*node.input, *outer_names(node)] if name}


def needed_nodes(nodes: Sequence[NodeProto], outputs: Iterable[str]) -> list[NodeProto]:
    """Leave out nodes that nothing needs.

    Args:
        nodes: Nodes of one graph, each behind those whose outputs it reads.
        outputs: Names of the values that are wanted.

    Returns:
        The nodes that the outputs depend on, in order.
    """
    wanted = set(outputs)
    kept = []
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            kept.append(node)
            wanted |= read_names([node])
    return kept[::-1]
