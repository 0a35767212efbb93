"""Third-party classifiers reach their known accuracy through the loader and its options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from onnxprobe.inputs import ImageOptions, Slot, load_samples
from onnxprobe.types import Array, TensorType
from tests.shared import SHARED, accuracy_options, corpus, needs_corpus


def _options(chosen: dict[str, Any]) -> ImageOptions:
    numbers: dict[str, Any] = {
        key: tuple(each) if isinstance(each, list) else each for key, each in chosen.items()
    }
    return ImageOptions(**numbers)


def _outputs(path: Path, slot: Slot, samples: Array) -> Array:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # Sums of int8 products saturate on processors without VNNI instructions otherwise.
    options.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    rows = 1 if slot.declared_batch else len(samples)
    outputs = [
        session.run(None, {slot.name: slot.feed(samples[start : start + rows])})[0].reshape(
            rows, -1
        )
        for start in range(0, len(samples), rows)
    ]
    return np.concatenate(outputs)


@needs_corpus
@pytest.mark.corpus
@pytest.mark.parametrize("name", accuracy_options())
def test_classifiers_reach_their_known_accuracy(name: str) -> None:
    """On the first 512 test images, to the three digits of the index."""
    model = next(model for model in corpus() if model["id"] == name)
    match = model["dataset_match"]
    (entry,) = model["inputs"]
    kind = TensorType(entry["name"], "float32", tuple(entry["shape"]))
    with np.load(SHARED / f"data/{match['dataset']}.npz", allow_pickle=False) as archive:
        data = {key: archive[key][: match["n"]] for key in ("images", "labels")}
    options = _options(accuracy_options()[name])
    signature, samples = load_samples([kind], data, rng=np.random.default_rng(0), options=options)
    outputs = _outputs(
        SHARED / "corpus" / model["file"], signature.slots[0], samples.arrays[kind.name]
    )
    accuracy = float((outputs.argmax(axis=1) == samples.labels).mean())
    assert accuracy == pytest.approx(match["accuracy"], abs=6e-4)
    assert samples.notes == ()


@needs_corpus
def test_every_model_with_a_known_accuracy_has_its_options() -> None:
    """None is left out silently."""
    known = {model["id"] for model in corpus() if "dataset_match" in model}
    assert set(accuracy_options()) == known
