"""What unseen directions add where seen ones show, against projections written out."""

from __future__ import annotations

import numpy as np
import pytest

from onnxprobe.shapes import ShapeError
from onnxprobe.spectrum import unseen_energies
from onnxprobe.types import Floats


def _slow(jacobian: Floats, main: Floats, further: Floats) -> Floats:
    outputs, values, _ = np.linalg.svd(jacobian @ main.T, full_matrices=False)
    outputs = outputs[:, values > 1e-6 * values.max(initial=0.0)]
    rest = further - further @ main.T @ main
    energies: Floats = np.square(outputs.T @ jacobian @ rest.T).sum(axis=0)
    return energies


@pytest.mark.parametrize(("m", "k", "rank"), [(30, 4, 12), (3, 4, 3), (30, 4, 2), (12, 1, 12)])
def test_it_is_the_projection_onto_what_the_main_directions_move(m: int, k: int, rank: int) -> None:
    rng = np.random.default_rng(m)
    jacobian = rng.normal(size=(m, rank)) @ rng.normal(size=(rank, 12))
    main = np.linalg.qr(rng.normal(size=(12, k)))[0].T
    further = np.linalg.qr(rng.normal(size=(12, 5)))[0].T
    tangents = np.vstack([main, further]) @ jacobian.T
    found = unseen_energies(tangents @ tangents.T, further @ main.T)
    assert found is not None
    slow = _slow(jacobian, main, further)
    np.testing.assert_allclose(found, slow, rtol=1e-6, atol=1e-9 * np.square(jacobian).sum())


def test_what_moves_other_outputs_hides_nothing() -> None:
    """The identity: every direction has an output of its own."""
    further = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 3)))[0].T
    main = np.eye(6)[:2]
    tangents = np.vstack([main, further])
    found = unseen_energies(tangents @ tangents.T, further @ main.T)
    assert found is not None
    np.testing.assert_allclose(found, 0.0, atol=1e-15)


def test_without_main_directions_or_numbers_there_is_nothing_to_project_on() -> None:
    none = unseen_energies(np.eye(2), np.zeros((2, 0)))
    assert none is not None
    assert none.tolist() == [0.0, 0.0]
    still = unseen_energies(np.zeros((3, 3)), np.zeros((1, 2)))
    assert still is not None
    assert still.tolist() == [0.0]
    assert unseen_energies(np.full((3, 3), np.nan), np.zeros((1, 2))) is None
    assert unseen_energies(np.eye(3), np.full((1, 2), np.inf)) is None


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"gram must have axes \(t, t\), t=3"):
        unseen_energies(np.eye(4), np.zeros((1, 2)))
