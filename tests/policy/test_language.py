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


_TEXT = "'x',"
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
        (f"{RULE}max = {{ rnak = 1 }}", 4,
         "there is no measure 'rnak' (did you mean 'rank'?); there are recoverable_share, "),
        (f"{RULE}max = {{ bits = 1 }}", 4, "bits depends on release noise: write { noise = 0.1"),
        (f"{RULE}max = {{ rank = true }}", 4,
         "max: rank is bounded by true; expected a number or a table"),
        (f"{RULE}max = {{ rank = 'x' }}", 4, "rank is bounded by 'x'"),
        (f"{RULE}max = {{ rank = [] }}", 4, "rank is bounded by nothing"),
        (f"{RULE}max = {{ rank = nan }}", 4, "finite number"),
        (f"{RULE}max = {{ rank = inf }}", 4, "finite number"),
        (f"{RULE}max = {{ rank = {{noise = 1, value = 1}} }}", 4, "rank does not depend on noise"),
        (f"{RULE}max = {{ dof = {{tolerance = 0.1, value = 1}} }}", 4, "dof does not depend"),
        (f"{RULE}max = {{ rank = {{valeu = 1}} }}", 4,
         "there is no key 'valeu' here (did you mean 'value'?); there are value, noise, tolerance"),
        (f"{RULE}max = {{ limits = {{rank = 1}} }}", 4, "there is no measure 'limits'"),
        (f"{RULE}max = {{ rank = {{tolerance = 'abc', value = 3}} }}", 4, "is no tolerance"),
        (f"{RULE}max = {{ bits = {{noise = -1, value = 3}} }}", 4, "'-1' is no release noise"),
        (f"{RULE}max = {{ bits = {{noise = 'banana', value = 3}} }}", 4, "is no release noise"),
        (f"{RULE}max = {{}}", 4, "max is empty"),
        (f"{RULE}max = 3", 4, "max is 3; expected a table"),
        (f"{RULE}max = {{ rank = {{}} }}", 4, "max.rank: 'value' is missing"),
        (f"{RULE}max = {{ rank = 1{'0' * 400} }}", 4, "max.rank is inf; expected a finite number"),
        (f"{RULE}max = {{ rank = -1{'0' * 400} }}", 4,
         "max.rank is -inf; expected a finite number"),
        (f"{RULE}max = {{ rank = {{ value = true }} }}", 4,
         "max.rank.value is true; expected a number"),
        (f"{RULE}max = {{ rank = -1 }}", 4, "max: rank is bounded by -1, and is never below 0"),
        (f"{RULE}min = {{ rank = -1 }}", 4, "min: rank is bounded by -1, and is never below 0"),
        (f"{RULE}max = {{ rank_share = 20 }}", 4,
         "max: rank_share is bounded by 20, and is never above 1: write 0.2 for 20 %"),
        (f"{RULE}max = {{ rank = [\n1,\n2] }}", 6, "max: rank is bounded twice"),
        (f"{RULE}max = {{ rank = [{{ tolerance = 1e-5, value = 1 }},\n"
         "{ tolerance = '0.00001', value = 2 }] }", 5,
         "max: rank at tolerance 0.00001 is bounded twice"),
        (f"{RULE}max = {{ bits = [{','.join(101 * ['{ noise = 1, value = 1 }'])}] }}", 4,
         "max.bits has more than 100 entries"),
        (f"{RULE}max = {{ bits = {{noise = ' 0.1', value = 3}} }}", 4,
         "max.bits.noise: ' 0.1' is no release noise; expected a number above 0, or float32, "
         "float16, bfloat16 or int8"),
        (f"{RULE}max = {{ bits = {{noise = '\u0661', value = 3}} }}", 4, "is no release noise"),
        (f"{RULE}max = {{ bits = {{noise = '1e', value = 3}} }}", 4, "'1e' is no release noise"),
        (f"{RULE}tensors = [{10_001 * _TEXT}]\nmax = {{rank = 1}}", 4,
         "tensors has more than 10,000 entries"),
        (f"{RULE}max = {{rank = 1}}".replace('"a"', '" \\t"'), 2, "name is blank"),
        (f"{RULE}max = {{rank = 1}}".replace('"a"', f'"{201 * "a"}"'), 2,
         "name has more than 200 letters"),
        (f'{RULE}"a\\nb" = 1\nmax = {{rank = 1}}', 4, "there is no key 'a\\nb' here; there are"),
        (f"\nname = ''\n{RULE}max = {{rank = 1}}", 2, "name is empty"),
        (f"{RULE}max = {{rank = 1}}\n[[waiver]]\nrule = 'a'\n"
         f"reason = '{1001 * 'x'}'\nexpires = 2027-01-01", 7,
         "reason has more than 1,000 letters"),
        ("\nrule = []", 2, "rule is empty"),
        ("rule = [\n3]", 2, "element 1 of rule is 3; expected a table"),
        ("[[rule]]\nname = 'a'\ntogether = ['x',\n'x']\nmax = {rank = 1}", 4,
         "'x' stands twice in together"),
        (f"{RULE}severity = 'fatal'\nmax = {{rank = 1}}", 4, "'error' or 'warning'"),
        (f"{RULE}optional = 1\nmax = {{rank = 1}}", 4, "optional is 1; expected true or false"),
        (f"{RULE}tensors = [1]\nmax = {{rank = 1}}", 4,
         "element 1 of tensors is 1; expected a text"),
        (f"{RULE}tensors = []\nmax = {{rank = 1}}", 4, "tensors is empty"),
        (f"{RULE}colour = 'red'\nmax = {{rank = 1}}", 4, "there is no key 'colour' here"),
        (f"{RULE}max = {{rank = 1}}\n\n{RULE}max = {{rank = 1}}", 7, "two rules are called 'a'"),
        (f"{RULE}max = {{rank = 1}}\n\n[[rule]]\nname = 'b'\nrole = 'some'\nmax = {{rank = 1}}", 8,
         "'output' or 'all'"),
        (f"{RULE}max = {{rank = 1}}\n[[waiver]]\nrule = 'b'\nreason = 'x'\nexpires = 2027-01-01", 6,
         "a waiver is for rule 'b', which there is not"),
        (f"{RULE}max = {{rank = 1}}\n[[waiver]]\nrule = 'a'\nexpires = 2027-01-01", 5,
         "'reason' is missing"),
        (f"{RULE}max = {{rank = 1}}\n[[waiver]]\nrule = 'a'\nreason = 'x'", 5,
         "'expires' is missing"),
        (f"{RULE}max = {{rank = 1}}\n[[waiver]]\nrule = 'a'\nreason = 'x'\nexpires = 'soon'", 8,
         "expires is 'soon'; expected a day without quotes, such as 2027-01-31"),
        (f"{RULE}max = {{rank = 1}}\n[[waiver]]\nrule = 'a'\nreason = ''\nexpires = 2027-01-01", 7,
         "reason is empty"),
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


