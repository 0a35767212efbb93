"""The CNN from Keras on TensorFlow, exported by Keras through tf2onnx."""

import sys
import tempfile
from pathlib import Path

import keras
import numpy as np
import onnx
import tensorflow as tf
from data import split_digits
from extents import CLASSES
from keras import layers
from model_file import save_model

SEED = 0
OPSET = 17


def image_classifier() -> keras.Model:
    """Return an untrained CNN over images, shape (batch, 8, 8, 1), channels last."""
    return keras.Sequential([
        keras.Input((8, 8, 1), name="image"),
        layers.Conv2D(16, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(32, 3, padding="same", use_bias=False),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.Flatten(),
        layers.Dense(64, activation="relu"),
        layers.Dropout(0.3),
        layers.Dense(CLASSES, activation="softmax"),
    ])


def main(folder: Path) -> None:
    """Train on one thread, so that sums are added in the same order each time, and export."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(SEED)

    digits, _ = split_digits()
    network = image_classifier()
    network.compile(optimizer=keras.optimizers.Adam(2e-3), loss="sparse_categorical_crossentropy")
    network.fit(digits.pixels[..., np.newaxis], digits.labels, epochs=40, batch_size=64, verbose=0)
    with tempfile.TemporaryDirectory() as temporary:
        exported = Path(temporary) / "exported.onnx"
        network.export(exported, format="onnx", opset_version=OPSET, verbose=False)
        save_model(onnx.load(exported), folder / "digits_cnn_keras.onnx")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
