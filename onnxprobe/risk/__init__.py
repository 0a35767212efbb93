"""What a spectrum means: recoverability, bounds on attackers, release noise."""

from onnxprobe.risk.attained import MAX_SAMPLES, RidgeFloor, ridge_floor
from onnxprobe.risk.bounds import (
    Estimate,
    dfil,
    frobenius_interval,
    sigma_bound,
    unbiased_error_bound,
    van_trees_bound,
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

__all__ = [
    "MAX_SAMPLES",
    "Estimate",
    "FloatFormat",
    "NumberFormat",
    "Range",
    "ReleaseNoise",
    "RidgeFloor",
    "bits",
    "dfil",
    "equivalent_noise",
    "float_noise",
    "frobenius_interval",
    "int8_noise",
    "noise_for",
    "parse_release_noise",
    "recoverability",
    "recoverable_dof",
    "ridge_floor",
    "rounding_moment",
    "sigma_bound",
    "unbiased_error_bound",
    "van_trees_bound",
]
