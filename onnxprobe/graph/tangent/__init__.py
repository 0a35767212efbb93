"""Forward mode: tangents of every tensor, ONNX to ONNX, one rule per operator."""

from onnxprobe.graph.tangent.coverage import Coverage, operator_coverage
from onnxprobe.graph.tangent.shaking import NOISE_LENGTH, Shaken, shaken
from onnxprobe.graph.tangent.transform import Differentiated, differentiate

__all__ = [
    "NOISE_LENGTH",
    "Coverage",
    "Differentiated",
    "Shaken",
    "differentiate",
    "operator_coverage",
    "shaken",
]
