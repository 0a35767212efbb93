"""An analysis as a command runs it: options in, a conclusion out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from onnxprobe.cli import signals
from onnxprobe.cli.writing import keep_apart
from onnxprobe.errors import DataError

if TYPE_CHECKING:
    from onnxprobe.analysis.conductor import Conclusion, Further, Workplace
    from onnxprobe.analysis.conductor.request import Subject
    from onnxprobe.analysis.configuration import Configuration
    from onnxprobe.policy import Policy
    from onnxprobe.record import Report

__all__ = ["configured", "given_data", "measure", "measure_as", "reported", "settle"]


def measure(
    model: Path,
    options: dict[str, Any],
    policy: Policy | None = None,
    together: Sequence[tuple[str, ...]] = (),
    written: Sequence[Path] = (),
) -> Conclusion:
    """Analyse a model.

    Args:
        model: Its file.
        options: Those of `analysis_options`, and ``quiet``.
        policy: What it speaks of is measured beside what is asked for.
        together: Joint releases that are needed beside those asked for.
        written: Files that are to be written afterwards.

    Returns:
        How it ended; from here on interrupts are ignored, until what was found is delivered.
    """
    from onnxprobe.analysis.conductor import conduct
    from onnxprobe.cli.progress import progress_bar

    options = options | {"together": (*options["together"], *together)}
    configuration = _configuration(options, policy)
    keep_apart(written, [model, *_given_paths(options)])
    with progress_bar(shown=not options["quiet"]) as progress:
        conclusion = conduct(
            model,
            _data(options["data"]),
            configuration,
            progress,
            further=_further(options),
            workplace=partial(_workplace, configuration, options),
            on_measured=signals.hold,
        )
    external = (model.parent / each.name for each in conclusion.report.model.files[1:])
    keep_apart(written, external)
    # Whoever has interrupted the analysis waits for what was found.
    signals.hold()
    return conclusion


def reported(path: Path, options: dict[str, Any]) -> Report:
    """Read a report, or make one of a model.

    Args:
        path: A ``.json`` report, or a model.
        options: Those of `analysis_options`, and ``quiet``.

    Returns:
        The report, complete.
    """
    from onnxprobe.record import Report

    if path.suffix.lower() == ".json":
        return Report.read(path)
    return _whole(measure(path, options), options)


def measure_as(claimed: Report, model: Path, options: dict[str, Any]) -> Report:
    """Analyse a model with the options of a report.

    Args:
        claimed: The report.
        model: The model's file.
        options: Data, device and limits. Links, times and more memory than the default are for
            the user to allow, and not for the report.

    Returns:
        The new report, complete.

    Raises:
        DataError: If this version does not know an option of the report.
    """
    from onnxprobe.analysis.arguments import configure
    from onnxprobe.analysis.conductor import conduct
    from onnxprobe.analysis.configuration import default_memory_bytes
    from onnxprobe.cli.progress import progress_bar

    asked = dict(claimed.run.configuration)
    # Whoever wrote the report decides what is measured, and not what it may cost or reach.
    asked |= {name: options[name] for name in ("timeout_s", "unit_timeout_s")}
    asked["allow_links"] = options["allow_linked_data"]
    asked["device"] = options["device"] or asked.get("device")
    given = asked.get("memory_bytes")
    most = default_memory_bytes()
    asked["memory_bytes"] = options["memory_bytes"] or (
        min(given, most) if isinstance(given, int) else most
    )
    with progress_bar(shown=not options["quiet"]) as progress:
        conclusion = conduct(
            model, _data(options["data"]), configure(**asked), progress, further=_further(options)
        )
    return _whole(conclusion, options)


def _whole(conclusion: Conclusion, options: dict[str, Any]) -> Report:
    """Return the report of an analysis; raise what cut it short."""
    settle(conclusion, delivered=conclusion.cause is None, quiet=options["quiet"])
    signals.rearm()
    if conclusion.cause is not None:
        raise conclusion.cause
    return conclusion.report


def configured(options: dict[str, Any]) -> Configuration:
    """Check the options of an analysis.

    Args:
        options: Those of `analysis_options`.

    Returns:
        The configuration.
    """
    return _configuration(options)


def given_data(options: dict[str, Any]) -> Any:  # noqa: ANN401 (a path, or one by input)
    """Return the samples that were named.

    Args:
        options: Those of `analysis_options`.

    Returns:
        A path, paths by input, or ``None``.
    """
    return _data(options["data"])


def settle(conclusion: Conclusion, *, delivered: bool, quiet: bool) -> None:
    """Forget what was kept of an analysis, unless somebody still needs it.

    Args:
        conclusion: How it ended.
        delivered: Whether what was found is where it was wanted.
        quiet: Whether to say nothing.
    """
    if conclusion.settle(delivered=delivered) and not quiet:
        click.echo("onnxprobe: what is done is kept; go on with --resume", err=True)


def _configuration(options: dict[str, Any], policy: Policy | None = None) -> Configuration:
    from onnxprobe.analysis.arguments import configure
    from onnxprobe.analysis.configuration import DEFAULT_NOISE, DEFAULT_TARGETS
    from onnxprobe.policy.questions import same_noise

    noise: list[str] = []
    for level in [*(options["noise"] or DEFAULT_NOISE), *(policy.noise if policy else ())]:
        if not any(same_noise(level, each) for each in noise):
            noise.append(level)
    targets = policy.targets if policy else ()
    together = dict.fromkeys([*options["together"], *(policy.together if policy else ())])
    optional = policy.together_if_known if policy else ()
    pictures = ("scale", "mean", "std", "layout", "transpose", "channels", "resize")
    same = (
        "samples",
        "directions",
        "wrt",
        "include",
        "exclude",
        "jacobian",
        "straight_through",
        "step",
        "prior",
        "data_limit",
        "device",
        "threads",
        "seed",
        "memory_bytes",
        "timeout_s",
        "unit_timeout_s",
    )
    return configure(
        images={name: options[name] for name in pictures if options[name] is not None},
        sizes=dict(options["sizes"]),
        together=tuple(together),
        together_if_known=tuple(group for group in optional if group not in together),
        noise=noise,
        targets=tuple(dict.fromkeys([*(options["targets"] or DEFAULT_TARGETS), *targets])),
        rank_tolerances=policy.tolerances if policy else (),
        allow_links=options["allow_linked_data"],
        data_digest=not options["no_data_digest"],
        **{name: options[name] for name in same},
    )


def _workplace(
    configuration: Configuration, options: dict[str, Any], subject: Subject
) -> Workplace:
    from onnxprobe.analysis.conductor import Workplace
    from onnxprobe.analysis.conductor.workplace import state_folder

    if options["work_dir"] is not None:
        return Workplace.given(options["work_dir"], resume=options["resume"])
    place = Workplace.own(subject, configuration, resume=options["resume"])
    if place.journal is None and not options["quiet"]:
        click.echo(
            f"onnxprobe: {state_folder()} cannot keep what is measured, so this analysis cannot be "
            "resumed; --work-dir names another folder",
            err=True,
        )
    if place.older and not options["quiet"]:
        click.echo(
            "onnxprobe: an unfinished analysis of this model with these options is kept until this "
            "one is done; --resume goes on with it instead",
            err=True,
        )
    return place


def _given_paths(options: dict[str, Any]) -> list[Path]:
    """List the files that an analysis reads beside the model."""
    named = [path for kind in ("data", "members", "non_members") for _, path in options[kind]]
    labels = [options["labels"]] if options["labels"] is not None else []
    return [*map(Path, named), *labels]


def _further(options: dict[str, Any]) -> Further:
    from onnxprobe.analysis.conductor import Further

    return Further(
        members=_data(options["members"], "--members"),
        non_members=_data(options["non_members"], "--non-members"),
        labels=options["labels"],
    )


def _data(given: tuple[tuple[str | None, str], ...], option: str = "--data") -> Any:  # noqa: ANN401
    if not given:
        return None
    names = [name for name, _ in given]
    if len(set(names)) < len(names):
        raise DataError(
            f"{option} is given twice for one input; write NAME=PATH for each of several"
        )
    if names == [None]:
        return given[0][1]
    if None in names:
        raise DataError(f"{option} needs NAME=PATH for each input where there are several")
    return {str(name): path for name, path in given}
