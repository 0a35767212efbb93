"""Sensitivity: directions, tangents and finite differences, and the noise floor of each."""

from onnxprobe.jacobian.directions import (
    PROBES,
    Directions,
    coordinate_directions,
    given_directions,
)
from onnxprobe.jacobian.forward import TangentRunner, observe_tangents, rounding_share
from onnxprobe.jacobian.noise import noise_floor
from onnxprobe.jacobian.observation import Observation, Pass, observe, take_differences
from onnxprobe.jacobian.pullback import Pullback, mean_pullback
from onnxprobe.jacobian.source import Part, Point, Source
from onnxprobe.jacobian.step import LADDER, StepTrial, choose_step, try_steps

__all__ = [
    "LADDER",
    "PROBES",
    "Directions",
    "Observation",
    "Part",
    "Pass",
    "Point",
    "Pullback",
    "Source",
    "StepTrial",
    "TangentRunner",
    "choose_step",
    "coordinate_directions",
    "given_directions",
    "mean_pullback",
    "noise_floor",
    "observe",
    "observe_tangents",
    "rounding_share",
    "take_differences",
    "try_steps",
]
