"""A session has the settings it was asked for, and says in one sentence what goes wrong."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import onnxruntime
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from onnxprobe.errors import RunError
from onnxprobe.graph import expose_tensors
from onnxprobe.runtime import CPU, CUDA, Session, Settings, version
from onnxprobe.types import Array, Program, TensorType
from tests.graph.messages import beginning, exactly
from tests.graph.models import ROOT, model, node, opened, perceptron, stored, value, weight


def _program(proto: ModelProto) -> Program:
    return Program(proto.SerializeToString(), {})


def _session(proto: ModelProto, *, optimise: bool = False, **settings: int) -> Session:
    return Session(_program(proto), Settings(**settings), optimise=optimise)  # type: ignore[arg-type]


def _options(session: Session) -> onnxruntime.SessionOptions:
    return session._session.get_session_options()


@pytest.mark.parametrize("optimise", [False, True])
def test_optimisation_is_a_choice(optimise: bool) -> None:
    levels = onnxruntime.GraphOptimizationLevel
    expected = levels.ORT_ENABLE_ALL if optimise else levels.ORT_DISABLE_ALL
    assert _options(_session(perceptron(), optimise=optimise)).graph_optimization_level == expected


def test_what_influences_numbers_is_set() -> None:
    """Asked of the session, not of what was written into its options."""
    options = _options(_session(perceptron(), threads=2))
    assert options.use_deterministic_compute
    assert options.execution_mode == onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    assert options.intra_op_num_threads == 2
    assert options.inter_op_num_threads == 1
    assert not options.enable_cpu_mem_arena
    assert not options.enable_mem_pattern
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    limit = "optimization.constant_folding_max_output_size_in_bytes"
    assert options.get_session_config_entry(limit) == "1000000"


def test_a_constant_of_gigabytes_is_not_folded() -> None:
    """It would take 800 MB before anything runs."""
    proto = model(
        [node("ConstantOfShape", "s", "big"), node("ReduceSum", "big", "y", keepdims=0)],
        [],
        [value("y", [])],
        [stored("s", np.array([200_000_000]))],
    )
    before = _resident_kb()
    session = _session(proto, optimise=True)
    assert _resident_kb() - before < 200_000
    assert session.output_types[0].name == "y"


def _resident_kb() -> int:
    gc.collect()
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))


def test_threads_that_wait_do_not_spin() -> None:
    """A process that only waits uses no processor."""
    script = """
import time
import numpy as np
from onnxprobe.runtime import Session, Settings
from tests.graph.models import perceptron, weight
from onnxprobe.types import Program
program = Program(perceptron().SerializeToString(), {})
session = Session(program, Settings(threads=2), optimise=False)
session.run({"x": weight(2000, 8)})
start = time.process_time()
time.sleep(0.5)
print(time.process_time() - start)
"""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 0.1


def test_types_are_read_from_the_runtime() -> None:
    """Numpy's names; what is no tensor has a kind; a rank that may be unknown is unknown."""
    proto = model(
        [
            node("Cast", "x", "d", to=TensorProto.DOUBLE),
            node("SequenceConstruct", "x x", "q"),
            node("Reshape", "x s", "r"),
            node("Identity", "t", "u"),
            node("Cast", "x", "b", to=TensorProto.BFLOAT16),
            node("Optional", "x", "o"),
        ],
        [value("x", ["n", 3]), value("s", None, "int64"), value("t", [2], "string")],
        [],
    )
    program = expose_tensors(opened(proto), ["d", "q", "r", "u", "b", "o"])
    session = Session(program, Settings(), optimise=False)
    assert session.input_types == (
        TensorType("x", "float32", ("n", 3)),
        TensorType("s", "int64", None),
        TensorType("t", "string", (2,)),
    )
    assert session.output_types == (
        TensorType("d", "float64", ("n", 3)),
        TensorType("q", None, None, "sequence"),
        TensorType("r", "float32", None),
        TensorType("u", "string", (2,)),
        TensorType("b", "bfloat16", ("n", 3)),
        TensorType("o", None, None, "optional"),
    )


def test_sparse_values_have_a_kind() -> None:
    proto = model([node("Relu", "x", "y")], [value("x", [2])], [value("y", [2])])
    sparse = helper.make_sparse_tensor_value_info("p", TensorProto.FLOAT, [2])
    proto.graph.input.append(sparse)
    session = _session(proto)
    assert session.input_types[1] == TensorType("p", None, None, "sparse tensor")


