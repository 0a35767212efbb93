"""The library's functions: what the command line calls, with arrays and models in memory too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from onnxprobe.analysis.arguments import configure, listed
from onnxprobe.analysis.conductor import (
    Data,
    Further,
    ModelSource,
    OutOfTimeError,
    Progress,
    Workplace,
    conduct,
)
from onnxprobe.analysis.local import LocalLink
from onnxprobe.errors import DataError, OnnxProbeError, RunError
from onnxprobe.record import Report
from onnxprobe.types import Array

__all__ = ["IncompleteError", "analyze"]


class IncompleteError(RunError):
    """An analysis that was cut short.

    Attributes:
        report: What was found until then.
    """

    def __init__(self, message: str, report: Report) -> None:
        super().__init__(message)
        self.report = report


def analyze(
    model: ModelSource,
    data: Data = None,
    *,
    samples: int = 4,
    directions: Literal["auto", "all"] | int = "auto",
    wrt: str | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    together: Sequence[Sequence[str]] = (),
    jacobian: Literal["auto", "jvp", "fd"] = "auto",
    straight_through: bool = False,
    step: Literal["auto"] | float = "auto",
    prior: Literal["auto", "data", "image", "isotropic"] = "auto",
    noise: Sequence[str | float] = ("0.1", "int8"),
    targets: Sequence[float] = (0.05,),
    tolerance: float = 1e-3,
    sizes: Mapping[str, int] | None = None,
    images: Mapping[str, Any] | None = None,
    data_limit: int | None = None,
    members: Data = None,
    non_members: Data = None,
    labels: str | Path | Array | None = None,
    device: Literal["auto", "cuda", "cpu"] = "auto",
    memory_bytes: int | None = None,
    threads: int | None = None,
    seed: int = 0,
    isolate: bool = False,
    work_dir: str | Path | None = None,
    resume: bool = False,
    timeout_s: float | None = None,
    unit_timeout_s: float | None = None,
    allow_links: bool = False,
    data_digest: bool = True,
    progress: Progress | None = None,
) -> Report:
    """Measure degrees of freedom and Jacobian rank of every intermediate tensor of a model.

    The model runs in this process, where a crash of native code is one of the caller's; with
    ``isolate`` it runs in a child process, and loses a tensor.

    Args:
        model: Path of an ``.onnx`` file, or an ``onnx.ModelProto``.
        data: Samples: a path (``.npz``, ``.npy``, a folder of images) or an array of shape
            (samples, ...) for the only input, or one of them per input by name; ``None`` to draw
            samples from the declared types.
        samples: Samples at which Jacobians are taken.
        directions: Directions through which they are seen; ``"auto"`` is all up to 4,096 inputs,
            else 256.
        wrt: Tensor to differentiate with respect to; all float inputs if not given.
        include: Globs of tensor names or operators to analyse; all if empty.
        exclude: Globs of tensor names or operators to leave out.
        together: Groups of tensors that are released together: each is one release, judged as a
            whole, every part with noise in units of its own RMS.
        jacobian: How derivatives are taken: ``"jvp"`` exactly, by a derived graph; ``"fd"`` by
            central differences; ``"auto"`` exactly wherever every node between source and tensor
            has an exact rule.
        straight_through: Whether derivatives pass straight through pairs of QuantizeLinear and
            DequantizeLinear, as if the model did not round; the report says so.
        step: Finite-difference step in input units; ``"auto"`` measures which is best.
        prior: What the attacker knows of the input beforehand: the covariance of ``data``; that of
            photographs (``"image"``); nothing but its variance (``"isotropic"``); ``"auto"`` takes
            the first of these that is there.
        noise: Release noise levels: numbers in units of a tensor's RMS, or ``"float32"``,
            ``"float16"``, ``"bfloat16"``, ``"int8"`` for the rounding of that format.
        targets: Shares of the input's variance, between 0 and 1: the report says how much noise
            leaves no more than each of them recoverable.
        tolerance: Relative tolerance of the headline rank.
        sizes: Sizes of symbolic dimensions, by name or ``INPUT[AXIS]``.
        images: How pictures become input: ``scale``, ``mean``, ``std``, ``layout``,
            ``transpose``, ``channels``, ``resize``.
        data_limit: Samples over which activations are measured, at most; 2,048 of data and 512
            drawn ones if not given.
        members: Samples that the model was trained on, as ``data`` is given, at most 512: the
            report then says how well they can be told from ``non_members``.
        non_members: Samples that it was not trained on.
        labels: The class of each sample of ``data``: an array of whole numbers, or a path; an
            ``.npz`` file of samples may hold them itself, as ``labels`` or ``y``.
        device: ``"auto"`` takes CUDA if a session on it can be made.
        memory_bytes: Memory to use; half of what there is, at most 8 GiB, if not given.
        threads: Threads, at most one per processor; as many if not given.
        seed: Seed of everything drawn.
        isolate: Whether native code runs in a process of its own, which cannot crash, hang or bloat
            this one: for models that nobody vouches for. It takes a second or two to start, and a
            model that cannot be measured costs the tensors that are to blame.
        work_dir: Folder that keeps what has been measured, readable by its owner alone.
        resume: Whether to go on with what ``work_dir`` keeps.
        timeout_s: Seconds that the whole analysis may take; any if not given.
        unit_timeout_s: Seconds that a computation may take without a sign of progress, if it is
            isolated; 600, at most a sixth of ``timeout_s``, if not given.
        allow_links: Whether external data may be read through symbolic and hard links.
        data_digest: Whether the report holds a digest of the data.
        progress: Called with a phase, the work done and all work.

    Returns:
        The report. Tensors that failed are in its coverage.

    Raises:
        ModelError: If the model is refused.
        DataError: If data or options do not fit it.
        RunError: If it cannot be run.
        IncompleteError: If it ended early, with the report of what was measured until then.

    Example:
        >>> report = analyze("models/digits_mlp_sklearn.onnx", samples=1)  # doctest: +SKIP
        >>> report.tensors[0].jacobian.rank.median  # doctest: +SKIP
        64.0
    """
    configuration = configure(
        images=images,
        samples=samples,
        directions=directions,
        wrt=wrt,
        include=listed("include", include),
        exclude=listed("exclude", exclude),
        together=tuple(listed("together", group) for group in together),
        jacobian=jacobian,
        straight_through=straight_through,
        step=step,
        prior=prior,
        noise=listed("noise", noise, numbers=True),
        targets=targets,
        tolerance=tolerance,
        sizes=dict(sizes or {}),
        data_limit=data_limit,
        device=device,
        memory_bytes=memory_bytes,
        threads=threads,
        seed=seed,
        timeout_s=timeout_s,
        unit_timeout_s=unit_timeout_s,
        allow_links=allow_links,
        data_digest=data_digest,
    )
    if resume and work_dir is None:
        raise DataError("option resume needs work_dir, the folder of an earlier analysis")
    if not isinstance(isolate, bool):
        raise DataError(f"option isolate is {isolate!r}; expected True or False")
    folder = None if work_dir is None else Path(work_dir)
    try:
        conclusion = conduct(
            model,
            data,
            configuration,
            *([progress] if progress else []),
            further=Further(members, non_members, labels),
            workplace=(lambda _: Workplace.given(folder, resume=resume)) if folder else None,
            connect=None if isolate else partial(LocalLink, timeout_s),
        )
    except OutOfTimeError as error:
        # Nothing was measured that a report could hold.
        raise RunError(str(error)) from error
    conclusion.settle(delivered=True)
    if isinstance(conclusion.cause, OnnxProbeError):
        raise IncompleteError(str(conclusion.cause), conclusion.report) from conclusion.cause
    if conclusion.cause is not None:
        raise conclusion.cause
    return conclusion.report
