from __future__ import annotations

import io
import unicodedata
from typing import Any

from rich.console import Console

from onnxprobe.record import (
    Coverage,
    JacobianRecord,
    Omission,
    ReleaseRecord,
    Report,
    Share,
    TensorRecord,
)
from onnxprobe.report.console import print_report
from tests import reports
from tests.reports import report


def tensor(name: str = "relu", **changes: Any) -> TensorRecord:
    """One that nobody tried to reconstruct inputs from: nothing stands in brackets."""
    made = reports.tensor(name)
    plain = [each.model_copy(update={"attained": None}) for each in made.release]
    return reports.tensor(name, **{"release": plain, **changes})


def _known(made: Report) -> Report:
    """Without what its prior is said to span."""
    assert made.prior is not None
    return made.model_copy(update={"prior": made.prior.model_copy(update={"held_out_share": None})})


def printed(
    made: Report, *, width: int = 80, terminal: bool = True, verbose: bool = False
) -> list[str]:
    """The lines that a terminal of a width shows, without colours."""
    stream = io.StringIO()
    console = Console(
        file=stream,
        width=width if terminal else 10_000,
        force_terminal=terminal,
        color_system=None,
        highlight=False,
        markup=False,
        emoji=False,
    )
    print_report(made, console, verbose=verbose)
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def test_a_report_at_80_columns() -> None:
    made = report(tensor("relu"), tensor("a/very/long/name/of/a/tensor/BiasAdd:0"))
    assert printed(_known(made)) == [
        "model.onnx, pytorch 2.13.0, sha256 abababababab",
        "500 samples, Jacobians at 2 of them, CPUExecutionProvider",
        "Derivatives by image (64 values): the float input.",
        "",
        "tensor                           DoF     rank  stable    ρ at  ρ at",
        "  operator, shape            (share)  (range)    rank     0.1  int8  status",
        "relu                        21.3/499  62.5/64    3.14  37–62%  >99%  ok",
        "  Relu 16×8×8                  (84%)  (60–64)",
        "a/very/long/n…or/BiasAdd:0  21.3/499  62.5/64    3.14  37–62%  >99%  ok",
        "  Relu 16×8×8                  (84%)  (60–64)",
        "",
        "2 of 5 tensors analysed, 3 skipped, 0 failed.",
        "  2 skipped: constant: no input reaches it",
        "  1 skipped: not exposed: control flow",
        "Jacobians: 2 by finite differences.",
        "ρ: share of the input's variance that an attacker recovers at the worst sample,",
        "knowing the model and a data prior (64 directions).",
        "Assumed: dimension 'seq' of input 'ids' is taken as 16",
    ]


def test_ranks_that_are_not_exact_are_marked_where_others_are() -> None:
    made = report(tensor("plain"), tensor("partly"), tensor("exact"))
    plain, partly, exact = (each.jacobian for each in made.tensors)
    assert plain
    assert partly
    assert exact
    exact.method = partly.method = "forward mode"
    partly.numerical_nodes = ["det"]
    lines = printed(made)
    ranks = {
        line.split()[0]: line.split()[2] for line in lines if line.startswith(("pl", "pa", "ex"))
    }
    assert ranks == {"plain": "62.5/64*", "partly": "62.5/64+", "exact": "62.5/64"}
    said = " ".join(lines)
    assert "1 by finite differences (*)" in said
    assert "1 by forward mode with some nodes differenced (+)" in said


def test_what_is_not_confined_is_said() -> None:
    made = report(tensor())
    made.run.isolation = {"files": False, "network": True, "memory": True}
    said = " ".join(printed(made))
    assert "This system does not confine what runs the model (files); onnxprobe doctor" in said
    made.run.isolation["files"] = True
    assert "confine" not in " ".join(printed(made))


def test_every_line_fits_80_columns() -> None:
    hostile = tensor("x" * 300, op_type="com.microsoft." + "Y" * 80, status="piecewise constant")
    assert max(len(line) for line in printed(report(hostile))) <= 80