def test_a_session_runs() -> None:
    """All outputs, or those asked for, in that order."""
    session = _session(perceptron())
    x = weight(3, 8)
    (y,) = session.run({"x": x})
    assert y.shape == (3, 5)
    assert np.array_equal(session.run({"x": x}, ["y"])[0], y)


def test_weights_are_handed_over_without_a_copy() -> None:
    """The session reads the array itself, and keeps it alive."""
    graph = opened(perceptron())
    assert graph.weights
    session = Session(graph.original, Settings(), optimise=False)
    for name, held in session._weights.items():
        assert held.data_ptr() == graph.weights[name].ctypes.data
    x = weight(1, 8)
    before = session.run({"x": x})[0]
    del graph
    gc.collect()
    assert np.array_equal(session.run({"x": x})[0], before)


@pytest.mark.parametrize("dtype", ["float32", "int8", "bool", "float16", "bfloat16", "float8_e5m2"])
def test_weights_of_every_type_are_handed_over(dtype: str) -> None:
    """Also of types that numpy does not know by itself."""
    array = (np.arange(600) % 2).astype(getattr(ml_dtypes, dtype, dtype))
    tensor = numpy_helper.from_array(array, "w")
    proto = model([node("Cast", "w", "y", to=1)], [], [value("y", None)], [tensor], opset=19, ir=9)
    proto.graph.initializer[0].ClearField("raw_data")
    proto.graph.initializer[0].data_location = TensorProto.EXTERNAL
    proto.graph.initializer[0].external_data.add(key="location", value="nowhere")
    session = Session(Program(proto.SerializeToString(), {"w": array}), Settings(), optimise=False)
    assert np.array_equal(session.run({})[0], array.astype(np.float32))


