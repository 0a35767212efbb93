"""Static checks before any native code reads a model: well-formed, bounded, unambiguous."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from onnx import FunctionProto, GraphProto, ModelProto, NodeProto

from onnxprobe.errors import ModelError
from onnxprobe.graph import walk
from onnxprobe.graph.stored import admit_tensor, first_repeated

__all__ = ["MAX_EXPANDED_NODES", "MAX_NODES", "admit"]

# A node costs ONNX Runtime about 1 kB and 4 µs: beyond this the file is a bomb rather than a
# network.
MAX_NODES = 200_000
MAX_EXPANDED_NODES = 1_000_000
MAX_STORED = 200_000
# ONNX Runtime follows bodies in bodies no further.
MAX_DEPTH = 32
MAX_NAME_LENGTH = 65_536
# Numbers or texts in one attribute; larger ones are stored as tensors.
MAX_LISTED = 10_000_000
# Other things that a model lists; each costs native code time, and no network has so many.
MAX_INPUTS, MAX_VALUES, MAX_IMPORTS = 10_000, 200_000, 1_000
MAX_FUNCTIONS, MAX_ENTRIES, MAX_PLACES = 20_000, 10_000, 65_536
# Axes that an array can have.
MAX_RANK = 64

_Function = tuple[str, str, str]


def admit(model: ModelProto) -> None:
    """Refuse a model that is malformed, ambiguous or too large to be a network.

    Args:
        model: A model as parsed, external data not loaded.

    Raises:
        ModelError: If a stored tensor holds its values twice or in the wrong amount, a name is not
            UTF-8 or too long, an attribute, a graph value, a local function or an opset stands
            twice, nodes wait for each other or name code that is compiled already, bodies are
            nested too deep, or the nodes, local functions expanded, or what is stored is too much.
    """
    if not model.graph.node and not model.graph.output:
        raise ModelError(
            "the file holds no graph; expected an ONNX model with nodes: export the model again"
        )
    too_many = ModelError(
        f"the model has more than {MAX_NODES:,} nodes, which no network needs; "
        "export it again, or split it"
    )
    if len(model.graph.node) > MAX_NODES:
        raise too_many
    _admit_counts(model)
    for count, node in enumerate(walk.nodes(model), 1):
        if count > MAX_NODES:
            raise too_many
        _admit_node(node)
    for count, (tensor, _) in enumerate(walk.tensors(model), 1):
        if count > MAX_STORED:
            raise ModelError(
                f"the model stores more than {MAX_STORED:,} tensors, which no network needs; "
                "export it again, or split it"
            )
        admit_tensor(tensor)
    _admit_depth(model)
    _admit_header(model)
    for container in walk.containers(model):
        _admit_values(container)
    _admit_functions(model)
    _admit_order(model.graph)


def _admit_counts(model: ModelProto) -> None:
    graph = model.graph
    counts = (
        (len(graph.input), MAX_INPUTS, "inputs"),
        (len(graph.output) + len(graph.value_info), MAX_VALUES, "outputs and declared values"),
        (len(model.opset_import), MAX_IMPORTS, "opsets"),
        (len(model.functions), MAX_FUNCTIONS, "local functions"),
        (len(model.metadata_props), MAX_ENTRIES, "entries of metadata"),
    )
    for count, most, what in counts:
        if count > most:
            raise ModelError(
                f"the model has {count:,} {what}, and no network needs more than {most:,}; export "
                "it again"
            )
    if any(len(kind.shape.dim) > MAX_RANK for kind in walk.tensor_types(model)):
        raise ModelError(
            f"a value is declared with more than {MAX_RANK} axes, which no array has; export the "
            "model again"
        )


def _admit_node(node: NodeProto) -> None:
    attributes = [attribute.name for attribute in node.attribute]
    if max(len(node.input), len(node.output), len(attributes)) > MAX_PLACES:
        raise ModelError(
            f"a {node.op_type!r} node has more than {MAX_PLACES:,} inputs, outputs or attributes, "
            "which no network needs; export the model again"
        )
    references = [attribute.ref_attr_name for attribute in node.attribute]
    _admit_texts(
        f"a {node.op_type!r} node",
        [node.name, node.op_type, node.domain, node.overload],
        [*node.input, *node.output, *attributes, *references],
    )
    if twice := first_repeated(attributes):
        raise ModelError(
            f"node {node.name or node.op_type!r} gives attribute {twice!r} twice, and readers "
            "differ in which they take; export the model again"
        )

    if node.op_type == "EPContext":
        raise ModelError(
            f"node {node.name or node.op_type!r} (EPContext) holds or names code that was compiled "
            "for one device, which nobody can audit; export the model without compiling it"
        )
    for attribute in node.attribute:
        listed = max(len(attribute.ints), len(attribute.floats), len(attribute.strings))
        if listed > MAX_LISTED:
            raise ModelError(
                f"attribute {attribute.name!r} of node {node.name or node.op_type!r} lists "
                f"{listed:,} values, which no operator needs; export the model again"
            )


def _admit_depth(model: ModelProto) -> None:
    pending: list[tuple[GraphProto | FunctionProto, int]] = [(model.graph, 0)]
    pending += [(function, 0) for function in model.functions]
    while pending:
        container, depth = pending.pop()
        if depth > MAX_DEPTH:
            raise ModelError(
                f"bodies are nested more than {MAX_DEPTH} deep, which no runtime follows; export "
                "the model again"
            )
        for node in container.node:
            pending += [(body, depth + 1) for body in walk.body_graphs(node)]


def _admit_texts(bearer: str, *texts: Iterable[str]) -> None:
    # protobuf hands out what is not UTF-8 as bytes, which no report and no rewrite could hold.
    if any(isinstance(text, bytes) for each in texts for text in each):
        raise ModelError(f"{bearer} bears a name that is not UTF-8; export the model again")
    if any(len(text) > MAX_NAME_LENGTH for each in texts for text in each):
        raise ModelError(
            f"{bearer} bears a name of more than {MAX_NAME_LENGTH:,} letters; export the model "
            "again"
        )


def _admit_header(model: ModelProto) -> None:
    _admit_texts("the model's producer", [model.producer_name, model.producer_version])
    _admit_texts("an opset", (entry.domain for entry in model.opset_import))
    sizes = (size for kind in walk.tensor_types(model) for size in kind.shape.dim)
    _admit_texts("a dimension", (size.dim_param for size in sizes))
    versions: dict[str, int] = {}
    for entry in model.opset_import:
        domain = entry.domain or "ai.onnx"
        if versions.setdefault(domain, entry.version) != entry.version:
            raise ModelError(
                f"the model imports opset {domain!r} twice, as {versions[domain]} and "
                f"{entry.version}, and readers differ in which they take; export the model again"
            )


def _admit_values(container: GraphProto | FunctionProto) -> None:
    defined = [name for node in container.node for name in node.output if name]
    if isinstance(container, FunctionProto):
        texts = [container.name, container.domain, container.overload, *container.input]
        texts += [*container.output, *container.attribute, *(v.name for v in container.value_info)]
        defined += container.input
    else:
        values = [*container.input, *container.output, *container.value_info]
        texts = [container.name, *(value.name for value in values)]
        stored = [tensor.name for tensor in container.initializer]
        stored += [sparse.values.name for sparse in container.sparse_initializer]
        # An input may have an initializer: its default value.
        defaults = set(stored)
        inputs = [value.name for value in container.input]
        defined += stored + [name for name in inputs if name not in defaults]
    _admit_texts("a graph value", texts)
    if twice := first_repeated(defined):
        raise ModelError(
            f"tensor {twice!r} is defined twice, and readers differ in which definition they take; "
            "export the model again"
        )


def _admit_order(graph: GraphProto) -> None:
    stuck = set(range(len(graph.node))).difference(walk.topological_order(graph.node))
    if stuck:
        node = graph.node[min(stuck)]
        raise ModelError(
            f"node {node.name or node.op_type!r} waits for its own outputs, directly or through "
            "others; export the model again"
        )


def _admit_functions(model: ModelProto) -> None:
    functions = {(f.domain, f.name, f.overload): f for f in model.functions}
    if len(functions) < len(model.functions):
        twice = first_repeated(f"{f.domain}.{f.name}:{f.overload}" for f in model.functions)
        raise ModelError(
            f"local function {twice!r} is defined twice, and readers differ in which definition "
            "they take; export the model again"
        )
    sizes = _expanded_sizes(functions)
    total = sum(sizes.get(_key(node), 1) for node in walk.graph_nodes(model.graph))
    if total > MAX_EXPANDED_NODES:
        raise ModelError(
            f"the local functions expand to more than the {MAX_EXPANDED_NODES:,} nodes that "
            "onnxprobe inlines; export the model with its functions flattened"
        )


def _expanded_sizes(functions: Mapping[_Function, FunctionProto]) -> dict[_Function, int]:
    # Functions that call each other double with every level: count what inlining would make of
    # them, each function once, before anybody expands anything.
    calls = {
        key: Counter(_key(node) for node in walk.graph_nodes(function))
        for key, function in functions.items()
    }
    sizes: dict[_Function, int] = {}
    visiting: set[_Function] = set()
    for root in functions:
        pending = [root]
        while pending:
            key = pending[-1]
            waiting = [call for call in calls[key] if call in functions and call not in sizes]
            if key in sizes or not waiting:
                pending.pop()
                size = sum(sizes.get(call, 1) * count for call, count in calls[key].items())
                sizes[key] = min(size, MAX_EXPANDED_NODES + 1)
                continue
            if key in visiting:
                raise ModelError(
                    f"local function {key[1]!r} calls itself, and ONNX has no recursion; "
                    "export the model again"
                )
            visiting.add(key)
            pending += waiting
    return sizes


def _key(node: NodeProto) -> _Function:
    return node.domain, node.op_type, node.overload
