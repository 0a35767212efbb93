"""Text of the document that no figure decides."""

from __future__ import annotations

__all__ = [
    "ATTACKS",
    "BIAS",
    "BOUNDS",
    "CALIBRATION",
    "CONTROLS",
    "DIFFERENCES",
    "DIRECTIONS",
    "GRADIENT",
    "HALVES",
    "MEMBERSHIP",
    "METHOD",
    "ORDER",
    "RUNS",
    "SAMPLES",
    "TARGETS",
    "THRESHOLDS",
    "UNBIASED",
]

METHOD = """\
**Images.** The network learns from one part, the attacker from another that may hold the first,
and nobody from the images that are attacked. The auditor's samples are up to 1,000 of the
attacker's. MNIST and CIFAR-10 are their public test sets, CIFAR-10 averaged to 16 × 16; faces are
the Olivetti ones at 28 × 28, of 40 people, of whom the network and the attacker know other
pictures.

**Roles.** Measures, attacks and this design were tried on the *development* networks alone.
Figures marked *counted* are of the *held out* ones. Rounds were cut down where they take long, by
the clock, before the attacks concerned had been looked at.

**A second run.** An earlier one, without refined pictures, without the ResNet, and with
differences in place of derivatives in the transformers, found ρ off by 0.086 (0.057 to 0.111) and
Spearman of 0.88 (0.68 to 0.96). Refining was then worked out on the development networks; that
the transformers had no exact derivatives was a fault of onnxprobe, which is mended; and everything
was attacked once more. The formula of ρ is what it was. Calibration against attacks of the earlier
kind is in the table.

**Releases.** Ten tensors of each network, each with Gaussian noise of s = 0.03, 0.1 and 0.3 of
its RMS.

**Measures.** `onnxprobe.analyze` with 4 Jacobians, the data prior and its defaults; see
[measures.md](measures.md). ρ is the high end of `recoverable`, at the worst sample, as policies
take it. Where a graph has no exact derivative, onnxprobe takes finite differences, and the high
end adds what their noise may hide; the table says of how many tensors it has exact ones.

**Attacks.** *Ridge* regression whose penalty is the noise. *Decoders*: convolutions where the
tensor is a map, else a multilayer perceptron, trained with fresh noise in every batch until
validation stops improving or the budget ends. *Refined* pictures begin with the better of these
and descend to the likeliest image under a Gaussian prior with the mean and covariance of the
attacker's images, through the network itself; how far, at most 100 iterations or not at all, is
what was best for 100 images of the attacker's own. What an attack is worth is its R² on the
attacked images: 1 − Σ‖x − x̂‖²/Σ‖x − x̄‖², pooled. The *best attack* is the best of the three;
below 0 counts as 0, since anybody can guess the mean. The attained floor is itself a ridge
regression, and therefore held against decoders.

**Other priors.** ρ under an *isotropic* prior with the same data; and with *no data* at all: the
image prior, Jacobians and RMS at samples drawn from it.

A round is 60 batches of 64 images; the table says how many a decoder had at the first noise
level, and at each further one, where it went on from the weights of the one before.

**The naive baselines.** Depth (the index of the tensor), its size, the rank of central differences
in float32 at numpy's default tolerance (*naive rank share*), and a linear fit of R² to
depth and log s over all other networks, cut off to [0, 1].
"""
BIAS = """\
Which way is it wrong? Two things pull apart, and neither was tested by itself. The linear
prediction is of an attacker who knows the exact derivative at the very image; a real one has to
find the image first, and stays below. And where part of the image is lost, a decoder may guess it
from what images look like, which a Gaussian prior does not know, and gets above.
"""
CALIBRATION = """\
Mean absolute error of what is predicted against the R² that the best attack attained.
"""
ORDER = """\
Spearman's correlation with the best attack's R² (of the floor: with the decoder's), within each
noise level, over the tensors of all networks that count; then the same within single networks,
where depth has it easy.
"""
THRESHOLDS = """\
A rule bounds the recoverable share, the larger of ρ and the attained floor. Of the releases that
pass a threshold, this is what attacks attained. Take the threshold in whose row the *largest* R²
is what can be borne: the median shows what is given up for that. It holds for images and networks
like these, and for attackers that are no better.
"""
ATTACKS = """\
A decoder that was best in its last round might have gone on. The gain is what the last third of
its rounds added to its validation R². A larger budget raises the attack, and with it every figure
above.
"""
BOUNDS = """\
The van Trees bound holds for every attacker if inputs are Gaussian with the covariance of the
prior. So the networks, trained on real images, are attacked on Gaussian ones of the mean and
covariance of the real ones, on which the attackers learnt as well. *Estimated* is the bound that
onnxprobe states, with the covariance that it estimates from 1,000 of those images and shrinks
after Ledoit & Wolf, and Jacobians at 32. *Known* is the same formula with the covariance that the
images were drawn with, and Jacobians at 64. An error below the first and not below the second is
a fault of the estimated prior, and none of the theorem.
"""
CONTROLS = """\
The answer is known here. The sine is a counterexample on purpose: a local measure must rate it
recoverable, and no attack recovers it. It errs on the safe side.
"""
DIFFERENCES = """\
The same tensors by central differences with fixed steps and the measured one (*auto*), against
exact derivatives, at the high end of ρ, which adds what the noise floor may hide. The pixels of
digits have 17 values: many are equal, and a max-pooling or ReLU that sits exactly on its kink has
two derivatives, of which differences see the mean.
"""
HALVES = """\
The same of a network that computes in float16, whose exact derivatives are taken in float32.
"""
DIRECTIONS = """\
Through k directions, at s = 0.1: principal ones under the data prior, random ones under an
isotropic one. Ranks, degrees of freedom and bits are lower bounds, dFIL is an estimate; all are
relative to all directions, mean over tensors. An interval of ρ should hold the value of all.
"""
UNBIASED = """\
dFIL bounds the error of *unbiased* attackers. The first tensor is linear; where it keeps the whole
image, least squares is unbiased, and its error over 200 draws of noise is held against the bound,
at one image. Attackers who know what images look like are biased, and beat the bound by right.
"""
GRADIENT = """\
Gradient-based inversion at s = 0.1: R² on its few images, and that of the better other attack on
the same images in brackets.
"""
SAMPLES = """\
The first, fifth and last tensor, at s = 0.1. Degrees of freedom that the bias control calls
saturated are marked *at least*.
"""
RUNS = """\
Trained, measured and attacked again from other weights, at s = 0.1.
"""
MEMBERSHIP = """\
A multilayer perceptron learns 200 digits by heart. The AUC is that of an attacker who takes for
members what has a small loss; the *own AUC* of a tensor that of logistic regression on this tensor
alone, by an attacker who knows of three in four images whether they are members, and is asked
about the fourth. CV and MCR are defined in [measures.md](measures.md); a path falls or rises if it
does by more than 5 % of its mean.
"""
TARGETS = """\
The other way round: a threshold at or below this value of a measure would have let no release
pass from which an attack recovered more than the target; in brackets, how many of all releases it
lets pass. A small number says that the measure has to be strict for that target.
"""
