"""What is printed beside the reconstruction: tokens, classes, membership; what was measured."""

from __future__ import annotations

import io

from rich.console import Console

from onnxprobe.record import ClassRecord, ReleaseRecord, Report, SeparationRecord
from onnxprobe.report.console import print_report
from tests.reports import COHORTS, report, tensor

SEPARATION = SeparationRecord(
    statistic="Jacobian energy", auc=0.713, low=0.66, high=0.768, tpr_at_1_percent_fpr=0.05
)


def _printed(found: Report, *, verbose: bool = False) -> list[str]:
    stream = io.StringIO()
    print_report(found, Console(file=stream, width=80), verbose=verbose)
    return stream.getvalue().splitlines()


def _row(lines: list[str], title: str) -> list[str]:
    """The words of the first row of the table under a title."""
    at = next(place for place, line in enumerate(lines) if line.startswith(title))
    return lines[at + 2].split()


def test_membership_is_a_table_of_its_own() -> None:
    plain = report(tensor("a", membership=[SEPARATION]), tensor("b"))
    lines = _printed(plain.model_copy(update={"membership": COHORTS}))
    title = "Members (200) against non-members (120): AUC of untrained statistics with its 95 %"
    assert _row(lines, title) == ["a", "–", "0.71", "(0.66–0.77)", "–"]


def test_what_was_not_measured_is_not_spoken_of() -> None:
    said = "\n".join(_printed(report(tensor()), verbose=True))
    for word in ("Members", "Tokens", "Intra-class"):
        assert word not in said


def test_tokens_are_counted_at_every_noise() -> None:
    releases = [
        ReleaseRecord(noise="0.1", s=0.1, tokens_reidentified=0.75),
        ReleaseRecord(noise="int8", s=0.01),
    ]
    plain = report(tensor("a", release=releases))
    assert plain.source is not None
    tokens = {"tokens": 256, "vocabulary": 30522, "tokens_guessed": 0.043}
    found = plain.model_copy(update={"source": plain.source.model_copy(update=tokens)})
    lines = _printed(found)
    title = "Tokens re-identified, of 256, in a vocabulary of 30,522 (4% by guessing alone):"
    assert _row(lines, title)[:2] == ["a", "75%"]


def test_enough_noise_is_told_where_it_is_asked_for() -> None:
    plain = report(tensor("a", noise_for={"0.05": 4.2, "0.01": None}))
    assert "Release noise" not in "\n".join(_printed(plain))
    run = plain.run.model_copy(update={"configuration": {"targets": [0.05, 0.01]}})
    lines = _printed(plain.model_copy(update={"run": run}))
    assert _row(lines, "Release noise, in units of a tensor's RMS") == ["a", "4.2", "–"]


def test_classes_are_told_of_on_demand() -> None:
    found = report(tensor("a", classes=ClassRecord(classes=10, radius=0.2, share=0.31)))
    assert "Intra-class" not in "\n".join(_printed(found))
    lines = _printed(found, verbose=True)
    assert _row(lines, "Intra-class radius") == ["a", "10", "31%"]
