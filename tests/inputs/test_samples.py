from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxprobe.inputs import Samples, spread_indices
from onnxprobe.types import Array


def _samples(**arrays: Array) -> Samples:
    count = len(next(iter(arrays.values())))
    return Samples(arrays, count, np.arange(count) * 10, np.arange(count) % 3, notes=("a note",))


@given(st.integers(0, 10_000), st.integers(1, 3_000))
def test_spread_indices_rise_evenly_from_the_first(total: int, count: int) -> None:
    """Gaps differ by one at most, and the end is as well covered as the beginning."""
    indices = spread_indices(total, count)
    assert len(indices) == min(total, count)
    if total:
        gaps = np.diff([*indices, total])
        assert indices[0] == 0
        assert gaps.min() >= 1
        assert gaps.max() - gaps.min() <= 1


def test_all_are_chosen_where_there_are_too_few() -> None:
    """In order."""
    assert spread_indices(3, 10).tolist() == [0, 1, 2]


def test_a_subset_keeps_arrays_labels_and_positions_together() -> None:
    """In the order asked for."""
    samples = _samples(x=np.arange(8).reshape(4, 2), y=np.arange(4))
    part = samples.subset(np.array([3, 1]))
    assert part.count == 2
    assert part.arrays["x"].tolist() == [[6, 7], [2, 3]]
    assert part.arrays["y"].tolist() == [3, 1]
    assert part.positions.tolist() == [30, 10]
    assert part.labels is not None
    assert part.labels.tolist() == [0, 1]
    assert part.notes == ("a note",)
    assert samples.spread(2).tolist() == [0, 2]


def test_a_subset_of_repeated_samples_is_not_copied() -> None:
    """They may be large weights."""
    shared = np.broadcast_to(np.arange(6.0), (4, 6))
    part = Samples({"w": shared}, 4, np.arange(4)).subset(np.array([0, 2]))
    assert part.arrays["w"].shape == (2, 6)
    assert part.arrays["w"].strides[0] == 0
    assert part.labels is None


def test_equal_samples_have_equal_digests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the order of names, the memory layout, the byte order, or the blocks of hashing."""
    x, y = np.arange(24, dtype=np.float32).reshape(4, 6), np.arange(4)
    digest = _samples(x=x, y=y).digest
    assert len(digest) == 64
    assert _samples(y=y, x=x).digest == digest
    assert _samples(x=np.asfortranarray(x), y=y).digest == digest
    assert _samples(x=x.astype(">f4"), y=y).digest == digest
    monkeypatch.setattr("onnxprobe.inputs.samples._BLOCK_BYTES", 1)
    assert _samples(x=x, y=y).digest == digest


def test_any_change_changes_the_digest() -> None:
    """Name, type, shape, value."""
    x = np.arange(24, dtype=np.float32).reshape(4, 6)
    changed = x.copy()
    changed[3, 5] += 1
    samples = [
        _samples(x=x),
        _samples(z=x),
        _samples(x=x.astype(np.float64)),
        _samples(x=x.reshape(4, 3, 2)),
        _samples(x=x[:3]),
        _samples(x=changed),
        _samples(x=np.array(["a", "b"], dtype=object)),
        _samples(x=np.array(["a\n", "b"], dtype=object)),
    ]
    assert len({sample.digest for sample in samples}) == len(samples)


def test_the_digest_is_the_same_on_every_machine() -> None:
    """A value worked out once: sha256 of the line ``'x' <f4 (1, 2)`` and eight bytes."""
    import hashlib

    samples = _samples(x=np.array([[1, 2]], np.float32))
    expected = hashlib.sha256(b"'x' <f4 (1, 2)\n\0\0\x80?\0\0\0@").hexdigest()
    assert samples.digest == expected


def test_no_samples_of_no_inputs_have_a_digest() -> None:
    """Of nothing at all."""
    assert Samples({}, 1, np.arange(1)).digest.startswith("e3b0c442")
