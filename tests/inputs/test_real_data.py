"""The data sets and photographs beside the checkout."""

from __future__ import annotations

import numpy as np

from onnxprobe.inputs import ImageOptions, Samples, load_samples
from onnxprobe.types import TensorType
from tests.shared import SHARED, needs_data

DATA = SHARED / "data"

pytestmark = needs_data


def _load(shape: tuple[int | None, ...], name: str, limit: int | None = None) -> Samples:
    kind = TensorType("x", "float32", shape)
    return load_samples([kind], DATA / name, rng=np.random.default_rng(0), limit=limit)[1]


def test_handwritten_digits_feed_a_small_classifier() -> None:
    """All 10,000, or an even choice of 2,048, each with its label."""
    samples = _load((None, 1, 28, 28), "mnist_test.npz")
    with np.load(DATA / "mnist_test.npz", allow_pickle=False) as archive:
        pixels, labels = archive["images"][samples.positions], archive["labels"]
    assert samples.count == 2_048
    np.testing.assert_array_equal(samples.arrays["x"][:, 0], (pixels / 255).astype(np.float32))
    assert samples.labels is not None
    np.testing.assert_array_equal(samples.labels, labels[samples.positions])
    assert _load((None, 1, 28, 28), "mnist_test.npz", limit=10_000).count == 10_000


def test_photographs_in_colour_feed_channels_first_and_last() -> None:
    """CIFAR's archive also names its classes, which the report mentions."""
    first = _load((1, 3, 32, 32), "cifar10_test_jpeg.npz", limit=100)
    last = _load((1, 32, 32, 3), "cifar10_test_jpeg.npz", limit=100)
    np.testing.assert_array_equal(first.arrays["x"].transpose(0, 2, 3, 1), last.arrays["x"])
    assert first.notes == (
        "100 of 10,000 samples are used, spread evenly over the data",
        "cifar10_test_jpeg.npz also holds 'classes', left aside",
    )


def test_faces_fix_open_dimensions() -> None:
    """The pictures of the archive are 112×92."""
    assert _load((None, 1, None, None), "orl_faces.npz").arrays["x"].shape == (400, 1, 112, 92)


def test_photographs_of_all_modes_and_sizes_feed_a_large_classifier() -> None:
    """Grey, colour and transparent; PNG and JPEG; cropped rather than distorted."""
    kind = TensorType("x", "float32", (1, 3, 224, 224))
    for folder, count in (("photos", 14), ("face_photos", 16), ("ort_photos", 2)):
        _, samples = load_samples(
            [kind],
            DATA / folder,
            rng=np.random.default_rng(0),
            options=ImageOptions(resize="crop"),
        )
        assert samples.count == count
        pixels = samples.arrays["x"]
        assert pixels.min() >= 0
        assert pixels.max() <= 1
        assert pixels.std() > 0.1
        (note,) = samples.notes
        assert note.startswith(f"pictures of {folder} (")
        assert note.endswith(" scaled and cropped to 224×224")
