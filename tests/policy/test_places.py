"""Errors of policies name the line, however the policy is written."""

from __future__ import annotations

import re
from collections.abc import Callable
from copy import deepcopy
from datetime import date
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxprobe.errors import PolicyError
from onnxprobe.policy import MEASURES, judge, read_policy
from onnxprobe.record import Report
from tests.policy.judgements import TODAY, whole
from tests.policy.toml_documents import DECOYS, Document, written
from tests.reports import tensor

Place: TypeAlias = tuple[str | int, ...]
_TEXTS = st.sampled_from(DECOYS)


@st.composite
def _policies(draw: st.DrawFn) -> dict[str, Any]:
    """A policy with at least two rules and one waiver."""
    rules = []
    for number in range(draw(st.integers(2, 3))):
        rule: dict[str, Any] = {
            "name": f"rule {number}",
            "tensors": draw(st.lists(_TEXTS, min_size=1, max_size=3)),
            "max": {"rank": 3, "bits": [{"noise": 0.1, "value": 1}, {"noise": "int8", "value": 2}]},
            "min": {"van_trees_share": {"noise": 0.5, "value": 0.25}},
        }
        more = {"description": draw(_TEXTS), "op_types": ["Gemm"], "optional": True}
        rule |= {key: each for key, each in more.items() if draw(st.booleans())}
        rules.append({key: rule[key] for key in draw(st.permutations(list(rule)))})
    waivers = [
        {
            "rule": f"rule {number}",
            "reason": f"because {draw(_TEXTS)}",
            "expires": date(2027, 1, 31),
        }
        for number in range(draw(st.integers(1, 2)))
    ]
    found = {"name": "all of it", "description": draw(_TEXTS), "rule": rules, "waiver": waivers}
    return {key: found[key] for key in draw(st.permutations(list(found)))}


def _read(tmp_path: Path, text: str) -> Any:
    path = tmp_path / "policy.toml"
    path.write_bytes(text.encode())
    return read_policy(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("policies")


@given(_policies().flatmap(written))
@settings(max_examples=50, deadline=None)
def test_a_policy_means_the_same_in_every_shape(folder: Path, document: Document) -> None:
    policy = _read(folder, document.text).policy
    assert [rule.name for rule in policy.rules] == [each["name"] for each in document.value["rule"]]
    assert policy.waivers[0].reason == document.value["waiver"][0]["reason"]
    assert policy.noise == ("0.1", "int8", "0.5")


def _put(*path: str | int, value: Any) -> Callable[[dict[str, Any]], Place]:
    """Put a value where it means nothing; the error is there."""

    def put(policy: dict[str, Any]) -> Place:
        inner: Any = policy
        for step in path[:-1]:
            inner = inner[step]
        inner[path[-1]] = value
        return path

    return put


def _without(policy: dict[str, Any]) -> Place:
    del policy["rule"][1]["name"]
    return "rule", 1


def _third_tensor(policy: dict[str, Any]) -> Place:
    policy["rule"][1]["tensors"] = ["a", "b", 3]
    return "rule", 1, "tensors", 2


def _twice_together(policy: dict[str, Any]) -> Place:
    policy["rule"][1] = {"name": "b", "together": ["a", "b", "c", "a"], "max": {"rank": 1}}
    policy["waiver"] = []
    return "rule", 1, "together", 3


def _no_table(policy: dict[str, Any]) -> Place:
    policy["waiver"] = [policy["waiver"][0], 3]
    return "waiver", 1


DAMAGES: dict[str, Callable[[dict[str, Any]], Place]] = {
    "there is no key 'colour' here; there are name, description, rule": _put("colour", value=1),
    "there is no key 'nmae' here": _put("rule", 1, "nmae", value="x"),
    "there is no key 'expire' here (did you mean 'expires'?)": _put("waiver", 0, "expire", value=1),
    "'name' is missing": _without,
    "severity is 'fatal'; expected 'error' or ": _put("rule", 1, "severity", value="fatal"),
    "element 3 of tensors is 3; expected a text": _third_tensor,
    "tensors is empty": _put("rule", 0, "tensors", value=[]),
    "'a' stands twice in together": _twice_together,
    "there is no measure 'rnak' (did you mean 'rank'?); ": _put("rule", 1, "max", "rnak", value=1),
    "max: rank is bounded by 'x'; expected a number or a ": _put(
        "rule", 0, "max", "rank", value="x"
    ),
    "max.rank is nan; expected a finite number": _put(
        "rule", 0, "max", "rank", value=[{"tolerance": 0.1, "value": 1}, float("nan")]
    ),
    "max.bits.noise: 'banana' is no release noise": _put(
        "rule", 1, "max", "bits", 1, "noise", value="banana"
    ),
    "min.van_trees_share.noise: true is neither a number nor": _put(
        "rule", 1, "min", "van_trees_share", "noise", value=True
    ),
    "bits at noise 1e-1 is bounded twice": _put("rule", 0, "max", "bits", 1, "noise", value="1e-1"),
    "rank_share is bounded by 20, and is never above 1": _put(
        "rule", 0, "max", "rank_share", value=20
    ),
    "two rules are called 'rule 0'": _put("rule", 1, "name", value="rule 0"),
    "a waiver is for rule 'rule 7', which there is not (did": _put(
        "waiver", 0, "rule", value="rule 7"
    ),
    "expires is 'soon'; expected a day without quotes": _put("waiver", 0, "expires", value="soon"),
    "reason is blank": _put("waiver", 0, "reason", value=" \n"),
    "element 2 of waiver is 3; expected a table": _no_table,
}  # fmt: skip


@pytest.mark.parametrize("sentence", DAMAGES)
@given(policy=_policies(), data=st.data())
@settings(max_examples=25, deadline=None)
def test_the_line_is_told_in_every_shape(
    folder: Path, sentence: str, policy: dict[str, Any], data: Any
) -> None:
    damaged = deepcopy(policy)
    path = DAMAGES[sentence](damaged)
    if "bounded twice" in sentence:
        path = path[:-1]
    document = data.draw(written(damaged))
    # In one place the language has two words for a list of one: the bound is the element's.
    if "rank is nan" in sentence:
        path = (*path, 1)
    with pytest.raises(PolicyError) as raised:
        _read(folder, document.text)
    said = str(raised.value)
    assert f"policy.toml, line {document.lines[path]}: " in said, (said, document.text)
    assert sentence in said


_ANYTHING = st.recursive(
    st.one_of(
        _TEXTS, st.integers(-(2**70), 2**70), st.booleans(), st.floats(), st.just(TODAY),
        st.sampled_from(["", " ", *MEASURES, "int8", "x" * 300, 10**400]),
    ),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["value", "noise", "a", "rank", "\n"]), inner, max_size=2),
    max_leaves=4,
)  # fmt: skip


