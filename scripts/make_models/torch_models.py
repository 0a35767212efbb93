"""The models from PyTorch: both of its exporters, three networks, one of them in three forms."""

import copy
import sys
import tempfile
from pathlib import Path

import onnx
import torch
from data import split_digits
from model_file import save_model
from torch import Tensor, nn
from torch_networks import ImageClassifier, TokenClassifier, VisionTransformer
from torch_training import train

SEED = 0


def export_by_dynamo(network: nn.Module, sample: Tensor, name: str, opset: int) -> onnx.ModelProto:
    """Return what torch.export makes of a network, the first axis of its input left open."""
    program = torch.onnx.export(
        network,
        (sample,),
        dynamo=True,
        verbose=False,
        opset_version=opset,
        input_names=[name],
        output_names=["logits"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
    )
    assert program is not None
    return program.model_proto


def export_by_torchscript(
    network: nn.Module, sample: Tensor, name: str, opset: int, *, open_batch: bool
) -> onnx.ModelProto:
    """Return what TorchScript makes of a network: the exporter of most models in the field."""
    with tempfile.TemporaryDirectory() as temporary:
        exported = Path(temporary) / "exported.onnx"
        torch.onnx.export(
            network,
            (sample,),
            exported,
            dynamo=False,
            opset_version=opset,
            input_names=[name],
            output_names=["logits"],
            dynamic_axes={name: {0: "batch"}, "logits": {0: "batch"}} if open_batch else None,
        )
        return onnx.load(exported)


def make_image_classifier(folder: Path, images: Tensor, labels: Tensor) -> None:
    """Write one trained network in three forms: open batch, batch of one, float16."""
    torch.manual_seed(SEED)
    network = train(ImageClassifier(), images, labels, epochs=30, rate=5e-3)
    save_model(
        export_by_dynamo(network, images[:2], "image", opset=18), folder / "digits_cnn_torch.onnx"
    )
    save_model(
        export_by_torchscript(network, images[:1], "image", opset=17, open_batch=False),
        folder / "digits_cnn_torch_batch1.onnx",
    )
    save_model(
        export_by_dynamo(copy.deepcopy(network).half(), images[:2].half(), "image", opset=18),
        folder / "digits_cnn_float16.onnx",
    )


def make_vision_transformer(folder: Path, images: Tensor, labels: Tensor) -> None:
    """Write the vision transformer."""
    torch.manual_seed(SEED)
    network = train(VisionTransformer(), images, labels, epochs=120, rate=3e-3)
    # Opset 20 is the first with a Gelu operator.
    save_model(
        export_by_dynamo(network, images[:2], "image", opset=20), folder / "digits_vit_torch.onnx"
    )


def make_token_classifier(folder: Path, tokens: Tensor, labels: Tensor) -> None:
    """Write the classifier of grey levels read as words."""
    torch.manual_seed(SEED)
    network = train(TokenClassifier(), tokens, labels, epochs=60, rate=5e-3)
    save_model(
        export_by_torchscript(network, tokens[:2], "tokens", opset=13, open_batch=True),
        folder / "digits_tokens_torch.onnx",
    )


def main(folder: Path) -> None:
    """Train on one thread, so that sums are added in the same order each time, and export."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    digits, _ = split_digits()
    images = torch.from_numpy(digits.pixels).unsqueeze(1)
    labels = torch.from_numpy(digits.labels)
    make_image_classifier(folder, images, labels)
    make_vision_transformer(folder, images, labels)
    make_token_classifier(folder, torch.from_numpy(digits.tokens), labels)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
