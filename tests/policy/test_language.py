"""What a policy file may say, and what is answered to one that means nothing."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from onnxprobe.errors import PolicyError
from onnxprobe.policy import MEASURES, Policy, read_policy, shipped_policies

SMALLEST = """
[[rule]]
name = "embedding may leave the device"
tensors = ["logits", "/pool/*"]                  # or op_types = ["Gemm"], role = "output", after = "<cut>"
max = { rank_share = 0.2, dof_share = 0.3, recoverable_share = { noise = 0.1, value = 0.05 } }
severity = "error"
"""  # noqa: E501 (as it stands in the documentation)


def _read(tmp_path: Path, text: str) -> Policy:
    path = tmp_path / "policy.toml"
    path.write_text(text, encoding="utf-8")
    return read_policy(path).policy


def test_the_smallest_policy_is_read(tmp_path: Path) -> None:
    (rule,) = _read(tmp_path, SMALLEST).rules
    assert rule.tensors == ("logits", "/pool/*")
    assert rule.max is not None
    assert {name: each[0].value for name, each in rule.max.limits.items()} == {
        "rank_share": 0.2,
        "dof_share": 0.3,
        "recoverable_share": 0.05,
    }
    assert rule.max.limits["recoverable_share"][0].noise == "0.1"


def test_everything_that_can_be_said_is_read(tmp_path: Path) -> None:
    policy = _read(
        tmp_path,
        """
name = "all of it"
description = "long"

[[rule]]
name = "a"
description = "why"
tensors = "x"
op_types = ["Gemm"]
role = "all"
after = "cut"
exclude = ["y*"]
min = { van_trees_share = { noise = "int8", value = 1 } }
max.rank = [{ tolerance = 1e-5, value = 3 }, 7]
severity = "warning"
optional = true

