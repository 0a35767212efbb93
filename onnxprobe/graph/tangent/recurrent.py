"""Recurrent operators, written as a Scan over time whose derivative is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from onnxprobe.graph.tangent.activations import Activation, activate, named_activations
from onnxprobe.graph.tangent.emitter import Typed, Value
from onnxprobe.graph.tangent.node import Node
from onnxprobe.graph.tangent.registry import Expansions, NoRuleError

__all__ = ["register"]

# Functions of one direction where the node does not name its own.
_ACTIVATIONS = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}

# Given the gates' input part, the states before and the layer, writes the states after.
_Cell = Callable[["_Layer", Value, list[Value]], list[Value]]


class _Layer:
    """One direction of a recurrent node.

    Args:
        node: The node.
        place: Which direction: 0 or 1.
        gates: How many gates the cell has.
    """

    def __init__(self, node: Node, place: int, gates: int) -> None:
        self.node, self.place, self.e, self.gates = node, place, node.e, gates
        self.hidden = self._hidden()
        self.clip = node.attr("clip")
        self.activations = self._activations()
        self.backward = node.attr("direction", "forward") == "reverse" or place == 1

    def _hidden(self) -> int:
        size = self.node.attr("hidden_size") or self.node.shape(2)[2]
        if size is None:
            raise NoRuleError("the hidden size is not known")
        return int(size)

    def own(self, index: int) -> Value | None:
        """Return this direction's part of an input of shape (directions, ...)."""
        return self.e.gather(self.node.x(index), self.place) if self.node.has(index) else None

    def weight(self, index: int) -> Value:
        """Return a weight of this direction, turned so that rows multiply it."""
        own = self.own(index)
        assert own is not None
        return self.e.transpose(own, [1, 0])

    def biases(self) -> tuple[Value, Value] | None:
        """Return the biases of the input and of the recurrence, each of shape (gates·hidden,)."""
        own = self.own(3)
        if own is None:
            return None
        size = self.gates * self.hidden
        return self.e.slice(own, 0, size), self.e.slice(own, size, 2 * size)

    def gate(self, value: Value, which: int) -> Value:
        """Return one gate's part of a value of shape (..., gates·hidden)."""
        return self.e.slice(value, which * self.hidden, (which + 1) * self.hidden, -1)

    def _activations(self) -> list[Activation]:
        """Return this direction's functions with their parameters."""
        node = self.node
        usual = _ACTIVATIONS[node.proto.op_type]
        both = 2 if node.attr("direction", "forward") == "bidirectional" else 1
        names = node.attr("activations") or usual * both
        alphas, betas = node.attr("activation_alpha", []), node.attr("activation_beta", [])
        every = named_activations(names, alphas, betas)
        own = every[self.place * len(usual) : (self.place + 1) * len(usual)]
        if len(own) < len(usual):
            raise NoRuleError(f"{len(names)} activation functions")
        return own

    def activate(self, value: Value, which: int, *, clip: bool = True) -> Value:
        """Apply the function that stands at a place in this direction's list."""
        e, bound = self.e, self.clip
        if bound is not None and clip:
            value = e.where(value > bound, bound, e.where(value < -bound, -bound, value))
        return activate(e, value, *self.activations[which])


def _rnn_cell(layer: _Layer, given: Value, states: list[Value]) -> list[Value]:
    (h,) = states
    biases = layer.biases()
    total = given + layer.e.op("MatMul", h, layer.weight(2))
    if biases is not None:
        total = total + biases[1]
    return [layer.activate(total, 0)]


def _gru_cell(layer: _Layer, given: Value, states: list[Value]) -> list[Value]:
    (h,) = states
    e, weight, biases = layer.e, layer.weight(2), layer.biases()
    size = layer.hidden
    back = e.op("MatMul", h, e.slice(weight, 0, 2 * size, 1))
    if biases is not None:
        back = back + e.slice(biases[1], 0, 2 * size)
    update = layer.activate(layer.gate(given, 0) + e.slice(back, 0, size, -1), 0)
    reset = layer.activate(layer.gate(given, 1) + e.slice(back, size, 2 * size, -1), 0)
    last = e.slice(weight, 2 * size, 3 * size, 1)
    bias = e.slice(biases[1], 2 * size, 3 * size) if biases is not None else None
    if layer.node.attr("linear_before_reset", 0):
        inner = e.op("MatMul", h, last)
        inner = reset * (inner + bias if bias is not None else inner)
    else:
        inner = e.op("MatMul", reset * h, last)
        inner = inner + bias if bias is not None else inner
    candidate = layer.activate(layer.gate(given, 2) + inner, 1)
    return [(1.0 - update) * candidate + update * h]


