"""The ONNX graph: load, catalogue, expose, cut, upcast. Only this room imports onnx and onnx-ir."""

from onnxprobe.graph.canary import canary_program, canary_weight
from onnxprobe.graph.catalogue import TensorInfo, catalogue, infer_types
from onnxprobe.graph.costs import multiply_adds
from onnxprobe.graph.dtypes import HALF_TYPES, REAL_TYPES
from onnxprobe.graph.expose import expose_all, expose_tensors, readable_names
from onnxprobe.graph.flow import (
    Reach,
    branch_conditions,
    random_nodes,
    rounding_nodes,
    trace,
)
from onnxprobe.graph.halves import Halves, split_model
from onnxprobe.graph.integers import int8_products, integer_canary
from onnxprobe.graph.joining import Joint, JointParts, join_tensors
from onnxprobe.graph.load import load_model, parse_model
from onnxprobe.graph.model import Graph
from onnxprobe.graph.rounding import behind_rounding
from onnxprobe.graph.save import write_model, write_program
from onnxprobe.graph.sharing import Sharing, find_sharing
from onnxprobe.graph.sizes import fix_sizes
from onnxprobe.graph.sources import (
    ChosenSource,
    Lookup,
    choose_source,
    embedding_lookups,
    index_limits,
    lookup_table,
    source_inputs,
)
from onnxprobe.graph.tangent import (
    NOISE_LENGTH,
    Differentiated,
    Shaken,
    differentiate,
    operator_coverage,
    shaken,
)
from onnxprobe.graph.upcast import has_half_precision, upcast_graph

__all__ = [
    "HALF_TYPES",
    "NOISE_LENGTH",
    "REAL_TYPES",
    "ChosenSource",
    "Differentiated",
    "Graph",
    "Halves",
    "Joint",
    "JointParts",
    "Lookup",
    "Reach",
    "Shaken",
    "Sharing",
    "TensorInfo",
    "behind_rounding",
    "branch_conditions",
    "canary_program",
    "canary_weight",
    "catalogue",
    "choose_source",
    "differentiate",
    "embedding_lookups",
    "expose_all",
    "expose_tensors",
    "find_sharing",
    "fix_sizes",
    "has_half_precision",
    "index_limits",
    "infer_types",
    "int8_products",
    "integer_canary",
    "join_tensors",
    "load_model",
    "lookup_table",
    "multiply_adds",
    "operator_coverage",
    "parse_model",
    "random_nodes",
    "readable_names",
    "rounding_nodes",
    "shaken",
    "source_inputs",
    "split_model",
    "trace",
    "upcast_graph",
    "write_model",
    "write_program",
]
