"""``onnxprobe check`` as a user, and as a CI job, meets it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from onnxprobe.record import Report
from onnxprobe.report.formats import render_json
from tests.reports import report, tensor
from tests.trust.inside import run_inside

MODEL = Path(__file__).resolve().parents[2] / "models" / "digits_mlp_sklearn.onnx"
FAST = ["--samples", "1", "--data-limit", "16", "--device", "cpu"]


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.toml"
    path.write_text('[[rule]]\nname = "ranks"\nrole = "all"\nmax = { rank_share = 0.5 }\n')
    return path


def _saved(found: Report, path: Path) -> str:
    path.write_bytes(render_json(found))
    return str(path)


def test_a_model_is_judged(policy: Path, tmp_path: Path) -> None:
    out = tmp_path / "verdict.json"
    code, said = run_inside([
        "check", str(MODEL), *FAST, "--policy", str(policy), "-o", str(out),
    ])  # fmt: skip
    assert code == 1
    assert said.splitlines()[-1].startswith("Verdict: fail (1 fail)")
    found = json.loads(out.read_text())
    assert (found["verdict"], found["exit_code"]) == ("fail", 1)


def test_the_noise_that_a_policy_speaks_of_is_measured(tmp_path: Path) -> None:
    policy, out = tmp_path / "p.toml", tmp_path / "r.report.json"
    policy.write_text(
        '[[rule]]\nname = "a"\nrole = "output"\n'
        "max = { recoverable_share = { noise = 0.7, value = 1 } }\n"
    )
    code, said = run_inside([
        "check", str(MODEL), *FAST, "--policy", str(policy), "-o", str(out), "-q",
    ])  # fmt: skip
    # No data was given, so an isotropic prior is all there is.
    assert code == 4, said
    found = Report.read(out)
    assert [each.noise for each in found.tensors[0].release] == ["0.1", "int8", "0.7"]


def test_a_rank_is_counted_at_the_tolerance_that_a_policy_speaks_of(tmp_path: Path) -> None:
    policy, out = tmp_path / "p.toml", tmp_path / "r.report.json"
    policy.write_text(
        '[[rule]]\nname = "a"\nrole = "all"\n'
        "max = { rank = { tolerance = 0.051234567, value = 0 } }\n"
    )
    code, said = run_inside([
        "check", str(MODEL), *FAST, "--policy", str(policy), "-o", str(out), "-q",
    ])  # fmt: skip
    assert code == 1, said
    for each in Report.read(out).tensors:
        assert each.jacobian is not None
        if each.jacobian.rank is not None and not each.jacobian.rank.at_least:
            counts = [each.jacobian.rank_at[name].max for name in ("0.051234567", "1e-2", "1e-3")]
            assert counts == sorted(counts)


@pytest.mark.parametrize(("limit", "code", "word"), [(0.5, 1, "fail"), (1, 0, "pass")])
def test_a_report_is_judged(limit: float, code: int, word: str, tmp_path: Path) -> None:
    policy = tmp_path / "p.toml"
    policy.write_text(f'[[rule]]\nname = "a"\ntensors = "relu"\nmax = {{ rank_share = {limit} }}\n')
    saved = _saved(report(tensor()), tmp_path / "r.json")
    ended, said = run_inside(["check", "--report", saved, "--policy", str(policy)])
    assert ended == code
    assert f"Verdict: {word} (1 {word})" in said


def test_what_is_no_json_is_no_report(tmp_path: Path) -> None:
    empty = tmp_path / "r.json"
    empty.write_bytes(b"")
    code, said = run_inside(["check", "--report", str(empty), "--policy", "embedding-release"])
    assert code == 2
    assert said == f"onnxprobe: {empty} is no report: it is empty, or no JSON\n"


def test_a_report_that_lost_tensors_is_refused(tmp_path: Path) -> None:
    policy = tmp_path / "p.toml"
    policy.write_text('[[rule]]\nname = "a"\nrole = "all"\nmax = { rank = 99 }\n')
    found = report(tensor("a"), tensor("b"))
    saved = _saved(found.model_copy(update={"tensors": found.tensors[:1]}), tmp_path / "r.json")
    code, said = run_inside(["check", "--report", saved, "--policy", str(policy)])
    assert code == 2
    assert "holds 1 tensors and says that 2 were analysed" in said


def test_samples_that_do_not_vary_pass_no_degrees_of_freedom(tmp_path: Path) -> None:
    policy, data = tmp_path / "p.toml", tmp_path / "d.npy"
    policy.write_text('[[rule]]\nname = "a"\nrole = "all"\nmax = { dof = 5 }\n')
    np.save(data, np.full((16, 1, 8, 8), 0.5, np.float32))
    code, said = run_inside([
        "check",
        str(MODEL),
        *FAST,
        "--data",
        str(data),
        "--policy",
        str(policy),
    ])
    assert code == 4, said


def test_what_is_shown_fits_its_purpose(tmp_path: Path) -> None:
    policy = tmp_path / "p.toml"
    policy.write_text('[[rule]]\nname = "few"\nrole = "all"\nmax = { rank = 60 }\n')
    coverage = report(*(tensor(f"t{n}") for n in range(7))).coverage.model_copy(
        update={"skipped": [], "tensors": 7}
    )
    found = report(*(tensor(f"t{n}") for n in range(7)), coverage=coverage)
    saved = _saved(found, tmp_path / "r.json")
    code, said = run_inside(["check", "--report", saved, "--policy", str(policy)])
    assert code == 1
    assert said == (
        "model.onnx, policy 'policy'\n\n"
        "          fail  few  (7 tensors)\n"
        + "".join(f"{'':16}t{n}: rank is 64, at most 60 allowed\n" for n in range(5))
        + f"{'':16}and 2 more (-v lists them)\n"
        "Verdict: fail (1 fail)\n"
    )
    _, said = run_inside(["check", "--report", saved, "--policy", str(policy), "-v"])
    assert said.count("at most 60 allowed") == 7


def test_a_baseline_lets_regressions_alone_fail(policy: Path, tmp_path: Path) -> None:
    saved = _saved(report(tensor()), tmp_path / "r.json")
    arguments = ["check", "--report", saved, "--policy", str(policy), "--baseline", saved, "-v"]
    policy.write_text('[[rule]]\nname = "a"\ntensors = "relu"\nmax = { rank = 1 }\n')
    code, said = run_inside(arguments)
    assert code == 0
    assert "relu: rank is 64, at most 1 allowed; no worse than in the baseline" in said


def test_several_models_are_judged_one_after_the_other(policy: Path) -> None:
    policy.write_text('[[rule]]\nname = "a"\ntensors = "prob*"\nmax = { rank = 64 }\n')
    code, said = run_inside(["check", str(MODEL), str(MODEL), *FAST, "--policy", str(policy)])
    assert code == 0
    assert said.count("Verdict: pass") == 2
    code, said = run_inside(["check", "a", "b", "--policy", str(policy), "-o", "a.json"])
    assert code == 2
    assert "one file cannot hold the verdicts on 2 models" in said


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--policy", "P"], "give a MODEL or a --report, one of them"),
        ([str(MODEL), "--report", "x", "--policy", "P"], "give a MODEL or a --report"),
        ([str(MODEL)], "Missing option '--policy'"),
        ([str(MODEL), "--policy", "nowhere"], "the policy nowhere cannot be read"),
        (["--report", "nowhere", "--policy", "P"], "the report nowhere cannot be read"),
        (["--report", "P", "--policy", "P"], "is no report: it is empty, or no JSON"),
        ([str(MODEL), "--policy", "P", "--baseline", "nowhere"], "the report nowhere cannot be"),
        ([str(MODEL), "--policy", "P", "-o", "a.pdf"], "the ending of a.pdf tells no format"),
        ([str(MODEL), "--policy", "P", "-o", "a.b", "--format", "pdf"], "there is no format 'pdf'"),
        ([str(MODEL), "--policy", "P", "--format", "sarif"], "--format says how an -o is written"),
        (["--report", "P", "--policy", "P", "--noise", "0.3"], "--noise would change nothing"),
        (["--report", "P", "--policy", "P", "--data", "d.npz"], "--data would change nothing"),
    ],
)
def test_bad_input_is_one_sentence(arguments: list[str], sentence: str, policy: Path) -> None:
    given = [str(policy) if each == "P" else each for each in arguments]
    code, said = run_inside(["check", *given])
    assert code == 2
    assert sentence in said
    assert "Traceback" not in said


def test_a_rule_without_tensors_is_an_error(policy: Path, tmp_path: Path) -> None:
    policy.write_text('[[rule]]\nname = "a"\ntensors = "logits"\nmax = { rank = 1 }\n')
    saved = _saved(report(tensor()), tmp_path / "r.json")
    code, said = run_inside(["check", "--report", saved, "--policy", str(policy)])
    assert code == 2
    assert "rule 'a' matches no tensor of the model" in said


def test_two_hundred_tensors_are_judged_in_half_a_second(policy: Path, tmp_path: Path) -> None:
    import os
    import resource
    import subprocess
    import sys

    saved = _saved(report(*(tensor(f"t{n}") for n in range(200))), tmp_path / "r.json")
    command = [sys.executable, "-m", "onnxprobe", "check", "--report", saved, "--policy",
               str(policy), "-q"]  # fmt: skip

    # An installed package is compiled; under PYTHONDONTWRITEBYTECODE a checkout never stays so.
    env = {**os.environ, "PYTHONPYCACHEPREFIX": str(tmp_path / "compiled")}
    env.pop("PYTHONDONTWRITEBYTECODE", None)

    def spent_s() -> float:
        """Seconds of a processor, which others that use the machine do not lengthen."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, cwd=MODEL.parents[1], env=env, capture_output=True, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(spent_s() for _ in range(8)) < 0.5


@pytest.mark.parametrize(("optional", "code"), [("true", 0), ("false", 2)])
def test_an_absent_joint_release_is_an_error_unless_it_is_optional(
    optional: str, code: int, tmp_path: Path
) -> None:
    policy = tmp_path / "p.toml"
    policy.write_text(
        f'[[rule]]\nname = "a"\ntogether = ["label", "nothing"]\noptional = {optional}\n'
        "max = { rank = 1 }\n"
    )
    found, said = run_inside(["check", str(MODEL), *FAST, "--policy", str(policy)])
    assert found == code
    assert ("not applicable" if code == 0 else "'nothing'") in said
