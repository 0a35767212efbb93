"""What a spectrum means: recoverability, bounds on attackers, release noise."""

from onnxprobe.risk.attained import FOLDS, MAX_SAMPLES, RidgeAttack, RidgeFloor, ridge_attack
from onnxprobe.risk.bounds import (
    Estimate,
    dfil,
    frobenius_interval,
    sigma_bound,
    unbiased_error_bound,
    van_trees_bound,
)
from onnxprobe.risk.classes import ClassRadius, class_radius
from onnxprobe.risk.membership import (
    LEAST_FOR_TPR,
    LEAST_SAMPLES,
    Separation,
    leverages,
    separation,
    tied,
)
from onnxprobe.risk.recoverability import (
    Range,
    bits,
    noise_for,
    recoverability,
    recoverable_dof,
)
from onnxprobe.risk.release_noise import (
    FloatFormat,
    NumberFormat,
    ReleaseNoise,
    equivalent_noise,
    float_noise,
    int8_noise,
    parse_release_noise,
    rounding_moment,
)
from onnxprobe.risk.tokens import PositionAttack, nearest_rows

__all__ = [
    "FOLDS",
    "LEAST_FOR_TPR",
    "LEAST_SAMPLES",
    "MAX_SAMPLES",
    "ClassRadius",
    "Estimate",
    "FloatFormat",
    "NumberFormat",
    "PositionAttack",
    "Range",
    "ReleaseNoise",
    "RidgeAttack",
    "RidgeFloor",
    "Separation",
    "bits",
    "class_radius",
    "dfil",
    "equivalent_noise",
    "float_noise",
    "frobenius_interval",
    "int8_noise",
    "leverages",
    "nearest_rows",
    "noise_for",
    "parse_release_noise",
    "recoverability",
    "recoverable_dof",
    "ridge_attack",
    "rounding_moment",
    "separation",
    "sigma_bound",
    "tied",
    "unbiased_error_bound",
    "van_trees_bound",
]
