from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest

from onnxprobe.errors import DataError, ModelError, OnnxProbeError
from onnxprobe.inputs import Slot, resolve_signature
from onnxprobe.inputs.signature import PICTURE_SIZES, SEQUENCE_SIZES
from onnxprobe.shapes import ShapeError
from onnxprobe.types import TensorType
from tests.shared import corpus, needs_corpus

IDS = TensorType("ids", "int64", ("batch", "seq"))
NAMES = {"float": "float32", "double": "float64"}


def _refused(message: str) -> str:
    return f"^{re.escape(message)}$"


def test_a_sample_is_what_remains_without_the_batch_axis() -> None:
    """The batch axis may stand anywhere, and is left out of the shape."""
    past = TensorType("past", "float32", (2, "batch", 4, 16, 64))
    signature = resolve_signature([TensorType("ids", "int64", ("batch", 1)), past])
    assert signature.slots == (
        Slot("ids", np.dtype("int64"), (1,), 0, None),
        Slot("past", np.dtype("float32"), (2, 4, 16, 64), 1, None),
    )
    assert signature.slots[1].row_shape == (2, 1, 4, 16, 64)
    assert (signature.assumed, signature.trial_sizes) == ((), ())
    assert signature.sample_bytes == 8 + 2 * 4 * 16 * 64 * 4


def test_a_batch_fixed_to_one_is_known_as_such() -> None:
    """Whoever runs the model may relax it, or run row by row."""
    slot = resolve_signature([TensorType("x", "float32", (1, 3, 8, 8))]).slots[0]
    assert (slot.shape, slot.batch_axis, slot.declared_batch) == ((3, 8, 8), 0, 1)


def test_a_batch_set_to_four_makes_four_rows_one_sample() -> None:
    """A size that the user sets counts as if the exporter had fixed it."""
    slot = resolve_signature([TensorType("x", "float32", ("batch", 8))], {"batch": 4}).slots[0]
    assert (slot.shape, slot.batch_axis, slot.row_shape) == ((4, 8), None, (4, 8))


def test_set_sizes_come_before_shapes_of_data_and_these_before_trials() -> None:
    """Each source of sizes fills what the one before left open."""
    kinds = [IDS, TensorType("past", "float32", ("batch", "heads", "past", "seq"))]
    signature = resolve_signature(kinds, {"heads": 2}, {"ids": (7,)}, free=3)
    assert [slot.shape for slot in signature.slots] == [(7,), (2, 3, 7)]
    assert signature.assumed == (
        "dimension 'past' of input 'past' is taken as 3; choose it with --set past=SIZE",
    )


def test_assumptions_say_how_to_choose() -> None:
    """A dimension without a symbol is set by its place, quoted for the shell."""
    kind = TensorType("input 1", "float32", (None, 3, "image height", None))
    signature = resolve_signature([kind])
    assert signature.assumed == (
        (
            "dimension 'image height' of input 'input 1' is taken as 224; "
            "choose it with --set 'image height=SIZE'"
        ),
        "dimension 3 of input 'input 1' is taken as 224; choose it with --set 'input 1[3]=SIZE'",
    )


@pytest.mark.parametrize(
    ("shape", "sizes"),
    [
        ((None, 3, None, None), PICTURE_SIZES),
        ((None, None, None, 1), PICTURE_SIZES),
        ((None, None), SEQUENCE_SIZES),
        ((None, None, 80), SEQUENCE_SIZES),
        ((None, 3, 8, 8), ()),
    ],
)
def test_pictures_and_sequences_have_their_own_trial_sizes(
    shape: tuple[int | None, ...], sizes: tuple[int, ...]
) -> None:
    """The likeliest size comes first, and is taken where none is given."""
    signature = resolve_signature([TensorType("x", "float32", shape)])
    assert signature.trial_sizes == sizes
    assert not sizes or sizes[0] in signature.slots[0].shape


def test_data_gives_a_shape_to_an_input_that_declares_none() -> None:
    """Without a rank, axis 0 is taken to count samples."""
    slot = resolve_signature([TensorType("x", "float32", None)], shapes={"x": (3, 4)}).slots[0]
    assert (slot.shape, slot.batch_axis) == ((3, 4), 0)


def test_a_model_without_inputs_has_an_empty_signature() -> None:
    """Some models are constant."""
    assert resolve_signature([]).slots == ()


@pytest.mark.parametrize(
    ("declared", "held"),
    [("float16", "float16"), ("bool", "bool"), ("uint8", "uint8"), ("bfloat16", "float32")],
)
def test_element_types_are_numpys_and_bfloat16_is_held_as_float32(declared: str, held: str) -> None:
    """Numpy lacks bfloat16."""
    slot = resolve_signature([TensorType("x", declared, (1, 2))]).slots[0]
    assert slot.dtype == np.dtype(held)


