"""Models that crash, hang, or do not fit the memory cost what depends on it, and nothing else."""

from __future__ import annotations

from tests.analysis import networks
from tests.analysis.test_conduct import analyse, by_name


def test_a_native_crash_costs_what_depends_on_it_and_nothing_else() -> None:
    report = analyse(networks.crashing())
    assert sorted(by_name(report)) == ["before", "beside"]
    failed = {each.name: each.reason for each in report.coverage.failed}
    assert failed == {
        "crash": "at make_crash (Min), or what it needs: native code crashed (SIGSEGV)",
        "after": "it depends on 'crash', whose computation failed",
    }


def test_an_endless_model_ends_at_the_timeout() -> None:
    report = analyse(networks.endless(), unit_timeout_s=3.0)
    (failed,) = [each for each in report.coverage.failed if each.name == "y"]
    assert "nothing was heard from the computation for 3 s; raise --unit-timeout" in failed.reason


def test_an_endless_model_is_found_out_within_the_time_for_everything() -> None:
    report = analyse(networks.endless(), timeout_s=18.0)
    assert [each.name for each in report.coverage.failed] == ["y"]
    assert report.tensors


def test_a_model_that_does_not_fit_the_memory_costs_what_does_not_fit() -> None:
    report = analyse(networks.too_large(), memory_bytes=2**28)
    assert sorted(by_name(report)) == ["after", "before"]
    (failed,) = report.coverage.failed
    assert failed.name == "y"
    assert "memory ran out; --memory allows more" in failed.reason
    assert any("was not run to its end" in each for each in report.assumptions)
