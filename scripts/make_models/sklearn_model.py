"""The multilayer perceptron from scikit-learn, exported by skl2onnx."""

import sys
from pathlib import Path

from data import split_digits
from model_file import save_model
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.neural_network import MLPClassifier

OPSET = 15


def main(folder: Path) -> None:
    """Train on flat images and export with one row of probabilities per image."""
    digits, _ = split_digits()
    pixels = digits.pixels.reshape(len(digits.labels), -1)
    network = MLPClassifier(hidden_layer_sizes=(64, 32), alpha=1e-3, max_iter=400, random_state=0)
    network.fit(pixels, digits.labels)
    model = to_onnx(
        network,
        # Without a name the graph would be called by a random one.
        name="digits_mlp",
        initial_types=[("pixels", FloatTensorType([None, pixels.shape[1]]))],
        # Otherwise probabilities come as a list of dictionaries instead of a tensor.
        options={"zipmap": False},
        target_opset=OPSET,
    )
    save_model(model, folder / "digits_mlp_sklearn.onnx")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
