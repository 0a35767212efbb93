"""``onnxprobe derive`` and ``onnxprobe ops``, as a user runs them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

import onnxprobe
from onnxprobe.cli.main import run
from tests.analysis import networks

ROOT = Path(__file__).parents[2]
MODELS = sorted(path for path in (ROOT / "models").glob("*.onnx") if "tokens" not in path.name)


def _metadata(proto: onnx.ModelProto) -> dict[str, str]:
    return {entry.key: entry.value for entry in proto.metadata_props}


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_a_derived_model_is_an_ordinary_model(path: Path, tmp_path: Path) -> None:
    """The checker accepts it, the runtime runs it, and its tangents are linear and right."""
    out = tmp_path / "derived.onnx"
    assert run(["derive", str(path), "-o", str(out)]) == 0
    proto = onnx.load(out)
    onnx.checker.check_model(proto, full_check=True)
    assert json.loads(_metadata(proto)["onnxprobe.numerical_nodes"]) == []
    session = onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"])
    source, tangent = session.get_inputs()
    assert tangent.name == f"{source.name}@tangent"
    assert [each.name for each in session.get_outputs()][-1].endswith("@tangent")
    rng = np.random.default_rng(0)
    shape = [size if isinstance(size, int) else 1 for size in source.shape]
    x = rng.random(shape, np.float32)
    directions = rng.standard_normal((3, *shape)).astype(np.float32)
    directions[2] = directions[0] + directions[1]
    *_, moved = session.run(None, {source.name: x, tangent.name: directions})
    np.testing.assert_allclose(
        moved[2], moved[0] + moved[1], atol=2e-5 * float(np.abs(moved).max())
    )


def test_an_inner_source_and_an_inner_target() -> None:
    derived = onnxprobe.derive(networks.linear(), wrt=["product"], tensors=["y", "z"])
    names = [value.name for value in derived.graph.input]
    assert names == ["x", "product@tangent"]
    assert [value.name for value in derived.graph.output] == ["z", "y@tangent", "z@tangent"]
    session = onnxruntime.InferenceSession(derived.SerializeToString())
    seeds = np.random.default_rng(0).standard_normal((4, 1, 20)).astype(np.float32)
    _, moved, _ = session.run(None, {"x": np.ones((1, 12), np.float32), "product@tangent": seeds})
    np.testing.assert_array_equal(moved, seeds)


def test_a_tensor_that_no_source_reaches_has_zeros() -> None:
    derived = onnxprobe.derive(networks.linear(), wrt=["y"], tensors=["product"])
    session = onnxruntime.InferenceSession(derived.SerializeToString())
    seeds = np.ones((2, 1, 20), np.float32)
    *_, moved = session.run(None, {"x": np.ones((1, 12), np.float32), "y@tangent": seeds})
    assert moved.shape == (2, 1, 20)
    assert not moved.any()


def _ambiguous() -> onnx.ModelProto:
    """``x.squeeze(0)`` as exporters write it where the size of that axis is open."""
    branches = {
        "then_branch": networks.node("Squeeze", ["x"], ["a"]),
        "else_branch": networks.node("Identity", ["x"], ["b"]),
    }
    choice = networks.node("If", ["alone"], ["y"])
    for name, node in branches.items():
        output = helper.make_tensor_value_info(node.output[0], networks.FLOAT, None)
        choice.attribute.add(
            name=name,
            g=helper.make_graph([node], name, [], [output]),
            type=onnx.AttributeProto.GRAPH,
        )
    nodes = [
        networks.node("Shape", ["x"], ["shape"]),
        networks.node("Gather", ["shape", "zero"], ["size"]),
        networks.node("Equal", ["size", "one"], ["alone"]),
        choice,
        networks.node("Softmax", ["y"], ["z"], axis=-1),
    ]
    weights = {"zero": np.array(0), "one": np.array(1)}
    return networks.model(nodes, {"x": (networks.FLOAT, ["k", 3])}, ["z"], weights)


def _never_taken() -> onnx.ModelProto:
    """An If whose branches both count, and in one of which no rank is known."""
    branches = {
        "then_branch": [networks.node("MatMul", ["x", "w"], ["a"])],
        "else_branch": [
            networks.node("Squeeze", ["x"], ["b"]),
            networks.node("MatMul", ["b", "w"], ["c"]),
        ],
    }
    choice = networks.node("If", ["fed"], ["y"])
    for name, nodes in branches.items():
        output = helper.make_tensor_value_info(nodes[-1].output[0], networks.FLOAT, None)
        choice.attribute.add(
            name=name,
            g=helper.make_graph(nodes, name, [], [output]),
            type=onnx.AttributeProto.GRAPH,
        )
    inputs: dict[str, tuple[int, networks.Shape]] = {
        "x": (networks.FLOAT, ["rows", 3]),
        "fed": (onnx.TensorProto.BOOL, []),
    }
    return networks.model([choice], inputs, ["y"], {"w": np.ones((3, 2), np.float32)})


def test_a_rank_that_only_a_run_tells_is_said_and_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tmp_path / "model.onnx", tmp_path / "derived.onnx"
    onnx.save(_ambiguous(), path)
    assert run(["derive", str(path), "-o", str(out)]) == 0
    _, said = capsys.readouterr().out.splitlines()
    assert said == (
        "  assumed: the rank 1 of 'y' and 1 more, as the model declares it or a run on drawn "
        "inputs showed it; at others the file refuses to run"
    )
    assert json.loads(_metadata(onnx.load(out))["onnxprobe.assumed_ranks"]) == {"y": 1, "z": 1}
    session = onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"])
    for rows in (1, 2):
        feeds = {"x": np.ones((rows, 3), np.float32), "x@tangent": np.ones((4, rows, 3), "f")}
        if rows == 1:
            assert session.run(None, feeds)[1].shape == (4, 3)
        else:
            with pytest.raises(Exception, match="the rank of y must be 1"):
                session.run(None, feeds)


def test_open_sizes_can_be_fixed() -> None:
    """With the size of the axis known, so is the branch."""
    derived = onnxprobe.derive(_ambiguous(), sizes={"k": 1}, tensors=["z"])
    sizes = derived.graph.input[0].type.tensor_type.shape.dim
    assert [each.dim_value for each in sizes] == [1, 3]
    session = onnxruntime.InferenceSession(derived.SerializeToString())
    x, vectors = np.array([[0.1, 0.4, -0.3]], np.float32), np.eye(3, dtype=np.float32)
    _, moved = session.run(None, {"x": x, "x@tangent": vectors[:, None]})
    soft = np.exp(x[0]) / np.exp(x[0]).sum()
    np.testing.assert_allclose(moved, np.diag(soft) - np.outer(soft, soft), atol=1e-6)


def test_a_symbol_of_the_model_is_not_taken_for_the_number_of_directions() -> None:
    derived = onnxprobe.derive(_ambiguous(), tensors=["x"])
    sizes = derived.graph.input[1].type.tensor_type.shape.dim
    assert [each.dim_param or each.dim_value for each in sizes] == ["k2", "k", 3]


@pytest.mark.parametrize(
    ("proto", "sentence"),
    [
        (
            _never_taken(),
            "onnxprobe: the derivative of 'y' cannot be computed: make_y (If) holds make_c "
            "(MatMul): the rank of 'b' is not known; fix open sizes with --set, or name tensors in "
            "front of that node with --tensors\n",
        ),
        (
            networks.model(
                [networks.node("Dropout", ["x", "", "on"], ["z"])],
                {"x": (networks.FLOAT, [2]), "on": (onnx.TensorProto.BOOL, [])},
                ["z"],
            ),
            "onnxprobe: the derivative of 'z' cannot be computed: make_z (Dropout): this Dropout "
            "may be switched on, and it does not give its mask: what it draws is not known; name "
            "tensors in front of that node with --tensors\n",
        ),
    ],
)
def test_a_node_without_derivative_is_named_with_what_to_do(
    proto: onnx.ModelProto, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tmp_path / "model.onnx", tmp_path / "derived.onnx"
    onnx.save(proto, path)
    assert run(["derive", str(path), "-o", str(out)]) == 3
    assert capsys.readouterr().err == sentence
    assert not out.exists()


def test_a_size_that_does_not_exist_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(ROOT / "models" / "digits_cnn_torch.onnx")
    out = tmp_path / "derived.onnx"
    assert run(["derive", model, "-o", str(out), "--set", "bach=2"]) == 2
    assert "--set names dimension 'bach', which the model does not have" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--wrt", "nothing"], 2, "--wrt names 'nothing', which is no input and no tensor"),
        (
            ["--tensors", "logit"],
            2,
            "--tensors names 'logit', which is no tensor",
        ),
        (
            ["--wrt", "tokens"],
            2,
            "--wrt names 'tokens', whose type is int64; derivatives need a float tensor: choose",
        ),
        ([], 2, "the model has no float input to differentiate by; name an inner float tensor"),
    ],
)
def test_what_cannot_be_derived_is_said(
    arguments: list[str],
    code: int,
    sentence: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = str(ROOT / "models" / "digits_tokens_torch.onnx")
    out = tmp_path / "derived.onnx"
    assert run(["derive", model, "-o", str(out), *arguments]) == code
    assert sentence in capsys.readouterr().err
    assert not out.exists()


def test_the_table_of_operators_is_that_of_the_documentation(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["ops", "--markdown"]) == 0
    table = capsys.readouterr().out
    assert (ROOT / "docs" / "operators.md").read_text().endswith(table)
    assert run(["ops"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.split() == ["Relu", "rule", "6,", "13,", "14"] for line in lines)
    assert any(line.startswith("Equal ") and "zero" in line for line in lines)
    assert "rule" in lines[-1]