def test_text_is_held_as_objects() -> None:
    """ONNX Runtime takes text as arrays of Python strings."""
    slot = resolve_signature([TensorType("x", "string", (None, 1))]).slots[0]
    assert slot.dtype.hasobject


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (
            TensorType("x", None, None, "map"),
            (
                "input 'x' is a map, and onnxprobe feeds tensors only; "
                "re-export the model with tensor inputs"
            ),
        ),
        (
            TensorType("x", None, (1, 2)),
            "input 'x' declares no element type; re-export the model with typed inputs",
        ),
        (
            TensorType("x", "int4", (1, 2)),
            (
                "input 'x' has element type int4, which onnxprobe cannot feed; "
                "re-export the model with inputs of a common float or integer type"
            ),
        ),
        (
            TensorType("x", "float32", (1, 2**40)),
            (
                "input 'x' declares 1,099,511,627,776 numbers, more than the 268,435,456 that "
                "onnxprobe feeds; re-export the model for smaller inputs"
            ),
        ),
    ],
)
def test_models_that_cannot_be_fed_are_refused(kind: TensorType, message: str) -> None:
    """The fault is the model's: exit code 3."""
    with pytest.raises(ModelError, match=_refused(message)):
        resolve_signature([kind])


@pytest.mark.parametrize(
    ("kind", "sizes", "shapes", "message"),
    [
        (
            TensorType("x", "float32", None),
            {},
            {},
            (
                "input 'x' declares no shape, so nothing can be drawn for it; "
                "give samples with --data 'x'=PATH"
            ),
        ),
        (
            TensorType("x", "float32", ("n", "d")),
            {"d": 2**29},
            {},
            (
                "one sample of input 'x' has shape (536870912,), which is more than 268,435,456 "
                "numbers; choose smaller sizes"
            ),
        ),
        (
            TensorType("x", "float32", ("n", "d", "d")),
            {},
            {"x": (3, 4)},
            (
                "samples of shape (3, 4) were given for input 'x', which takes (d, d); "
                "give samples of that shape"
            ),
        ),
    ],
)
def test_sizes_and_shapes_that_do_not_fit_are_refused(
    kind: TensorType, sizes: dict[str, int], shapes: dict[str, tuple[int, ...]], message: str
) -> None:
    """The fault is the user's: exit code 2."""
    with pytest.raises(DataError, match=_refused(message)):
        resolve_signature([kind], sizes, shapes)


@pytest.mark.parametrize(("ids", "mask_length"), [(7, 9), (9, 7)])
def test_data_for_two_inputs_has_to_agree_on_a_shared_dimension(ids: int, mask_length: int) -> None:
    """The message names both."""
    message = (
        f"dimension 'seq' is {ids} in the data for 'ids' and {mask_length} in the data for 'mask'; "
        "expected one size: make the arrays agree"
    )
    mask = TensorType("mask", "int64", ("batch", "seq"))
    with pytest.raises(DataError, match=_refused(message)):
        resolve_signature([IDS, mask], shapes={"ids": (ids,), "mask": (mask_length,)})


def test_rows_are_laid_along_the_batch_axis() -> None:
    """Feeding is the inverse of taking the axis out."""
    slot = Slot("state", np.dtype("float32"), (2, 5, 4), 2)
    rows = np.arange(120, dtype=np.float32).reshape(3, 2, 5, 4)
    fed = slot.feed(rows)
    assert fed.shape == (2, 5, 3, 4)
    assert fed.flags.c_contiguous
    np.testing.assert_array_equal(fed[:, :, 2], rows[2])


def test_without_a_batch_axis_one_row_is_fed_as_it_is() -> None:
    """Scalars too."""
    slot = Slot("rate", np.dtype("int64"), (), None)
    fed = slot.feed(np.array([16000]))
    assert fed.shape == ()
    assert fed == 16000


@pytest.mark.parametrize(
    ("slot", "shape", "message"),
    [
        (
            Slot("x", np.dtype("float32"), (3,), 0),
            (2, 4),
            "samples of 'x' must have axes (rows, 3), got shape (2, 4)",
        ),
        (
            Slot("x", np.dtype("float32"), (3,), None),
            (2, 3),
            "samples of 'x' must have axes (1, 3), got shape (2, 3)",
        ),
    ],
)
def test_rows_of_another_shape_are_the_callers_fault(
    slot: Slot, shape: tuple[int, ...], message: str
) -> None:
    """No file is to blame."""
    with pytest.raises(ShapeError, match=_refused(message)):
        slot.feed(np.zeros(shape))


@needs_corpus
@pytest.mark.corpus
@pytest.mark.parametrize("model", corpus() or [{}], ids=lambda model: model.get("id", "none"))
def test_third_party_models_have_signatures(model: dict[str, Any]) -> None:
    """Where nothing was assumed, a sample has the elements that the index says run.

    The index runs open batches with a few rows: there the row counts.
    """
    kinds = [
        TensorType(
            entry["name"],
            NAMES.get(entry["dtype"], entry["dtype"]),
            None if entry["shape"] is None else tuple(entry["shape"]),
        )
        for entry in model["inputs"]
        if "type" not in entry["dtype"]
    ]
    try:
        signature = resolve_signature(kinds)
    except OnnxProbeError as error:
        pytest.fail(str(error))
    for slot in signature.slots:
        run_shape = (model.get("run_shapes") or {}).get(slot.name)
        if signature.assumed or run_shape is None:
            continue
        rows = 1 if slot.batch_axis is None else run_shape[slot.batch_axis]
        assert math.prod(slot.shape) * rows == math.prod(run_shape)