def test_a_pipe_gets_whole_names_one_line_each_and_no_colours() -> None:
    name = "a/very/long/name/of/a/tensor/that/goes/on/and/on/BiasAdd:0"
    lines = printed(report(tensor(name)), terminal=False)
    (row,) = [line for line in lines if name in line]
    figures = "Relu 16×8×8 21.3/499 (84%) 62.5/64 (60–64) 3.14 37–62% >99% ok"
    assert row.split() == [name, *figures.split()]
    assert "\x1b" not in "\n".join(lines)


def test_a_hostile_name_moves_no_cursor() -> None:
    name = "[red]=cmd\x1b]0;owned\x07\u202e<script>"
    made = report(tensor(name), assumptions=[f"about {name}"])
    made.coverage.skipped.append(Omission(name=name, reason=name))
    for terminal in (True, False):
        text = "".join(printed(made, terminal=terminal, verbose=True, width=200))
        assert "[red]=cmd\\x1b" in text
        assert not any(unicodedata.category(character) in {"Cc", "Cf"} for character in text)


def test_synthetic_data_is_said_at_the_top() -> None:
    made = report(tensor())
    made.data.synthetic = True
    lines = printed(made)
    assert lines[1] == "500 synthetic samples, Jacobians at 2 of them, CPUExecutionProvider"
    assert lines[2].startswith("No data was given: the figures describe the model")


def test_a_model_without_a_source_says_so() -> None:
    plain = tensor(
        status="not differentiable",
        release=[],
        jacobian=JacobianRecord(
            method=None,
            inputs=0,
            outputs=9,
            complete=False,
            directions=0,
            status="not differentiable",
        ),
    )
    lines = printed(report(plain, source=None, prior=None), terminal=False)
    assert "No Jacobians: no float source." in lines
    (row,) = [line for line in lines if line.startswith("relu")]
    assert row.split()[5:] == ["–", "–", "–", "–", "not", "differentiable"]


def test_figures_that_are_not_comparable_stand_in_brackets() -> None:
    seen = tensor()
    assert seen.jacobian is not None
    assert seen.jacobian.rank is not None
    seen.jacobian.complete = False
    seen.jacobian.rank.at_least = True
    (row,) = [line for line in printed(report(seen), terminal=False) if line.startswith("relu")]
    assert "(3.14)" in row
    assert "≥62.5/64" in row


def test_verbose_lists_each_tensor_under_its_reason() -> None:
    lines = printed(report(tensor()), verbose=True)
    at = lines.index("  2 skipped: constant: no input reaches it")
    assert [line.strip() for line in lines[at + 1 : at + 3]] == ["shape", "cast"]


def test_failures_and_an_early_end_are_said() -> None:
    made = report(
        tensor(),
        coverage=Coverage(
            tensors=2,
            analysed=1,
            skipped=[],
            failed=[Omission(name="b", reason="native code crashed")],
        ),
    )
    made.run.interrupted = "memory ran out"
    lines = printed(made)
    assert "1 of 2 tensors analysed, 0 skipped, 1 failed." in lines
    assert "  1 failed: native code crashed" in lines
    assert "Ended early: memory ran out" in lines


def test_what_does_not_fit_goes_into_tables_of_its_own() -> None:
    """No status is lost and no figure is cut, however many noises are asked for."""
    noises = ["0.1", "0.3", "int8", "bfloat16", "0.5", "float16", "1"]
    wide = tensor(
        "relu",
        status="piecewise constant",
        release=[
            ReleaseRecord(noise=each, s=0.1, recoverable=Share(low=0.17, high=0.99))
            for each in noises
        ],
    )
    made = report(wide)
    made.run.configuration["noise"] = noises
    lines = printed(made)
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    assert "…" not in text
    assert text.count("17–99%") == len(noises)
    assert "piecewise" in text
    assert sum(line.startswith("tensor") for line in lines) == 2
