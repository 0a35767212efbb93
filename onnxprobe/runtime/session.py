"""A session of ONNX Runtime, with every setting that influences a number chosen on purpose."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnxprobe.errors import RunError
from onnxprobe.runtime.chatter import capture_chatter
from onnxprobe.runtime.library import onnxruntime
from onnxprobe.runtime.reasons import failure, missing_provider_reason
from onnxprobe.types import Array, Program, TensorType

__all__ = ["CPU", "CUDA", "REFUSAL", "USE_CPU", "Session", "Settings", "version"]

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"

REFUSAL = "ONNX Runtime refuses the model: "
# What a user can do where CUDA is not to be had.
USE_CPU = "use --device cpu"

FATAL = 4

_NUMPY_NAMES = {"float": "float32", "double": "float64"}
# Types that other packages add to numpy, as ONNX numbers them.
_BEYOND_NUMPY = {
    "bfloat16": 16,
    "float8_e4m3fn": 17,
    "float8_e4m3fnuz": 18,
    "float8_e5m2": 19,
    "float8_e5m2fnuz": 20,
    "float8_e8m0fnu": 24,
}


@dataclass(frozen=True)
class Settings:
    """How sessions are made.

    Attributes:
        provider: `CPU` or `CUDA`.
        threads: Threads inside an operator.
        seed: Seed of the runtime's random operators.
        memory_bytes: Limit of the CUDA arena.
    """

    provider: str = CPU
    threads: int = 1
    seed: int = 0
    memory_bytes: int = 2**32


class Session:
    """One compiled program.

    Graph optimisation is a choice per session. Off, every tensor is bit-equal to the exported graph
    run the same way. On, kernels are fused and convolutions blocked: about 1.2 times faster with
    every tensor exposed, at differences near 1e-6; whoever asks for it compares the tensors it
    gives.

    Args:
        program: What to run.
        settings: How to run it.
        optimise: Whether the runtime may rewrite the graph.

    Raises:
        RunError: If the runtime refuses the program, or the provider is not the one asked for.
    """

    def __init__(self, program: Program, settings: Settings, *, optimise: bool) -> None:
        options = _session_options(settings, optimise=optimise)
        # The session reads these buffers for as long as it lives.
        self._weights = {name: _ort_value(array) for name, array in program.weights.items()}
        onnxruntime.set_seed(settings.seed)
        with capture_chatter() as chatter:
            try:
                if self._weights:
                    options.add_external_initializers(
                        list(self._weights), list(self._weights.values())
                    )
                self._session = onnxruntime.InferenceSession(
                    program.proto,
                    options,
                    providers=_providers(settings),
                    enable_fallback=0,
                )
            except Exception as error:
                raise failure(REFUSAL, error) from error
        self.chatter = chatter.text
        if settings.provider not in self._session.get_providers():
            missing = missing_provider_reason(settings.provider, self.chatter)
            raise RunError(f"{missing}; {USE_CPU}")
        self._run_options = onnxruntime.RunOptions()
        # A run that fails raises; it need not be printed as well.
        self._run_options.log_severity_level = FATAL
        self.input_types = tuple(_type(value) for value in self._session.get_inputs())
        self.output_types = tuple(_type(value) for value in self._session.get_outputs())

    @property
    def providers(self) -> list[str]:
        """The providers that run it, the preferred one first."""
        return list(self._session.get_providers())

    @property
    def provider_options(self) -> dict[str, dict[str, str]]:
        """The options that are in force, by provider."""
        return dict(self._session.get_provider_options())

    def run(self, feeds: Mapping[str, Array], names: Sequence[str] | None = None) -> list[Any]:
        """Run once, outputs in fresh arrays.

        Args:
            feeds: Arrays by input name, shaped as the model takes them.
            names: Outputs to compute; all if not given.

        Returns:
            The outputs in order: arrays, or lists and ``None`` for what is no tensor.

        Raises:
            RunError: If the runtime fails.
        """  # noqa: DOC501 (made of the runtime's error)
        try:
            result: list[Any] = self._session.run(names, dict(feeds), self._run_options)
        except Exception as error:
            raise failure("ONNX Runtime cannot run the model: ", error) from error
        return result

    def new_binding(self) -> Any:  # noqa: ANN401 (the runtime ships no types)
        """Make a binding, to which buffers for inputs and outputs can be tied.

        Returns:
            The runtime's own binding.
        """
        return self._session.io_binding()

    def run_bound(self, binding: Any, feeds: Mapping[str, Array]) -> None:  # noqa: ANN401
        """Run once, outputs in the buffers of a binding.

        Args:
            binding: One that `new_binding` made, outputs tied.
            feeds: Contiguous arrays by input name, shaped as the model takes them.

        Raises:
            RunError: If the runtime fails, or an output does not fit its buffer.
        """  # noqa: DOC501 (made of the runtime's error)
        try:
            for name, array in feeds.items():
                binding.bind_cpu_input(name, array)
            self._session.run_with_iobinding(binding, self._run_options)
        except Exception as error:
            raise failure("ONNX Runtime cannot run the model: ", error) from error


def _session_options(settings: Settings, *, optimise: bool) -> Any:  # noqa: ANN401
    options = onnxruntime.SessionOptions()
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimise else levels.ORT_DISABLE_ALL
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.intra_op_num_threads = settings.threads
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    # The arena keeps the largest block it ever needed; shapes vary between our runs.
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    options.log_severity_level = 3
    # A constant of gigabytes is not folded while the session is made.
    options.add_session_config_entry(
        "optimization.constant_folding_max_output_size_in_bytes", "1000000"
    )
    # Without VNNI instructions sums of uint8 × int8 products saturate; the optimiser then makes
    # the weights unsigned. Nothing does with optimisation off.
    options.add_session_config_entry("session.x64quantprecision", "1")
    # Pairs of quantisation and dequantisation stay as they are: fused into integer kernels, they
    # would compute something else than the model without optimisation.
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    # Threads that spin while they wait take the core on which the arrays are being reduced.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _providers(settings: Settings) -> list[Any]:
    if settings.provider == CPU:
        return [CPU]
    cuda = {
        # TensorFloat-32 keeps 10 bits: a derivative taken through it is noise.
        "use_tf32": "0",
        "cudnn_conv_algo_search": "DEFAULT",
        "arena_extend_strategy": "kSameAsRequested",
        "gpu_mem_limit": str(settings.memory_bytes),
    }
    return [(CUDA, cuda), CPU]


def _type(value: Any) -> TensorType:  # noqa: ANN401
    # The runtime writes "tensor(float)", "seq(tensor(int64))", ...
    match = re.fullmatch(r"(sparse_)?tensor\((\w+)\)", value.type)
    if match is None or match[1]:
        kind = "sparse tensor" if match else value.type.split("(")[0].replace("seq", "sequence")
        return TensorType(value.name, None, None, kind)
    # It says the same of a scalar and of a tensor whose rank it does not know.
    return TensorType(value.name, _NUMPY_NAMES.get(match[2], match[2]), tuple(value.shape) or None)


def _ort_value(array: Array) -> Any:  # noqa: ANN401
    element = _BEYOND_NUMPY.get(array.dtype.name)
    if element is None:
        return onnxruntime.OrtValue.ortvalue_from_numpy(array)
    bits = array.view(np.dtype(f"uint{8 * array.itemsize}"))
    return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(bits, element)


def version() -> str:
    """Return ONNX Runtime's version.

    Returns:
        Such as ``"1.31.1"``.
    """
    return str(onnxruntime.__version__)
