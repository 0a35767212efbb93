"""Running graphs: sessions, providers, bound buffers. The only room that imports onnxruntime."""

from onnxprobe.runtime.chatter import capture_chatter
from onnxprobe.runtime.directions import DirectionRunner, TangentOutput
from onnxprobe.runtime.layout import RowLayout, find_axis, has_same_values
from onnxprobe.runtime.providers import (
    Provider,
    choose_provider,
    has_cuda_driver,
    integers_saturate,
)
from onnxprobe.runtime.rows import RowRunner
from onnxprobe.runtime.session import CPU, CUDA, USE_CPU, Session, Settings, version

__all__ = [
    "CPU",
    "CUDA",
    "USE_CPU",
    "DirectionRunner",
    "Provider",
    "RowLayout",
    "RowRunner",
    "Session",
    "Settings",
    "TangentOutput",
    "capture_chatter",
    "choose_provider",
    "find_axis",
    "has_cuda_driver",
    "has_same_values",
    "integers_saturate",
    "version",
]