def test_random_numbers_follow_the_seed() -> None:
    """The same seed, the same numbers; another, others."""
    proto = model([node("RandomNormal", "", "y", shape=[4])], [], [value("y", [4])])
    first, again, other = (_session(proto, seed=seed).run({})[0] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


REFUSED = [
    pytest.param(
        model([node("Nobody", "x", "y")], [value("x", [2])], [value("y", [2])]),
        "No Op registered for Nobody with domain_version of 17",
        id="unknown operator",
    ),
    pytest.param(
        model([node("Relu", "x", "y")], [value("x", [2])], [value("y", [2])], ir=99),
        "ONNX Runtime refuses the model: Unsupported model IR version: 99, "
        "max supported IR version",
        id="future version",
    ),
    pytest.param(
        model([node("Relu", "q", "y")], [value("x", [2])], [value("y", [2])]),
        "ONNX Runtime refuses the model: Invalid model. Node input 'q' is not a graph input, "
        "initializer, or output of a previous node.",
        id="missing tensor",
    ),
    pytest.param(
        model(
            [node("MatMul", "x x", "y")],
            [value("x", [2, 2], "bfloat16")],
            [value("y", [2, 2], "bfloat16")],
        ),
        "ONNX Runtime refuses the model: Could not find an implementation for MatMul(13) node with",
        id="missing kernel",
    ),
]


@pytest.mark.parametrize(("proto", "message"), REFUSED)
def test_a_refusal_is_one_sentence(
    proto: ModelProto, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nothing is printed."""
    with pytest.raises(RunError) as caught:
        _session(proto)
    found = str(caught.value)
    assert found.startswith("ONNX Runtime refuses the model: ")
    assert message in found
    assert not set("\n\x1b") & set(found)
    assert caught.value.__cause__ is not None
    assert capfd.readouterr() == ("", "")


def test_bytes_that_are_no_model_are_refused() -> None:
    message = (
        "ONNX Runtime refuses the model: Failed to load model because protobuf parsing failed."
    )
    with pytest.raises(RunError, match=exactly(message)):
        Session(Program(b"garbage", {}), Settings(), optimise=False)


def test_a_missing_weight_is_refused() -> None:
    graph = opened(perceptron())
    with pytest.raises(RunError, match=beginning("ONNX Runtime refuses the model: ")):
        Session(Program(graph.original.proto, {}), Settings(), optimise=False)


def test_a_failing_run_is_one_sentence(capfd: pytest.CaptureFixture[str]) -> None:
    """It names the node, and nothing is printed."""
    proto = model(
        [node("Reshape", "x s", "y", name="back/reshape")],
        [value("x", None), value("s", None, "int64")],
        [value("y", None)],
    )
    session = _session(proto)
    with pytest.raises(
        RunError,
        match=exactly(
            "ONNX Runtime cannot run the model: Reshape node 'back/reshape' fails: The input "
            "tensor cannot be reshaped to the requested shape. Input shape:{2,3}, requested "
            "shape:{7}"
        ),
    ):
        session.run({"x": weight(2, 3), "s": np.array([7])})
    assert capfd.readouterr() == ("", "")


def test_an_allocation_that_fails_is_one_sentence() -> None:
    proto = model(
        [node("ConstantOfShape", "s", "y")], [value("s", [1], "int64")], [value("y", None)]
    )
    with pytest.raises(
        RunError,
        match=r"^ONNX Runtime cannot run the model: an unnamed ConstantOfShape node fails: "
        r"(std::bad_alloc|Failed to allocate memory for requested buffer of size "
        r"4611686018427387904) \(memory ran out; --memory allows more\)$",
    ):
        _session(proto).run({"s": np.array([2**60])})


def test_inputs_that_do_not_fit_are_one_sentence() -> None:
    """Another shape, another type, none."""
    session = _session(model([node("Relu", "x", "y")], [value("x", [2])], [value("y", [2])]))
    cases: list[tuple[dict[str, Array], str]] = [
        ({"x": np.ones(3, np.float32)}, "Got invalid dimensions for input: x"),
        ({"x": np.ones(2)}, "Unexpected input data type"),
        ({}, "Required inputs"),
        ({"z": np.ones(2, np.float32)}, "Required inputs"),
    ]
    for feeds, message in cases:
        with pytest.raises(
            RunError, match=beginning(f"ONNX Runtime cannot run the model: {message}")
        ):
            session.run(feeds)


def _printing(monkeypatch: pytest.MonkeyPatch, text: bytes) -> None:
    """Make sessions, of the CPU whatever was asked for, that print to both native streams."""
    plain = onnxruntime.InferenceSession

    def made(*arguments: object, **options: object) -> object:
        os.write(1, text)
        os.write(2, text)
        return plain(*arguments, **{**options, "providers": [CPU]})

    monkeypatch.setattr(onnxruntime, "InferenceSession", made)


def test_what_the_runtime_prints_while_loading_is_kept(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """And not printed."""
    _printing(monkeypatch, b"a warning\n")
    assert _session(perceptron()).chatter == "a warning\n" * 2
    assert capfd.readouterr() == ("", "")


def test_a_provider_that_is_not_given_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The runtime would go on with the CPU."""
    _printing(monkeypatch, b"libcublasLt.so.13: cannot open shared object file: No such file\n")
    with pytest.raises(
        RunError,
        match=exactly("the CUDA libraries are missing (libcublasLt.so.13); use --device cpu"),
    ):
        _session(perceptron(), provider=CUDA)  # type: ignore[arg-type]


def test_a_session_says_what_is_in_force() -> None:
    assert _session(perceptron()).provider_options == {CPU: {}}


def test_cuda_is_asked_for_without_tensorfloat(monkeypatch: pytest.MonkeyPatch) -> None:
    """It keeps 10 bits: a derivative taken through it is noise."""
    asked: list[object] = []

    def refuse(*_: object, **options: object) -> object:
        asked.append(options["providers"])
        assert options["enable_fallback"] == 0
        raise RuntimeError("not here")

    monkeypatch.setattr(onnxruntime, "InferenceSession", refuse)
    with pytest.raises(RunError, match=exactly("ONNX Runtime refuses the model: not here")):
        _session(perceptron(), provider=CUDA, memory_bytes=12345)  # type: ignore[arg-type]
    assert asked == [
        [
            (
                CUDA,
                {
                    "use_tf32": "0",
                    "cudnn_conv_algo_search": "DEFAULT",
                    "arena_extend_strategy": "kSameAsRequested",
                    "gpu_mem_limit": "12345",
                },
            ),
            CPU,
        ]
    ]


def test_the_version_is_the_runtimes() -> None:
    assert version() == onnxruntime.__version__
