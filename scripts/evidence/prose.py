"""Text of the document that no figure decides."""

from __future__ import annotations

__all__ = [
    "ARCHITECTURES",
    "ATTACKS",
    "BIAS",
    "BOUNDS",
    "CALIBRATION",
    "CONTROLS",
    "DIFFERENCES",
    "DIRECTIONS",
    "HALVES",
    "KINDS",
    "MEMBERSHIP",
    "METHOD",
    "ORDER",
    "REAL",
    "ROUNDED",
    "RUNS",
    "SAMPLES",
    "TARGETS",
    "TENSORS",
    "THRESHOLDS",
    "UNBIASED",
]

METHOD = """\
**Images.** The network learns from one part, the attacker from another that may hold the first,
and nobody from the images that are attacked. The auditor's samples are up to 1,000 of the
attacker's. MNIST and CIFAR-10 are their public test sets, CIFAR-10 as kept in JPEG and averaged
to 16 × 16; *fashion* is 900 pictures of Fashion-MNIST; *faces* are the Olivetti ones at 28 × 28,
of 40 people, of whom the network and the attacker know other pictures. *Photos* are squares of
24 × 24 pixels, which share none, of 23 photographs that were reduced until their shorter side had
about 200; the attacked ones lie to the right of all that anybody learnt from, and the class of a
square is its photograph. Of what the table says that an attacker has, a decoder learns from at
most 3,600, ridge from 2,000 where a tensor has more elements than that, and the covariance of
refined pictures from all.

**Roles.** Measures, attacks and this design were tried on the *development* networks, digits and
MNIST, alone, and committed before any of the others was attacked. Figures marked *counted* are of
the *held out* ones: pairs of data and architecture that no earlier run had, though such runs had
CIFAR-10 and faces in other pairs. After that only the photographs were cut anew, since their
squares overlapped, before anybody had looked at attacks on them.

**Releases.** Ten tensors of each network, each with Gaussian noise of s = 0.03, 0.1 and 0.3 of
its RMS; the last two of each also without noise, but rounded to int8.

**Measures.** `onnxprobe.analyze` with 4 Jacobians, the data prior and its defaults; see
[measures.md](measures.md). ρ is the high end of `recoverable`, at the worst sample, as policies
take it. Where a graph has no exact derivative, onnxprobe takes finite differences, and the high
end adds what their noise may hide; the table says of how many tensors it has exact ones.

**Attacks.** *Ridge* regression whose penalty is the noise times the best of five factors.
*Decoders*: convolutions where the tensor is a map, else a multilayer perceptron with two layers
of 256 units, which also takes the tokens of transformers; trained with
fresh noise in every batch until validation stops improving: four rounds of 60 batches of 64
images gain less than 0.001 of R², and again at a quarter of the rate, and again at a quarter of
that. At further levels of noise it goes on from the weights of the level before. *Refined*
pictures begin with the better of these and descend through the network itself to the likeliest
image under a Gaussian prior with the mean and covariance of the attacker's images, in stages of
30, 70, 150 and 150 iterations, as long as a stage takes 0.5 % of the error away. *Total
variation*: gradient-based inversion from the same beginning to the likeliest image if
differences of neighbours are Laplacian, with the best of three weights. Both are tried on up to
50 of the attacker's own images, from which nothing else learnt, and left out where they do not
help there. What an attack is worth is its R² on the attacked images: 1 − Σ‖x − x̂‖²/Σ‖x − x̄‖²,
pooled. The *best attack* is the best of the four; below 0 counts as 0, since anybody can guess
the mean. The attained floor is itself a ridge regression, and therefore held against decoders.

**Other priors.** ρ under an *isotropic* prior with the same data; and with *no data* at all: the
image prior, Jacobians and RMS at samples drawn from it.

**The naive baselines.** Depth (the index of the tensor), its size, the rank of central
differences in float32 at numpy's default tolerance (*naive rank share*), and a linear fit of R²
to depth and log s over all other networks, cut off to [0, 1].
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
noise level, over the tensors of all networks that count; last within single networks, where depth
has it easy.
"""
THRESHOLDS = """\
A rule bounds the recoverable share, the larger of ρ and the attained floor. Of the releases that
pass a threshold, whatever their noise, those rounded to int8 included, this is what attacks
attained. The *largest* R² is that of few releases, and no bound for others: the table after this
one tells what a threshold lets pass of networks that it was not taken from. It holds for images
and networks like these, and for attackers that are no better. Development networks count here as
well: a threshold has to be safe for them, too. R² is not all: an image may be *found* among 80 to
200 others, by its nearest neighbour, where most of it is lost.
"""
ATTACKS = """\
A decoder *stopped by itself* when validation gained no more; of the others the budget ended the
training, after as many rounds as the table says for the first level of noise and each further
one. The gain is what the last third of its rounds added to its validation R². Refining that went
to its last stage might have gone on: the last column says what that stage took of the error on
the attacker's own images. Total variation always has 150 iterations.
"""
BOUNDS = """\
The van Trees bound holds for every attacker if inputs are Gaussian with the covariance of the
prior. So the networks, trained on real images, are attacked on Gaussian ones of the mean and
covariance of the real ones, on which the attackers learnt as well. *Estimated* is the bound that
onnxprobe states, with the covariance that it estimates from 1,000 of those images and shrinks
after Ledoit & Wolf, and Jacobians at 32. *Known* is the same formula with the covariance that the
images were drawn with, and Jacobians at 64. An error below the first and not below the second is
a fault of what was estimated, the covariance or the mean of JᵀJ, and none of the theorem. Where
the median error is many times the bound, that no attack beats it says little. Pictures that a
descent did not make better are those that it began with, and not counted twice. Those of total
variation are cut off to [0, 1], which Gaussian images are not.
"""
CONTROLS = """\
The answer is known here. The sine is a counterexample on purpose: its local derivative keeps all,
and its inverse is out of reach. Of the tensor of noise onnxprobe gives no ρ, since a derivative
that is zero everywhere may come from rounding as well, and says nothing; what is known is its
floor, and no rule on the recoverable share passes it.
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
REAL = """\
The van Trees bound that onnxprobe states, under the data prior, against every attack on the real
images. It need not hold, since they are not Gaussian: where it is beaten, the prior is wrong.
"""
UNBIASED = """\
dFIL bounds the error of *unbiased* attackers. For a linear tensor the bound follows from the
means of singular values, so that this is a check of the code and no evidence. The first tensor is
linear; where it keeps the whole image, least squares is unbiased, and its error over 200 draws of
noise is held against the bound, at one image. Attackers who know what images look like are
biased, and beat the bound by right.
"""
SAMPLES = """\
Over the ten tensors of each network, relative to what the most samples give. Degrees of freedom
are called *saturated* where they exceed (N − 1)/2, which is how their bias is controlled: without
that, the largest error is that of all tensors, and with it that of the others. ρ and floor are at
s = 0.1, and change with the samples by what the table says, on average.
"""
RUNS = """\
Trained, measured and attacked again from other weights, at s = 0.1.
"""
MEMBERSHIP = """\
Two architectures learn 400 images by heart, from two seeds each. The AUC of the loss is that of
an attacker who takes for members what has a small loss. On a single tensor there are two: logistic
regression *without classes*, by an attacker who knows of three in four images whether they are
members; and *the probe*, which learns to tell classes from the tensor of three in four members,
and takes for members what it then tells well. By chance such an AUC is 0.50 with a standard error
of 0.03; the strongest of three statistics is some 0.03 above 0.5 by chance. onnxprobe's
statistics need no training (`--members`, `--non-members`), and are folded at 0.5 here, since 0.14
tells as much as 0.86; CV and MCR are those of `onnxprobe
track`; see [measures.md](measures.md). A path falls or rises if it does by more than 5 % of its
mean. How figures of tensors go with what the probe attains at the end: mean over trainings of
Spearman over the ten tensors, and how often shuffled tensors are as far from 0, after Holm for
all of them. Over checkpoints nearly everything moves in one direction, so that a correlation there
tells little of a cause.
"""
TARGETS = """\
The other way round: a threshold below this value of a measure would have let no release pass from
which an attack recovered more than the target; in brackets, how many of all releases it lets
pass. A small number says that the measure has to be strict for that target, and that few releases
support it. Last, each network is judged by the threshold of all others: the largest R² of an
attack on what then passes, which is above the target where the threshold does not carry over.
"""
ARCHITECTURES = """\
The same by architecture, median over noise levels. With one or two networks of each there are
too few to resample; these intervals come from resampling tensors, which are no independent
samples, and are too narrow.
"""
KINDS = """\
Which attack was the best, in how many releases of each network, and what is lost without the one
that assumes the same prior as ρ:
"""
ROUNDED = """\
onnxprobe takes rounding for noise of the same variance. Here tensors were really rounded, with
one scale each, that of the largest value among the attacker's, and no noise was added. Decoders
learnt from noise of the rounding's variance.
"""
TENSORS = """\
Of every release of the run that [evidence.md](../evidence.md) tells of: what onnxprobe says, and
the R² of every attack.
"""
