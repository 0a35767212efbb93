"""Models changed at random, field by field, as a hostile or broken exporter would."""

from __future__ import annotations

import random

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from onnx import ModelProto

_INTEGERS = (0, 1, -1, 2, 3, 7, 16, 2**31 - 1, -(2**31), 2**31, 2**40, 2**62, -(2**63), 2**63 - 1)
_FLOATS = (0.0, -1.0, float("nan"), float("inf"), 1e38)
_BYTES = (b"", bytes(4), b"\xff\xfe", bytes(100))
_TEXTS = (
    "", "x", "y", "a\0b", "../x", "\x1b[31m", "é\u202e", "x" * 3000, "ai.onnx", "com.microsoft",
    "Constant", "Identity", "Dropout", "Gather", "Add", "If", "Loop", "Reshape", "RandomNormal",
    "location", "offset", "length", "axis", "value", "to",
)  # fmt: skip


def mutate(rng: random.Random, base: ModelProto) -> bytes:
    """Change one to eight fields of a copy; now and then also a byte, which no longer is UTF-8."""
    model = ModelProto()
    model.CopyFrom(base)
    names = [name for node in base.graph.node for name in (*node.input, *node.output)]
    for _ in range(rng.choice([1, 1, 2, 4, 8])):
        _change(rng, rng.choice(_messages(model)), [*_TEXTS, *names])
    content = model.SerializeToString()
    at = content.find(b"x")
    if at >= 0 and rng.random() < 0.15:
        content = content[:at] + b"\xff" + content[at + 1 :]
    return content


def _messages(model: Message) -> list[Message]:
    found = [model]
    for message in found:
        for field, held in message.ListFields():
            if field.type == FieldDescriptor.TYPE_MESSAGE:
                found += list(held) if field.is_repeated else [held]
    return found


def _change(rng: random.Random, message: Message, texts: list[str]) -> None:
    candidates: list[FieldDescriptor] = [field for field, _ in message.ListFields()]
    if not candidates or rng.random() < 0.3:
        # Two libraries describe fields; their types do not know of each other.
        candidates = list(message.DESCRIPTOR.fields)  # type: ignore[arg-type]
    field = rng.choice(candidates)
    is_message = field.type == FieldDescriptor.TYPE_MESSAGE
    if not field.is_repeated:
        if not is_message:
            setattr(message, field.name, _scalar(rng, field, texts))
        elif message.HasField(field.name) and rng.random() < 0.5:
            message.ClearField(field.name)
        else:
            getattr(message, field.name).SetInParent()
        return
    held = getattr(message, field.name)
    kind = rng.random()
    if len(held) and kind < 0.35:
        del held[rng.randrange(len(held))]
    elif is_message:
        added = held.add()
        if len(held) > 1 and kind < 0.65:
            added.CopyFrom(held[rng.randrange(len(held) - 1)])
    elif len(held) and kind < 0.65:
        held.append(held[rng.randrange(len(held))])
    elif len(held) and kind < 0.9:
        held[rng.randrange(len(held))] = _scalar(rng, field, texts)
    else:
        held.append(_scalar(rng, field, texts))


def _scalar(rng: random.Random, field: FieldDescriptor, texts: list[str]) -> object:
    if field.type == FieldDescriptor.TYPE_STRING:
        return rng.choice(texts)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return rng.choice(_BYTES)
    if field.type in (FieldDescriptor.TYPE_FLOAT, FieldDescriptor.TYPE_DOUBLE):
        return rng.choice(_FLOATS)
    if field.type == FieldDescriptor.TYPE_ENUM and field.enum_type is not None:
        return rng.choice([each.number for each in field.enum_type.values])
    if field.type == FieldDescriptor.TYPE_UINT64:
        return abs(rng.choice(_INTEGERS))
    narrow = field.type == FieldDescriptor.TYPE_INT32
    return rng.choice([each for each in _INTEGERS if not narrow or -(2**31) <= each < 2**31])
