"""From what a user gives, or nothing, to the samples that a model is run on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from onnxprobe.errors import DataError
from onnxprobe.inputs.arrays import ArraySource
from onnxprobe.inputs.assignment import Data, assign_data
from onnxprobe.inputs.intake import Intake, plan_intake
from onnxprobe.inputs.number_intake import NumberIntake
from onnxprobe.inputs.preprocessing import ImageOptions
from onnxprobe.inputs.samples import Samples, spread_indices
from onnxprobe.inputs.signature import Signature, close_slots
from onnxprobe.inputs.slots import Slot, open_slots
from onnxprobe.inputs.synthetic import Fill, draw_samples, picture_slots
from onnxprobe.inputs.wording import counted
from onnxprobe.types import Array, TensorType

__all__ = ["DATA_LIMIT", "SYNTHETIC_LIMIT", "load_samples"]

DATA_LIMIT = 2_048
SYNTHETIC_LIMIT = 512


def load_samples(
    inputs: Sequence[TensorType],
    data: Data = None,
    *,
    rng: np.random.Generator,
    options: ImageOptions | None = None,
    sizes: Mapping[str, int] | None = None,
    limit: int | None = None,
    free: int | None = None,
    integer_limits: Mapping[str, int] | None = None,
    fill_with: Fill = "drawn",
) -> tuple[Signature, Samples]:
    """Find out what a sample looks like, and load or draw samples.

    Args:
        inputs: Declared types of the inputs that must be fed.
        data: Arrays, files or folders; see `Data`. What it does not feed is drawn.
        rng: Source of randomness for what is drawn.
        options: How pictures become inputs.
        sizes: Sizes of open dimensions, by symbol or ``INPUT[AXIS]``.
        limit: Most samples wanted, spread evenly over the data; 2,048 of data and 512 drawn ones if
            not given.
        free: Size for dimensions that nothing else fixes; the likeliest if not given.
        integer_limits: By name of an integer input, what its numbers must stay below.
        fill_with: What integer inputs get that are drawn.

    Returns:
        The signature and the samples.

    Raises:
        DataError: If data, options or sizes do not fit the model or each other.
        ModelError: If an input is no tensor, or one of a type that cannot be fed.
    """
    options = options or ImageOptions()
    limits = integer_limits or {}
    slots = open_slots(inputs, sizes or {})
    found = assign_data(data, slots)
    intakes = {
        slot.name: plan_intake(found.sources[slot.name], slot, options)
        for slot in slots
        if slot.name in found.sources
    }
    shapes = {name: intake.shape for name, intake in intakes.items()}
    signature = close_slots(slots, shapes, free)
    drawn = [slot for slot in signature.slots if slot.name not in intakes]
    intakes = _apply_options(intakes, drawn, signature, options)
    total = _agree(intakes) if intakes else (limit or SYNTHETIC_LIMIT) if slots else 1
    positions = spread_indices(total, limit or DATA_LIMIT)
    notes = _headline(signature, bool(intakes), len(positions), total)
    labels = _labels(found.labels, total, positions)
    arrays, drawn_notes = draw_samples(drawn, len(positions), rng, options, limits, fill_with)
    notes += drawn_notes
    for slot in signature.slots:
        if slot.name in intakes:
            arrays[slot.name], done = _load(intakes[slot.name], slot, positions, limits)
            notes += done
    notes += tuple(found.notes)
    ordered = {slot.name: arrays[slot.name] for slot in signature.slots}
    return signature, Samples(ordered, len(positions), positions, labels, not intakes, notes)


def _apply_options(
    intakes: Mapping[str, Intake],
    drawn: Sequence[Slot],
    signature: Signature,
    options: ImageOptions,
) -> dict[str, Intake]:
    # Where there are pictures the options are theirs alone; where they act on nothing, a mistake.
    pictures = picture_slots(drawn, options)
    if pictures or any(intake.is_picture for intake in intakes.values()):
        return {
            name: intake.without_options() if isinstance(intake, NumberIntake) else intake
            for name, intake in intakes.items()
        }
    floats = [slot.name for slot in signature.slots if slot.dtype.kind == "f"]
    if not options.is_default and (
        options.is_geometric or not any(name in intakes for name in floats)
    ):
        raise DataError(
            "image options are given, but no input takes pictures; leave them out, or say with "
            "--layout where an input has its channels"
        )
    return dict(intakes)


def _agree(intakes: Mapping[str, Intake]) -> int:
    # A single sample, such as a sampling rate, serves any number of others.
    counts = {name: intake.count for name, intake in intakes.items()}
    total = max(counts.values())
    longest = next(name for name, count in counts.items() if count == total)
    for name, count in counts.items():
        if count not in {1, total}:
            raise DataError(
                f"{intakes[name].label} holds {counted(count, 'sample')} for input {name!r}, but "
                f"{intakes[longest].label} holds {total:,} for {longest!r}; "
                "give as many for each input"
            )
    return total


def _headline(signature: Signature, has_data: bool, used: int, total: int) -> tuple[str, ...]:
    if not signature.slots:
        return ("the model takes no input, so every tensor of it is constant",)
    if not has_data:
        note = (
            f"no data was given: {counted(used, 'sample')} drawn from the declared types, so the "
            "figures describe the model and not your data"
        )
        return (note,)
    if used < total:
        return (f"{used:,} of {total:,} samples are used, spread evenly over the data",)
    return ()


def _labels(source: ArraySource | None, total: int, positions: Array) -> Array | None:
    if source is None:
        return None
    if source.shape[0] != total:
        raise DataError(
            f"{source.label} holds {counted(source.shape[0], 'label')} for "
            f"{counted(total, 'sample')}; give one for each sample"
        )
    return np.concatenate(list(source.blocks(positions, len(positions))))


def _load(
    intake: Intake, slot: Slot, positions: Array, limits: Mapping[str, int]
) -> tuple[Array, tuple[str, ...]]:
    repeated = intake.count == 1 and len(positions) > 1
    rows = np.zeros(1, dtype=positions.dtype) if repeated else positions
    array, notes = intake.load(rows, slot)
    limit = limits.get(slot.name)
    if limit is not None and array.size and array.max() >= limit:
        raise DataError(
            f"{intake.label} holds {array.max()}, but input {slot.name!r} indexes a table of "
            f"{limit:,} rows; give numbers below that"
        )
    if repeated:
        array = np.broadcast_to(array, (len(positions), *slot.shape))
        notes += (f"the one sample of {intake.title} serves all samples",)
    return array, notes