@given(policy=_policies(), data=st.data())
@settings(max_examples=200, deadline=None)
def test_whatever_stands_there_is_answered_with_one_sentence(
    folder: Path, policy: dict[str, Any], data: Any
) -> None:
    """Every key in turn is anything; what pydantic says of it is never shown."""
    inner, steps = policy, []
    while isinstance(inner, dict | list) and inner and data.draw(st.integers(0, 9)) < 8:
        keys = list(inner) if isinstance(inner, dict) else range(len(inner))
        steps.append(data.draw(st.sampled_from(keys)))
        outer, inner = inner, inner[steps[-1]]
    if not steps:
        return
    outer[steps[-1]] = data.draw(_ANYTHING)
    document = data.draw(written(policy))
    try:
        _read(folder, document.text)
    except PolicyError as error:
        said = str(error)
        assert re.search(r"policy\.toml, line \d+: ", said)
        assert "\n" not in said
        assert len(said) < 800
        assert not re.search(r"[Ii]nput|valid|instance|validation|something else", said), said


def _found(**changes: Any) -> Report:
    return whole(tensor("a"), tensor("b"), graph={"a": ["image"], "b": ["a"]}, **changes)


RULES = """\
[[rule]]
name = "one"
role = "all"
max = { rank = 64 }

[[rule]]           # 6
name = "two"
%s
max = { rank = 64 }
"""


@pytest.mark.parametrize(
    ("selector", "line", "sentence"),
    [
        ("tensors = 'c'", 6, "rule 'two' matches no tensor of the model, and is not optional"),
        ("op_types = 'c'", 6, "rule 'two' matches no tensor of the model, and is not optional"),
        ("after = [\n'a',\n'c']", 10, "rule 'two' names the cut 'c', which the model has not"),
        ("after = 'c'", 8, "rule 'two' names the cut 'c', which the model has not"),
        ("together = [\n'a',\n'c']", 10, "rule 'two' releases 'c', which the model has not"),
    ],
)
def test_what_does_not_fit_the_model_is_answered_with_the_line(
    selector: str, line: int, sentence: str, tmp_path: Path
) -> None:
    file = _read(tmp_path, RULES % selector)
    with pytest.raises(PolicyError) as raised:
        judge(_found(), file, TODAY)
    assert f"policy.toml, line {line}: {sentence}" in str(raised.value)


def test_a_report_that_tells_no_graph_is_answered_with_the_line(tmp_path: Path) -> None:
    file = _read(tmp_path, RULES % "after = 'a'")
    with pytest.raises(PolicyError, match="line 8: rule 'two' asks what comes after a cut"):
        judge(whole(tensor("a")), file, TODAY)


def test_notes_name_the_line(tmp_path: Path) -> None:
    waivers = """
[[waiver]]         # 12
rule = "one"
reason = "x"
expires = 2020-01-01
[[waiver]]         # 16
rule = "one"
reason = "x"
expires = 2027-01-01
"""
    file = _read(tmp_path, RULES % "tensors = ['a',\n'c*']" + waivers)
    source = f"{tmp_path / 'policy.toml'}"
    assert file.source == source
    assert judge(_found(), file, TODAY).notes == [
        "the waiver of 'one' on line 12 ended on 2020-01-01",
        "rule 'two' names 'c*' on line 9, which is no tensor of the model",
        "the waiver of 'one' on line 16 until 2027-01-01 was not needed",
    ]
