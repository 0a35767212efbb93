from __future__ import annotations

import numpy as np
import pytest

from onnxprobe.jacobian import PROBES, Part, Source, coordinate_directions, given_directions
from onnxprobe.shapes import ShapeError


def test_coordinate_directions_are_the_identity() -> None:
    directions = coordinate_directions(5)
    assert np.array_equal(directions.take(range(5)), np.eye(5))
    assert directions.is_complete
    assert directions.total == 5


@pytest.mark.parametrize(("size", "count"), [(500, 40), (70_000, 20), (40, 33)])
def test_random_directions_are_orthonormal_and_so_are_the_probes(size: int, count: int) -> None:
    directions = given_directions(size, count, np.random.default_rng(0))
    main = directions.take(range(count))
    probes = directions.take(range(count, directions.total))
    assert len(probes) == min(PROBES, count, size - count)
    assert np.allclose(main @ main.T, np.eye(count), atol=1e-5)
    assert np.allclose(probes @ probes.T, np.eye(len(probes)), atol=1e-5)


def test_random_directions_follow_their_generator() -> None:
    first = given_directions(50, 5, np.random.default_rng(1)).take(range(10))
    second = given_directions(50, 5, np.random.default_rng(1)).take(range(10))
    other = given_directions(50, 5, np.random.default_rng(2)).take(range(10))
    assert np.array_equal(first, second)
    assert not np.allclose(first, other)


def test_fewer_components_than_asked_for_give_fewer_directions() -> None:
    components = np.eye(50)[:3]
    directions = given_directions(50, 10, np.random.default_rng(0), components)
    assert directions.count == 3
    assert not directions.is_complete


def test_components_of_another_size_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"principal must have axes \(components, n\), n=50"):
        given_directions(50, 10, np.random.default_rng(0), np.eye(40))


def test_spread_chooses_evenly_and_no_more_than_there_are() -> None:
    directions = coordinate_directions(100)
    assert directions.spread(3) == (0, 50, 99)
    assert directions.spread(1000) == tuple(range(100))


def test_a_source_is_split_and_joined_without_loss() -> None:
    source = Source((Part("a", (2, 3)), Part("b", (), "float64"), Part("c", (4,))))
    vectors = np.random.default_rng(0).normal(size=(5, source.size)).astype(np.float32)
    tensors = source.split(vectors.astype(np.float64))
    assert {name: array.shape for name, array in tensors.items()} == {
        "a": (5, 2, 3),
        "b": (5,),
        "c": (5, 4),
    }
    assert tensors["b"].dtype == np.float64
    assert np.array_equal(source.join(tensors), vectors)


def test_scales_are_the_rms_of_each_tensor_and_1_for_zeros() -> None:
    source = Source((Part("a", (2,)), Part("zero", (3,))))
    scales = source.scales(np.array([3.0, 4.0, 0.0, 0.0, 0.0]))
    assert np.allclose(scales, [np.sqrt(12.5)] * 2 + [1.0] * 3)


@pytest.mark.parametrize(("size", "count"), [(6, 4), (40, 33), (3, 2)])
def test_all_directions_together_are_independent(size: int, count: int) -> None:
    """What was differenced is divided by all of them at once."""
    directions = given_directions(size, count, np.random.default_rng(3))
    rows = directions.take(range(directions.total))
    assert np.linalg.matrix_rank(rows) == directions.total > count


def test_overlaps_are_inner_products_of_probes_and_main_directions() -> None:
    rng = np.random.default_rng(0)
    principal = np.linalg.qr(rng.normal(size=(50, 6)))[0].T
    found = given_directions(50, 6, rng, principal)
    assert found.matrix is not None
    assert found.overlaps.shape == (6, 6)
    np.testing.assert_allclose(found.overlaps, found.matrix[6:] @ found.matrix[:6].T, atol=1e-6)
