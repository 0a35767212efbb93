"""What one sample of a model looks like, over all its inputs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from onnxprobe.errors import DataError
from onnxprobe.inputs.dimensions import Dim, bind, is_anonymous
from onnxprobe.inputs.slots import MAX_SAMPLE_ELEMENTS, OpenSlot, Slot, open_slots
from onnxprobe.inputs.wording import setting, spelled
from onnxprobe.types import TensorType

__all__ = ["Signature", "close_slots", "resolve_signature"]

# Sizes to try, one after the other, where nothing fixes a dimension.
PICTURE_SIZES = (224, 64, 32, 720, 128, 256, 512, 16, 8, 1)
SEQUENCE_SIZES = (16, 8, 128, 512, 32, 64, 256, 1, 224, 720)


@dataclass(frozen=True)
class Signature:
    """What one sample of a model looks like.

    Attributes:
        slots: One for each input, in the model's order.
        assumed: A sentence for each dimension that nothing fixed and that was given a trial size.
        trial_sizes: Sizes worth trying for these, the likeliest first; empty if nothing was
            assumed.
    """

    slots: tuple[Slot, ...]
    assumed: tuple[str, ...] = ()
    trial_sizes: tuple[int, ...] = ()

    @property
    def sample_bytes(self) -> int:
        """Bytes of one sample over all inputs."""
        return sum(slot.size * slot.dtype.itemsize for slot in self.slots)


def resolve_signature(
    inputs: Sequence[TensorType],
    sizes: Mapping[str, int] | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    free: int | None = None,
) -> Signature:
    """Find out what one sample of a model looks like.

    Args:
        inputs: Declared types of the inputs that must be fed.
        sizes: Sizes that the user sets, by symbol or ``INPUT[AXIS]``.
        shapes: Shapes of one sample, by input, where data fixes them.
        free: Size for every dimension that is still open; the likeliest if not given.

    Returns:
        The signature.

    Raises:
        ModelError: If an input is no tensor, or one of a type that cannot be fed.
        DataError: If sizes and shapes contradict the model or each other, or the rank of an input
            is known neither from the model nor from data.

    Example:
        >>> ids = TensorType("ids", "int64", ("batch", "seq"))
        >>> signature = resolve_signature([ids])
        >>> signature.slots[0].shape, signature.slots[0].batch_axis
        ((16,), 0)
        >>> signature.assumed
        ("dimension 'seq' of input 'ids' is taken as 16; choose it with --set seq=SIZE",)
    """
    return close_slots(open_slots(inputs, sizes or {}), shapes or {}, free)


def close_slots(
    slots: Sequence[OpenSlot], shapes: Mapping[str, tuple[int, ...]], free: int | None = None
) -> Signature:
    """Fix the dimensions that are open.

    Args:
        slots: What is known from the model.
        shapes: Shapes of one sample, by input, where data fixes them.
        free: Size for what remains open; the likeliest if not given.

    Returns:
        The signature.

    Raises:
        DataError: If shapes contradict the model or each other, or a rank is unknown.
    """
    known: dict[str, tuple[int, str]] = {}
    for slot in slots:
        if slot.name in shapes and slot.dims is not None:
            _note_sizes(slot, shapes[slot.name], known)
    ranked = {slot.name: _dims(slot, shapes) for slot in slots}
    unfixed: dict[str, str] = {}
    for name, dims in ranked.items():
        for dim in dims:
            if isinstance(dim, str) and dim not in known:
                unfixed.setdefault(dim, name)
    trials = _trial_sizes(ranked) if unfixed else ()
    size = free or (trials[0] if trials else 1)
    closed = []
    for slot in slots:
        shape = tuple(
            dim if isinstance(dim, int) else known.get(dim, (size, ""))[0]
            for dim in ranked[slot.name]
        )
        _check_size(slot, shape)
        closed.append(Slot(slot.name, slot.dtype, shape, slot.batch_axis, slot.declared_batch))
    assumed = tuple(_assumption(key, name, size) for key, name in unfixed.items())
    return Signature(tuple(closed), assumed, trials)


def _note_sizes(slot: OpenSlot, shape: tuple[int, ...], known: dict[str, tuple[int, str]]) -> None:
    found = bind(slot.dims or (), shape)
    if found is None:
        raise DataError(
            f"samples of shape {spelled(shape)} were given for input {slot.name!r}, which takes "
            f"{spelled(slot.dims or ())}; give samples of that shape"
        )
    for key, size in found.items():
        other, name = known.setdefault(key, (size, slot.name))
        if other != size:
            raise DataError(
                f"dimension {key!r} is {other} in the data for {name!r} and {size} in the data for "
                f"{slot.name!r}; expected one size: make the arrays agree"
            )


def _dims(slot: OpenSlot, shapes: Mapping[str, tuple[int, ...]]) -> tuple[Dim, ...]:
    if slot.dims is not None:
        return slot.dims
    if slot.name not in shapes:
        raise DataError(
            f"input {slot.name!r} declares no shape, so nothing can be drawn for it; "
            f"give samples with --data {slot.name!r}=PATH"
        )
    return shapes[slot.name]


def _trial_sizes(ranked: Mapping[str, tuple[Dim, ...]]) -> tuple[int, ...]:
    """Return the sizes to try, pictures first where an open input looks like some."""
    pictures = any(
        len(dims) == 3
        and any(isinstance(dim, str) for dim in dims)
        and (dims[0] in {1, 3} or dims[2] in {1, 3})
        for dims in ranked.values()
    )
    return PICTURE_SIZES if pictures else SEQUENCE_SIZES


def _check_size(slot: OpenSlot, shape: tuple[int, ...]) -> None:
    if math.prod(shape) <= MAX_SAMPLE_ELEMENTS:
        return
    raise DataError(
        f"one sample of input {slot.name!r} has shape {spelled(shape)}, which is more than "
        f"{MAX_SAMPLE_ELEMENTS:,} numbers; choose smaller sizes"
    )


def _assumption(key: str, name: str, size: int) -> str:
    axis = key[len(name) + 1 : -1] if is_anonymous(key) else repr(key)
    return f"dimension {axis} of input {name!r} is taken as {size}; choose it with {setting(key)}"
