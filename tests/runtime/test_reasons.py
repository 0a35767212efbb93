"""What ONNX Runtime says, cleaned: real messages of its releases, and hostile ones."""

from __future__ import annotations

import time

import pytest

from onnxprobe.runtime.reasons import missing_provider_reason, reason, reason_in

CODE = "[ONNXRuntimeError] : 1 : FAIL : "
SOURCE = "/onnxruntime_src/onnxruntime/core"


@pytest.mark.parametrize(
    ("said", "cleaned"),
    [
        pytest.param("plain words", "plain words", id="plain"),
        pytest.param(f"{CODE}words", "words", id="code"),
        pytest.param(
            f"{CODE}{SOURCE}/graph/model.cc:256 onnxruntime::Model::Model(onnx::ModelProto&&, "
            "const onnxruntime::PathString&, const onnxruntime::logging::Logger&) Unsupported "
            "model IR version: 99, max supported IR version: 13\n",
            "Unsupported model IR version: 99, max supported IR version: 13",
            id="place and signature",
        ),
        pytest.param(
            f"{CODE}Non-zero status code returned while running Reshape node. Name:'a/b' Status "
            f"Message: {SOURCE}/reshape_helper.h:91 onnxruntime::ReshapeHelper::ReshapeHelper("
            "const onnxruntime::TensorShape&, bool) input_shape_size == requested_shape_size was "
            "false. The input tensor cannot be reshaped. Input shape:{2,3}\n",
            "Reshape node 'a/b' fails: The input tensor cannot be reshaped. Input shape:{2,3}",
            id="node and condition",
        ),
        pytest.param(
            f"{CODE}Non-zero status code returned while running MatMul node. Name:'' Status "
            "Message: matmul_helper.h:59 Compute MatMul dimension mismatch",
            "an unnamed MatMul node fails: Compute MatMul dimension mismatch",
            id="short place",
        ),
        pytest.param(
            f"Exception during initialization: {SOURCE}/string_normalizer.cc:235 "
            "onnxruntime::StringNormalizer::Locale::Locale(const std::string&)::<lambda()> Failed "
            "to construct locale",
            "Exception during initialization: Failed to construct locale",
            id="lambda",
        ),
        pytest.param(
            f"{SOURCE}/memory.cc:12 void onnxruntime::f(std::function<void(int)>) const x > 0 was "
            "false. Too large.",
            "Too large.",
            id="constant method",
        ),
        pytest.param(
            "Load model from /home/me/models/a.onnx failed",
            "Load model from a.onnx failed",
            id="path",
        ),
        pytest.param("one\n  two\n\nthree", "one two three", id="lines"),
        pytest.param(
            "\x1b[1;31m2026-11-23 21:45:53.152535498 [E:onnxruntime:, sequential_executor.cc:677 "
            "ExecuteKernel] it failed\x1b[m",
            "it failed",
            id="log line",
        ),
        pytest.param("Error in execution: Unexpected input", "Unexpected input", id="bound run"),
        pytest.param("", "no reason given", id="nothing"),
        pytest.param("\x1b[m \n", "no reason given", id="colours alone"),
    ],
)  # fmt: skip
def test_a_message_is_cleaned(said: str, cleaned: str) -> None:
    assert reason_in(said) == cleaned
    assert reason(RuntimeError(said or "no reason given")) == cleaned


def test_an_exception_without_words_is_called_by_its_name() -> None:
    assert reason(MemoryError()) == "MemoryError"


@pytest.mark.parametrize(("length", "ending"), [(400, "x"), (401, "...")])
def test_long_messages_are_cut(length: int, ending: str) -> None:
    found = reason_in("x" * length)
    assert len(found) == 400
    assert found.endswith(ending)


@pytest.mark.parametrize("text", ["a" * 10**7, "(" * 10**6, "a.cc:1 b::c(" * 10**5, "/a" * 10**6])
def test_hostile_messages_are_cleaned_at_once(text: str) -> None:
    """Names of a model stand in them; none may be read again and again."""
    start = time.perf_counter()
    assert len(reason_in(text)) <= 400
    assert time.perf_counter() - start < 0.5


def test_a_missing_library_is_named() -> None:
    """Out of a page of log, in ONNX Runtime's own words of release 1.31."""
    chatter = (
        "\x1b[1;31m2026-11-23 21:59:51.028871549 [E:onnxruntime:Default, "
        f"provider_bridge_ort.cc:2458 operator()] {SOURCE}/session/provider_bridge_ort.cc:2043 "
        f"onnxruntime::Provider& onnxruntime::ProviderLibrary::Get() {CODE}Failed to load library "
        "/venv/onnxruntime/capi/libonnxruntime_providers_cuda.so with error: libcublasLt.so.13: "
        "cannot open shared object file: No such file or directory\n\x1b[m"
    )
    found = missing_provider_reason("CUDAExecutionProvider", chatter)
    assert found == "the CUDA libraries are missing (libcublasLt.so.13)"


def test_another_reason_is_quoted() -> None:
    found = missing_provider_reason("CUDAExecutionProvider", f"{CODE}CUDA failure 100: no device")
    assert found == "ONNX Runtime gave no CUDA session (CUDA failure 100: no device)"
    assert missing_provider_reason("CUDAExecutionProvider", "").endswith("(no reason given)")