def _lstm_cell(layer: _Layer, given: Value, states: list[Value]) -> list[Value]:
    h, c = states
    e, biases, peep = layer.e, layer.biases(), layer.own(7)
    total = given + e.op("MatMul", h, layer.weight(2))
    if biases is not None:
        total = total + biases[1]

    def seen(which: int, value: Value, state: Value) -> Value:
        if peep is None:
            return value
        return value + state * e.slice(peep, which * layer.hidden, (which + 1) * layer.hidden)

    into = layer.activate(seen(0, layer.gate(total, 0), c), 0)
    forget = layer.activate(seen(2, layer.gate(total, 2), c), 0)
    if layer.node.attr("input_forget", 0):
        forget = 1.0 - into
    candidate = layer.activate(layer.gate(total, 3), 1)
    after = forget * c + into * candidate
    out = layer.activate(seen(1, layer.gate(total, 1), after), 0)
    return [out * layer.activate(after, 2, clip=False), after]


def _run(node: Node, place: int, gates: int, cell: _Cell, starts: Sequence[int]) -> list[Value]:
    """Write one direction: all hidden states in time order, then the last states."""
    layer, e = _Layer(node, place, gates), node.e
    x = node.x()
    given = e.op("MatMul", x, layer.weight(1))
    biases = layer.biases()
    if biases is not None:
        given = given + biases[0]
    states = []
    batch = e.slice(e.shape(x), 1, 2)
    for index in starts:
        own = layer.own(index)
        if own is None:
            own = e.zeros(e.concat([batch, e.constant([layer.hidden])]), x.dtype)
        states.append(own)
    scanned, mask = [given], None
    if node.has(4):
        mask = _mask(node, x)
        scanned.append(mask)
    with e.body() as nodes:
        before = [Value(e, e.fresh("state"), x.dtype) for _ in states]
        at = Value(e, e.fresh("given"), x.dtype)
        valid = Value(e, e.fresh("valid"), "bool")
        after = cell(layer, at, before)
        shown = after[0]
        if mask is not None:
            # Behind a sequence's end nothing moves, and nothing is shown.
            after = [e.where(valid, new, old) for new, old in zip(after, before, strict=True)]
            shown = e.where(valid, shown, 0.0)
        after = [e.op("Identity", each) for each in after]
        shown = e.op("Identity", shown)
        flat: list[Typed] = [(each.name, x.dtype, (None, layer.hidden)) for each in before]
        flat.append((at.name, x.dtype, (None, gates * layer.hidden)))
        if mask is not None:
            flat.append((valid.name, "bool", (None, 1)))
        body = e.graph(
            e.fresh("time"),
            nodes,
            flat,
            [(each.name, x.dtype, (None, layer.hidden)) for each in [*after, shown]],
        )
    turned = [int(layer.backward)]
    names = e.node(
        "Scan",
        [*states, *scanned],
        len(states) + 1,
        body=body,
        num_scan_inputs=len(scanned),
        scan_input_directions=turned * len(scanned),
        scan_output_directions=turned,
    )
    values = [Value(e, name, x.dtype) for name in names]
    return [values[-1], *values[:-1]]


def _mask(node: Node, x: Value) -> Value:
    """Whether a step lies within each sequence, shape (time, batch, 1)."""
    e = node.e
    if e.opset < 11:
        raise NoRuleError("sequence lengths before opset 11")
    time = e.squeeze(e.slice(e.shape(x), 0, 1), [0])
    zero, one = e.scalar(0, "int64"), e.scalar(1, "int64")
    steps = e.unsqueeze(e.op("Range", zero, time, one), [1, 2])
    lengths = e.unsqueeze(node.x(4).cast("int64"), [0, 2])
    return e.compare("Less", steps, lengths)


def _recurrent(
    gates: int, cell: _Cell, starts: Sequence[int]
) -> Callable[[Node], list[Value | None]]:
    def expand(node: Node) -> list[Value | None]:
        e = node.e
        if node.attr("layout", 0):
            raise NoRuleError("batchwise layout")
        both = 2 if node.attr("direction", "forward") == "bidirectional" else 1
        runs = [_run(node, place, gates, cell, starts) for place in range(both)]
        result: list[Value | None] = [e.concat([e.unsqueeze(run[0], [1]) for run in runs], 1)]
        last = zip(*(run[1:] for run in runs), strict=True)
        result += [e.concat([e.unsqueeze(each, [0]) for each in states], 0) for states in last]
        return result

    return expand


def register(expansions: Expansions) -> None:
    """Add these expansions to a table.

    Args:
        expansions: Where to.
    """
    expansions.add("RNN", _recurrent(1, _rnn_cell, [5]), since=7)
    expansions.add("GRU", _recurrent(3, _gru_cell, [5]), since=7)
    expansions.add("LSTM", _recurrent(4, _lstm_cell, [5, 6]), since=7)
