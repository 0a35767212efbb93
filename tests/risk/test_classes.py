"""The intra-class radius, against distances worked out one by one."""

from __future__ import annotations

import numpy as np
import pytest

from onnxprobe.risk import class_radius


def test_it_is_the_mean_squared_distance_from_the_mean_of_the_class() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, 60)
    labels[7] = 99  # alone in its class
    z = rng.normal(size=(60, 8)) + 3 * rng.normal(size=(100, 8))[labels] + 50
    found = class_radius(z @ z.T, labels)
    assert found is not None
    used = np.flatnonzero(labels != 99)
    slow = np.mean([np.sum((z[i] - z[labels == labels[i]].mean(axis=0)) ** 2) for i in used])
    whole = np.mean(np.sum((z[used] - z[used].mean(axis=0)) ** 2, axis=1))
    assert found.classes == 5
    assert found.radius == pytest.approx(slow, rel=1e-8)
    assert found.share == pytest.approx(slow / whole, rel=1e-8)


def test_collapsed_classes_have_no_radius() -> None:
    z = np.repeat(np.eye(3), 4, axis=0)
    found = class_radius(z @ z.T, np.repeat([5, 6, 7], 4))
    assert found is not None
    assert found.radius == pytest.approx(0, abs=1e-12)
    assert found.share == pytest.approx(0, abs=1e-12)


def test_a_constant_tensor_has_no_share() -> None:
    found = class_radius(np.zeros((4, 4)), np.array([0, 0, 1, 1]))
    assert found is not None
    assert (found.radius, found.share) == (0.0, None)


def test_classes_of_one_say_nothing() -> None:
    assert class_radius(np.eye(4), np.arange(4)) is None


def test_labels_must_fit_and_values_be_finite() -> None:
    with pytest.raises(ValueError, match="labels"):
        class_radius(np.eye(4), np.arange(3))
    with pytest.raises(ValueError, match="finite"):
        class_radius(np.full((2, 2), np.inf), np.zeros(2))
