"""A folder with a model whose weight lies in a file beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from onnx import TensorProto

from tests.graph.models import model, node, value, weight

Written = Callable[..., Path]
WEIGHT = weight(20, 20)


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Write y = x·w, where w refers to another file, and return the model's path."""

    def write(
        location: str = "w.bin", data: bytes | None = WEIGHT.tobytes(), **entries: str
    ) -> Path:
        tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=WEIGHT.shape)
        tensor.data_location = TensorProto.EXTERNAL
        for key, text in {"location": location, **entries}.items():
            tensor.external_data.add(key=key, value=text)
        proto = model(
            [node("MatMul", "x w", "y")], [value("x", [1, 20])], [value("y", [1, 20])], [tensor]
        )
        folder = tmp_path / "model"
        folder.mkdir(exist_ok=True)
        if data is not None:
            (folder / "w.bin").write_bytes(data)
        path = folder / "model.onnx"
        path.write_bytes(proto.SerializeToString())
        return path

    return write
