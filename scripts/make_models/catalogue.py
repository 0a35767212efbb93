"""What a model's file cannot say about itself: which framework and which exporter made it."""

from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Entry:
    """One model.

    Attributes:
        file: Its name in ``models/``.
        network: What it is, in a few words.
        environment: The ``NAME`` of the ``requirements-NAME.txt`` it was made with.
        framework: Packages that trained it, ``{name}`` standing for a pinned version.
        exporter: What exported it, written the same way.
    """

    file: str
    network: str
    environment: str
    framework: str
    exporter: str


_TORCH = "PyTorch {torch}"
_DYNAMO = "`torch.onnx.export(dynamo=True)` {torch}, onnxscript {onnxscript}"
_TORCHSCRIPT = "`torch.onnx.export(dynamo=False)` {torch}"
_QUANTISER = "`onnxruntime.quantization.quantize_static` {onnxruntime} of `digits_cnn_torch.onnx`"
_CNN = "CNN: two convolutions, two dense layers"

CATALOGUE = (
    Entry("digits_cnn_torch.onnx", _CNN, "torch", _TORCH, _DYNAMO),
    Entry(
        "digits_cnn_torch_batch1.onnx", "the same CNN, batch of one", "torch", _TORCH, _TORCHSCRIPT
    ),
    Entry("digits_cnn_float16.onnx", "the same CNN in float16", "torch", _TORCH, _DYNAMO),
    Entry("digits_cnn_int8.onnx", "the same CNN in int8, QDQ", "torch", _TORCH, _QUANTISER),
    Entry("digits_vit_torch.onnx", "vision transformer: two blocks", "torch", _TORCH, _DYNAMO),
    Entry(
        "digits_tokens_torch.onnx",
        "token classifier: embedding, 1-d convolutions",
        "torch",
        _TORCH,
        _TORCHSCRIPT,
    ),
    Entry(
        "digits_mlp_sklearn.onnx",
        "MLP: two hidden layers",
        "sklearn",
        "scikit-learn {scikit-learn}",
        "skl2onnx {skl2onnx}",
    ),
    Entry(
        "digits_cnn_keras.onnx",
        _CNN,
        "keras",
        "Keras {keras} on TensorFlow {tensorflow-cpu}",
        '`Model.export(format="onnx")` {keras}, tf2onnx {tf2onnx}',
    ),
    Entry(
        "digits_net_jax.onnx",
        "residual MLP with RMS norm",
        "jax",
        "JAX {jax}",
        "jax2onnx {jax2onnx}",
    ),
)


def pinned(environment: str) -> dict[str, str]:
    """Return the version of each package that an environment's requirements pin."""
    lines = (HERE / f"requirements-{environment}.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split("==") for line in lines if "==" in line)
    return dict(pairs)
