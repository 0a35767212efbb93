"""The int8 model: ONNX Runtime's static quantisation of the CNN from PyTorch."""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from data import split_digits
from model_file import save_model
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

CALIBRATION_IMAGES = 256


class Calibration(CalibrationDataReader):  # type: ignore[misc] # ONNX Runtime ships no types
    """Training images, one batch of one at a time."""

    def __init__(self, images: NDArray[np.float32]) -> None:
        self.batches: Iterator[NDArray[np.float32]] = iter(images[:, np.newaxis, np.newaxis])

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """Return the next feed, None after the last."""
        batch = next(self.batches, None)
        return None if batch is None else {"image": batch}


def main(folder: Path) -> None:
    """Quantise weights and activations, with QuantizeLinear and DequantizeLinear around each."""
    train, _ = split_digits()
    with tempfile.TemporaryDirectory() as temporary:
        prepared = Path(temporary) / "prepared.onnx"
        quantised = Path(temporary) / "quantised.onnx"
        # Shapes are inferred, but nothing fused: names stay those of the float model.
        quant_pre_process(folder / "digits_cnn_torch.onnx", prepared, skip_optimization=True)
        quantize_static(
            prepared,
            quantised,
            Calibration(train.pixels[:CALIBRATION_IMAGES]),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
        )
        save_model(onnx.load(quantised), folder / "digits_cnn_int8.onnx")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
