"""Where samples come from: arrays, folders of pictures, or the declared types alone."""

from onnxprobe.inputs.assignment import Data, Given, Labelled
from onnxprobe.inputs.dimensions import set_dimensions
from onnxprobe.inputs.geometry import Geometry, find_geometry
from onnxprobe.inputs.loading import DATA_LIMIT, SYNTHETIC_LIMIT, load_samples
from onnxprobe.inputs.natural_noise import CHANNEL_CORRELATION, dct_power, draw_natural_noise
from onnxprobe.inputs.preprocessing import ImageOptions
from onnxprobe.inputs.samples import Samples, spread_indices
from onnxprobe.inputs.signature import Signature, resolve_signature
from onnxprobe.inputs.slots import Slot
from onnxprobe.inputs.synthetic import (
    FILLS,
    Fill,
    draw_samples,
    picture_moments,
    picture_slots,
)

__all__ = [
    "CHANNEL_CORRELATION",
    "DATA_LIMIT",
    "FILLS",
    "SYNTHETIC_LIMIT",
    "Data",
    "Fill",
    "Geometry",
    "Given",
    "ImageOptions",
    "Labelled",
    "Samples",
    "Signature",
    "Slot",
    "dct_power",
    "draw_natural_noise",
    "draw_samples",
    "find_geometry",
    "load_samples",
    "picture_moments",
    "picture_slots",
    "resolve_signature",
    "set_dimensions",
    "spread_indices",
]
