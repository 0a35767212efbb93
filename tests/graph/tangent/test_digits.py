"""The models of this repository: tangents and ranks against float64 central differences."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.reference import ReferenceEvaluator

import onnxprobe
from onnxprobe.types import Array
from tests.graph.tangent.doubled import doubled
from tests.graph.tangent.test_networks import Erf

ROOT = Path(__file__).parents[3]
DIGITS = ROOT / "models" / "digits.npz"
NAMES = (
    "digits_cnn_torch",
    "digits_cnn_torch_batch1",
    "digits_mlp_sklearn",
    "digits_net_jax",
    "digits_cnn_keras",
)


def _sample(proto: onnx.ModelProto) -> Array:
    with np.load(DIGITS, allow_pickle=False) as archive:
        image = archive["images"][7].astype(np.float32) / np.float32(255)
    # Equal pixels tie in pooling windows, where there is no derivative.
    image += np.random.default_rng(1).uniform(0, 0.05, image.shape).astype(np.float32)
    sizes = [size.dim_value or 1 for size in proto.graph.input[0].type.tensor_type.shape.dim]
    reshaped: Array = image.reshape(sizes)
    return reshaped


def _difference(proto: onnx.ModelProto, source: str, target: str, x: Array, vector: Array) -> Array:
    """A fourth-order difference in float64."""
    whole = doubled(proto)
    del whole.graph.output[:]
    whole.graph.output.append(onnx.helper.make_empty_tensor_value_info(target))
    evaluator = ReferenceEvaluator(whole, new_ops=[Erf])
    step = 2.0**-20

    def at(steps: int) -> Array:
        moved = x.astype(np.float64) + steps * step * vector.astype(np.float64)
        (value,) = evaluator.run([target], {source: moved})
        return np.asarray(value, np.float64)

    return np.asarray((8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * step))


@pytest.mark.parametrize("name", NAMES)
def test_the_whole_jacobian_of_a_model_is_that_of_float64(name: str) -> None:
    """To float32 rounding, with the ranks of the truth wherever no value lies near a threshold."""
    path = ROOT / "models" / f"{name}.onnx"
    proto = onnx.load(path)
    x = _sample(proto)
    source = proto.graph.input[0].name
    # Probabilities saturate beyond what differences show.
    softmax = [node for node in proto.graph.node if node.op_type == "Softmax"]
    target = softmax[-1].input[0] if softmax else proto.graph.output[-1].name
    vectors = np.eye(x.size, dtype=np.float32).reshape(x.size, *x.shape)
    derived = onnxprobe.derive(path, tensors=[target])
    session = onnxruntime.InferenceSession(derived.SerializeToString())
    feeds = {source: x, f"{source}@tangent": vectors}
    (found,) = session.run([f"{target}@tangent"], feeds)
    truth = np.stack([_difference(proto, source, target, x, vector) for vector in vectors])
    jacobian, true = (each.reshape(x.size, -1).astype(np.float64) for each in (found, truth))
    error = np.linalg.norm(jacobian - true) / np.linalg.norm(true)
    assert error < 1e-6, error
    values, truths = (np.linalg.svd(each, compute_uv=False) for each in (jacobian, true))
    for tolerance in (1e-2, 1e-3, 1e-4, 1e-5):
        bound = tolerance * truths[0]
        if not ((truths > bound / 1.25) & (truths < bound * 1.25)).any():
            assert (values > tolerance * values[0]).sum() == (truths > bound).sum()