[[waiver]]
rule = "a"
tensors = ["x"]
reason = "until the new model"
expires = 2027-01-31
""",
    )
    (rule,), (waiver,) = policy.rules, policy.waivers
    assert rule.optional
    assert rule.tensors == ("x",)
    assert rule.max is not None
    assert [each.tolerance for each in rule.max.limits["rank"]] == ["1e-05", None]
    assert waiver.expires == date(2027, 1, 31)
    assert policy.noise == ("int8",)


RULE = '[[rule]]\nname = "a"\nrole = "all"\n'


@pytest.mark.parametrize(
    ("text", "line", "sentence"),
    [
        ("", 1, "'rule' is missing"),
        ("rule = 3", 1, "rules and waivers are tables: write [[rule]]"),
        ("[[rule]]\nrole = 'all'\nmax = {rank = 1}", 1, "'name' is missing"),
        (RULE, 1, "it bounds nothing: give max or min"),
        ("[[rule]]\nname = 'a'\nmax = {rank = 1}", 1, "it says nothing about which tensors"),
        (f"{RULE}together = ['x']\nmax = {{rank = 1}}", 1, "together names one release"),
        (f"{RULE}max = {{ rnak = 1 }}", 4, "there is no measure 'rnak'; there are recoverable_sha"),
        (f"{RULE}max = {{ bits = 1 }}", 4, "bits depends on release noise: write { noise = 0.1"),
        (f"{RULE}max = {{ rank = true }}", 4, "rank is bounded by True"),
        (f"{RULE}max = {{ rank = 'x' }}", 4, "rank is bounded by 'x'"),
        (f"{RULE}max = {{ rank = [] }}", 4, "rank is bounded by nothing"),
        (f"{RULE}max = {{ rank = nan }}", 4, "finite number"),
        (f"{RULE}max = {{ rank = inf }}", 4, "finite number"),
        (f"{RULE}max = {{ rank = {{noise = 1, value = 1}} }}", 4, "rank does not depend on noise"),
        (f"{RULE}max = {{ dof = {{tolerance = 0.1, value = 1}} }}", 4, "dof does not depend"),
        (f"{RULE}max = {{ rank = {{valeu = 1}} }}", 4, "value"),
        (f"{RULE}max = {{ limits = {{rank = 1}} }}", 4, "there is no measure 'limits'"),
        (f"{RULE}max = {{ rank = {{tolerance = 'abc', value = 3}} }}", 4, "is no tolerance"),
        (f"{RULE}max = {{ bits = {{noise = -1, value = 3}} }}", 4, "'-1' is no release noise"),
        (f"{RULE}max = {{ bits = {{noise = 'banana', value = 3}} }}", 4, "is no release noise"),
        (f"{RULE}max = {{}}", 4, "at least 1 item"),
        (f"{RULE}severity = 'fatal'\nmax = {{rank = 1}}", 4, "'error' or 'warning'"),
        (f"{RULE}optional = 1\nmax = {{rank = 1}}", 4, "valid boolean"),
        (f"{RULE}tensors = [1]\nmax = {{rank = 1}}", 4, "valid string"),
        (f"{RULE}tensors = []\nmax = {{rank = 1}}", 4, "at least 1 item"),
        (f"{RULE}colour = 'red'\nmax = {{rank = 1}}", 4, "there is no key 'colour' here"),
        (f"{RULE}max = {{rank = 1}}\n\n{RULE}max = {{rank = 1}}", 1, "two rules are called 'a'"),
        (f"{RULE}max = {{rank = 1}}\n\n[[rule]]\nname = 'b'\nrole = 'some'\nmax = {{rank = 1}}", 8,
         "'output' or 'all'"),
        (f"{RULE}max = {{rank = 1}}\n[[waiver]]\nrule = 'b'\nreason = 'x'\nexpires = 2027-01-01", 1,
         "a waiver is for rule 'b', which there is not"),
        (f"{RULE}max = {{rank = 1}}\n[[waiver]]\nrule = 'a'\nexpires = 2027-01-01", 5,
         "'reason' is missing"),
        (f"{RULE}max = {{rank = 1}}\n[[waiver]]\nrule = 'a'\nreason = 'x'", 5,
         "'expires' is missing"),
        (f"{RULE}max = {{rank = 1}}\n[[waiver]]\nrule = 'a'\nreason = 'x'\nexpires = 'soon'", 8,
         "valid date"),
        (f"{RULE}max = {{rank = 1}}\n[[waiver]]\nrule = 'a'\nreason = ''\nexpires = 2027-01-01", 7,
         "at least 1 character"),
    ],
)  # fmt: skip
def test_a_policy_that_means_nothing_is_answered_with_the_line(
    text: str, line: int, sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(PolicyError) as raised:
        _read(tmp_path, text)
    said = str(raised.value)
    assert f"policy.toml, line {line}: " in said, said
    assert sentence in said, said
    assert "\n" not in said
    assert len(said) < 600


def test_what_is_no_toml_is_answered_with_the_line(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"is not TOML: .* \(at line 1, column"):
        _read(tmp_path, "name = 'a' name\n")


def test_files_that_are_no_policy_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"cannot be read: No such file .* embedding-release"):
        read_policy(tmp_path / "none.toml")
    with pytest.raises(PolicyError, match="cannot be read: Is a directory"):
        read_policy(tmp_path)
    (tmp_path / "large.toml").write_bytes(b"# " + b"x" * 2**21)
    with pytest.raises(PolicyError, match="more than 1,048,576 bytes"):
        read_policy(tmp_path / "large.toml")
    (tmp_path / "latin.toml").write_bytes(b'name = "\xe4"')
    with pytest.raises(PolicyError, match="not UTF-8"):
        read_policy(tmp_path / "latin.toml")
    (tmp_path / "deep.toml").write_text("a = " + "[" * 100_000)
    with pytest.raises(PolicyError, match=r"nested too deep|not TOML"):
        read_policy(tmp_path / "deep.toml")


def test_an_endless_file_is_not_read_to_its_end() -> None:
    with pytest.raises(PolicyError, match="more than"):
        read_policy("/dev/zero")


@pytest.mark.parametrize("name", shipped_policies())
def test_shipped_policies_mean_something(name: str) -> None:
    file = read_policy(name)
    assert file.source == name
    assert len(file.sha256) == 64
    assert file.policy.description
    assert file.policy.rules


def test_two_policies_are_shipped() -> None:
    assert shipped_policies() == ("embedding-release", "split-inference")


def test_every_measure_is_described() -> None:
    assert all(measure.description for measure in MEASURES.values())
