"""Spectra and what can be read off them: pure numpy and scipy, no ONNX, no files."""

from onnxprobe.spectrum.covariance import (
    covariance_spectrum,
    covariance_spectrum_from_gram,
    dof_ceiling,
    is_saturated,
)
from onnxprobe.spectrum.data_prior import data_prior, held_out_share
from onnxprobe.spectrum.dof import effective_rank, energy_rank, participation_ratio, stable_rank
from onnxprobe.spectrum.eigen import (
    Eigensystem,
    eigensystem,
    eigenvalues,
    orthonormal_rows,
    rounding_floor,
)
from onnxprobe.spectrum.gram import centred_gram, gram, gram_spectrum, scatter
from onnxprobe.spectrum.image_prior import ChannelAxis, ImageLayout, image_prior
from onnxprobe.spectrum.intrinsic_dimension import two_nn
from onnxprobe.spectrum.ledoit_wolf import Shrinkage, ledoit_wolf
from onnxprobe.spectrum.magnitudes import Magnitudes
from onnxprobe.spectrum.prior import Prior, PriorKind, isotropic_prior, join_priors
from onnxprobe.spectrum.prior_weighting import prior_spectrum, prior_spectrum_of_factor
from onnxprobe.spectrum.rank import DEFAULT_TOLERANCE, TOLERANCES, Rank, numerical_rank
from onnxprobe.spectrum.spectrum import Spectrum
from onnxprobe.spectrum.unseen import unseen_energies

__all__ = [
    "DEFAULT_TOLERANCE",
    "TOLERANCES",
    "ChannelAxis",
    "Eigensystem",
    "ImageLayout",
    "Magnitudes",
    "Prior",
    "PriorKind",
    "Rank",
    "Shrinkage",
    "Spectrum",
    "centred_gram",
    "covariance_spectrum",
    "covariance_spectrum_from_gram",
    "data_prior",
    "dof_ceiling",
    "effective_rank",
    "eigensystem",
    "eigenvalues",
    "energy_rank",
    "gram",
    "gram_spectrum",
    "held_out_share",
    "image_prior",
    "is_saturated",
    "isotropic_prior",
    "join_priors",
    "ledoit_wolf",
    "numerical_rank",
    "orthonormal_rows",
    "participation_ratio",
    "prior_spectrum",
    "prior_spectrum_of_factor",
    "rounding_floor",
    "scatter",
    "stable_rank",
    "two_nn",
    "unseen_energies",
]