@pytest.mark.parametrize(
    ("text", "line", "sentence"),
    [
        ("name = 'a' name\n", 1, "expected newline or end of document after a statement"),
        ("\n\nname = \n", 3, "invalid value"),
        ("name = 'a'\nname", 2, "expected '=' after a key in a key/value pair"),
        # What has no end is told by its beginning, and a key that is given twice by itself.
        ('\nname = """\n\n\n', 2, "the text that begins here has no end"),
        ("\nname = '''\n\n\n", 2, "the text that begins here has no end"),
        ("\nname = 'a\n\n", 2, "the text that begins here has no end"),
        ('\nname = "a\n\n', 2, "the text that begins here has no end"),
        ("rule = [\n\n{ tensors = [\n'a',\n", 3, "the list that begins here has no end"),
        ("rule = [\n\n{ name = 'a' \n", 3, "the table that begins here has no end"),
        ("name = 'a'\nname = [\n1,\n]\n", 2, "'name' is given twice"),
        ("max = { rank = 1 }\nmax.dof = [\n1,\n]\n", 2, "'max' is given twice"),
        ("[a]\n[[b]]\n[a]\n", 3, "'a' is given twice"),
        ("a = { b = 1,\tb = [\n1] }", 1, "'b' is given twice"),
        ("a = 1\na = 2\nb = 3\nb = 4", 2, "'a' is given twice"),
        # What is wrong before that is told instead.
        ('a = 1\nb = "\\q"\na = 2', 2, "unescaped '\\' in a string"),
    ],
)
def test_what_is_no_toml_is_answered_with_the_line(
    text: str, line: int, sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(PolicyError) as raised:
        _read(tmp_path, text)
    assert f"policy.toml, line {line}: it is not TOML: {sentence}" in str(raised.value)


def test_files_that_are_no_policy_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"cannot be read: No such file .* embedding-release"):
        read_policy(tmp_path / "none.toml")
    with pytest.raises(PolicyError, match="cannot be read: Is a directory"):
        read_policy(tmp_path)
    (tmp_path / "large.toml").write_bytes(b"# " + b"x" * 2**21)
    with pytest.raises(PolicyError, match="more than 1,048,576 bytes"):
        read_policy(tmp_path / "large.toml")
    (tmp_path / "latin.toml").write_bytes(b'\r\nname = "\xe4"')
    with pytest.raises(PolicyError, match="line 2: it is not UTF-8 text: "):
        read_policy(tmp_path / "latin.toml")
    (tmp_path / "deep.toml").write_text("a = " + "[" * 100_000)
    with pytest.raises(PolicyError, match="line 1: this is nested more than 32 deep"):
        read_policy(tmp_path / "deep.toml")
    # Keys that tomllib would take hours for, and a number that it refuses without a line.
    (tmp_path / "long.toml").write_text("\na" + ".a" * 500_000 + " = 1")
    with pytest.raises(PolicyError, match="line 2: this is nested more than 32 deep"):
        read_policy(tmp_path / "long.toml")
    (tmp_path / "digits.toml").write_text("\na = " + "1" * 5000)
    with pytest.raises(PolicyError, match="line 2: this number has more than 1,000 letters"):
        read_policy(tmp_path / "digits.toml")


def test_a_level_of_noise_is_measured_once_however_it_is_spelled(tmp_path: Path) -> None:
    text = (
        f"{RULE}max.bits = {{ noise = 0.1, value = 1 }}\nmax.dfil = {{ noise = '1e-1', value = 1 }}"
    )
    assert _read(tmp_path, text).noise == ("0.1",)


def test_shares_are_bounded_up_to_one(tmp_path: Path) -> None:
    for share in (
        "rank_share = 1",
        "dof_share = 20",
        "recoverable_share = { noise = 1, value = 1 }",
    ):
        assert _read(tmp_path, f"{RULE}max = {{ {share} }}").rules


def test_an_endless_file_is_not_read_to_its_end() -> None:
    with pytest.raises(PolicyError, match="more than"):
        read_policy("/dev/zero")


def test_a_mark_of_the_encoding_is_passed_over(tmp_path: Path) -> None:
    assert _read(tmp_path, f"\ufeff{SMALLEST}").rules
    with pytest.raises(PolicyError, match="line 3: there is no key 'nmae' here"):
        _read(tmp_path, "\ufeff" + SMALLEST.replace("name", "nmae"))


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
