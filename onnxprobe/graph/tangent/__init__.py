"""Forward mode: tangents of every tensor, ONNX to ONNX, one rule per operator."""

from onnxprobe.graph.tangent.coverage import Coverage, operator_coverage
from onnxprobe.graph.tangent.shaking import shaken
from onnxprobe.graph.tangent.transform import Differentiated, differentiate

__all__ = ["Coverage", "Differentiated", "differentiate", "operator_coverage", "shaken"]
