"""What a model's own file says, and what it does on the test split."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

Split = dict[str, NDArray[Any]]
NUMPY_TYPE = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(int64)": np.int64,
}
TRIED_BATCHES = (1, 7)


@dataclass(frozen=True)
class Measurement:
    """A model, measured.

    Attributes:
        producer: Who the file says made it.
        opsets: Versions of the operator sets it imports.
        input: Name, type and shape of its input.
        accuracy: Share of the test images it classifies correctly.
        size_bytes: Size of the file.
        sha256: Digest of the file.
    """

    producer: str
    opsets: str
    input: str
    accuracy: float
    size_bytes: int
    sha256: str


def measure(path: Path, split: Split) -> Measurement:
    """Return what a model does on the whole test split, having checked that it is valid."""
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    declared = session.get_inputs()[0]
    content = path.read_bytes()
    shape = ", ".join(str(size or "?") for size in declared.shape)
    return Measurement(
        producer=f"{model.producer_name} {model.producer_version}".strip(),
        opsets=", ".join(f"{o.domain or 'ai.onnx'} {o.version}" for o in model.opset_import),
        input=f"`{declared.name}`: {NUMPY_TYPE[declared.type].__name__} ({shape})",
        accuracy=_accuracy(session, split),
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )


def _accuracy(session: onnxruntime.InferenceSession, split: Split) -> float:
    samples = _feed(session, split)
    fixed = session.get_inputs()[0].shape[0]
    if isinstance(fixed, int):
        scores = _scores(session, samples, fixed)
    else:
        scores = _scores(session, samples, len(samples))
        for batch in TRIED_BATCHES:
            # An open batch must be open indeed: no size may be baked into the graph.
            part = _scores(session, samples[: 2 * batch], batch)
            # Within one step of quantisation or a few of float16.
            np.testing.assert_allclose(part, scores[: 2 * batch], rtol=1e-2, atol=1e-1)
    return float(np.mean(scores.argmax(axis=1) == split["labels"]))


def _feed(session: onnxruntime.InferenceSession, split: Split) -> NDArray[Any]:
    """Return the split in the layout and type that the input declares."""
    declared = session.get_inputs()[0]
    dtype = NUMPY_TYPE[declared.type]
    words = dtype is np.int64
    samples = split["tokens"] if words else split["images"].astype(np.float32) / np.float32(255)
    return samples.reshape(-1, *declared.shape[1:]).astype(dtype)


def _scores(
    session: onnxruntime.InferenceSession, samples: NDArray[Any], batch: int
) -> NDArray[Any]:
    name = session.get_inputs()[0].name
    # scikit-learn gives the label first and the scores last; the others give scores alone.
    parts = [
        session.run(None, {name: samples[start : start + batch]})[-1]
        for start in range(0, len(samples), batch)
    ]
    return np.concatenate(parts)
