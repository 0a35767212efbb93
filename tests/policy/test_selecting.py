"""Which tensors a rule is for, and what becomes of those without figures."""

from __future__ import annotations

import time
from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxprobe.errors import PolicyError
from onnxprobe.policy import Judgement, Policy, PolicyFile, judge
from onnxprobe.policy.selecting import matching
from onnxprobe.record import (
    Coverage,
    JointRecord,
    Omission,
    Report,
)
from tests.policy.judgements import TODAY, changed, policy, verdict, whole
from tests.reports import report, tensor


def test_a_tensor_that_was_left_out_counts_for_its_operator() -> None:
    for operator, expected in (("Gemm", "inconclusive"), ("", "inconclusive"), ("Conv", "pass")):
        skipped = [Omission(name="left", reason="left out by --exclude", op_type=operator)]
        coverage = Coverage(tensors=2, analysed=1, skipped=skipped, failed=[])
        found = whole(tensor(op_type="Gemm"), coverage=coverage)
        rule = {"name": "r", "op_types": ["Gemm"], "max": {"rank": 64}}
        file = PolicyFile(Policy.model_validate({"rule": [rule]}), "p", "ef" * 32)
        assert judge(found, file, TODAY).verdict == expected


def test_an_output_that_no_node_computes_is_inconclusive() -> None:
    """Such as an input that is handed through."""
    model = report().model.model_copy(update={"outputs": ["relu", "image"]})
    found = whole(tensor(), model=model)
    judgement = judge(found, policy({"role": "output", "max": {"rank": 64}}), TODAY)
    assert judgement.verdict == "inconclusive"
    assert judgement.rules[0].findings[0].tensor == "image"


def test_an_output_that_no_node_computes_is_selected_like_any_other() -> None:
    model = report().model.model_copy(update={"outputs": ["relu", "image"]})
    found = whole(tensor(), model=model, graph={"relu": ["image"]})

    def unknown(**rule: Any) -> list[str]:
        judgement = judge(found, policy({"role": "output", "max": {"rank": 64}} | rule), TODAY)
        return [finding.tensor for finding in judgement.rules[0].findings]

    assert unknown(tensors=["*"]) == ["image"]
    assert unknown(tensors=["image"]) == ["image"]
    assert unknown(tensors=["relu"]) == []
    assert unknown(exclude=["im*"]) == []
    assert unknown(after=["image"]) == ["image"]
    assert unknown(after=["relu"]) == []


def test_tensors_are_selected_by_name_glob_operator_role_and_cut() -> None:
    names = ["/a/b/conv", "a[0]", "a0", "logits"]
    graph = {
        "/a/b/conv": ["image"],
        "a[0]": ["/a/b/conv"],
        "a0": ["image"],
        "logits": ["a[0]", "a0"],
    }
    tensors = [tensor(name, op_type=f"Op{n}") for n, name in enumerate(names)]
    found = whole(*tensors, graph=graph)

    def chosen(**rule: Any) -> list[str]:
        named = {"name": "r", "max": {"rank": 64}} | rule
        document = {"rule": [named]}
        file = PolicyFile(Policy.model_validate(document), "p", "ef" * 32)
        return judge(found, file, TODAY).rules[0].tensors

    assert chosen(tensors=["a[0]"]) == ["a[0]"]
    assert chosen(tensors=["a[0-9]"]) == ["a0"]
    assert chosen(tensors=["/a*conv"]) == ["/a/b/conv"]
    assert chosen(op_types=["Op[12]"]) == ["a[0]", "a0"]
    assert chosen(role="output") == ["logits"]
    assert chosen(role="all") == names
    assert chosen(role="all", exclude=["a*"]) == ["/a/b/conv", "logits"]
    assert chosen(after=["a[0]"]) == ["a[0]", "logits"]
    assert chosen(after=["image"]) == names
    assert chosen(after=["a0"], tensors=["log*"]) == ["logits"]


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ({"tensors": "rleu"}, r"matches no tensor of the model \(did you mean 'relu'\?\)"),
        # Names that are very long are not compared with others.
        ({"tensors": 201 * "x"}, "matches no tensor of the model, and is not optional"),
        ({"op_types": "Gemm"}, "matches no tensor of the model, and is not optional"),
        ({"after": "rleu"}, r"names the cut 'rleu', which the model has not \(did you mean"),
    ],
)
def test_a_rule_that_matches_nothing_is_an_error(rule: dict[str, Any], sentence: str) -> None:
    found = whole(tensor(), graph={"relu": ["image"]})
    with pytest.raises(PolicyError, match=sentence):
        verdict(found, {"max": {"rank": 1}} | rule)
    optional = {"max": {"rank": 1}, "optional": True} | rule
    assert verdict(found, optional) == "not applicable"


@pytest.mark.parametrize("key", ["tensors", "after"])
def test_a_name_that_the_model_has_not_is_noted_where_others_match(key: str) -> None:
    found = whole(tensor(), graph={"relu": ["image"]})
    rule = {key: ["relu", "gone", "/gone/*"], "max": {"rank": 64}, "optional": True}
    judgement = judge(found, policy(rule), TODAY)
    assert judgement.verdict == "pass"
    assert judgement.notes == [
        "rule 'rule 0' names 'gone', which is no tensor of the model",
        "rule 'rule 0' names '/gone/*', which is no tensor of the model",
    ]


def test_a_misspelt_name_guards_nothing_and_is_an_error_unless_it_is_optional() -> None:
    found = whole(tensor(), graph={"relu": ["image"]})
    rule = {"tensors": ["relu", "rleu"], "max": {"rank": 64}}
    with pytest.raises(PolicyError, match=r"names 'rleu', .* \(did you mean 'relu'\?\)"):
        verdict(found, rule)
    # A glob may be for other models.
    globs = rule | {"tensors": ["relu", "/gone/*"]}
    judgement = judge(found, policy(globs), TODAY)
    assert (judgement.verdict, len(judgement.notes)) == ("pass", 1)


def test_what_is_excluded_in_vain_is_noted() -> None:
    rule = {"exclude": ["rleu"], "max": {"rank": 64}}
    judgement = judge(whole(tensor()), policy(rule), TODAY)
    assert judgement.verdict == "pass"
    assert judgement.notes == ["rule 'rule 0' names 'rleu', which is no tensor of the model"]


_GLOBS = st.text("ab*?[]!-\\^", max_size=9)


@settings(deadline=None)
@given(_GLOBS, st.lists(st.text("ab[]!-\\^*", max_size=4)))
def test_globs_are_those_of_fnmatch(pattern: str, names: list[str]) -> None:
    slow = {pattern} if pattern in names else {each for each in names if fnmatchcase(each, pattern)}
    assert matching([pattern], names) == slow


@pytest.mark.parametrize("pattern", ["[", "[]", "[!", "[a-", "*a", "[a]"])
def test_a_hostile_glob_takes_less_than_a_second(pattern: str) -> None:
    """For 20,000 brackets that nothing closes, fnmatch takes 9 s."""
    begin = time.process_time()
    assert matching([pattern * (20_000 // len(pattern))], ["a" * 1000]) == set()
    assert time.process_time() - begin < 1


def test_a_cut_needs_a_report_that_knows_the_graph() -> None:
    with pytest.raises(PolicyError, match="this report does not tell; analyse the model again"):
        verdict(whole(tensor()), {"after": "relu", "max": {"rank": 1}})


def test_a_joint_release_is_judged_as_a_whole() -> None:
    joint = JointRecord(tensors=["a", "b"], record=tensor("onnxprobe@joint1"))
    found = whole(tensor("a"), tensor("b"), together=[joint], graph={"a": [], "b": []})

    def judged(found: Report, *names: str, rank: int = 64) -> Judgement:
        rule = {"name": "r", "together": list(names), "max": {"rank": rank}}
        file = PolicyFile(Policy.model_validate({"rule": [rule]}), "p", "ef" * 32)
        return judge(found, file, TODAY)

    assert judged(found, "b", "a").verdict == "pass"
    assert judged(found, "a", "b", rank=63).rules[0].findings[0].tensor == "a + b"
    skipped = Coverage(tensors=2, analysed=1, skipped=[Omission(name="b", reason="x")], failed=[])
    left_out = whole(tensor("a"), coverage=skipped)
    assert judged(left_out, "a", "b").rules[0].findings[0].reason == "b was not analysed"
    missing = judged(found.model_copy(update={"together": []}), "a", "b")
    assert missing.verdict == "inconclusive"
    assert "--together adds it" in missing.rules[0].findings[0].reason
    silent = whole(changed("a", status="piecewise constant"), tensor("b"), together=[joint])
    assert judged(silent, "a", "b").verdict == "inconclusive"
    with pytest.raises(PolicyError, match="releases 'c', which the model has not"):
        judged(found, "a", "c")
    absent = {"together": ["a", "c"], "max": {"rank": 1}, "optional": True, "role": None}
    assert judge(found, policy(absent), TODAY).verdict == "not applicable"
    # A part without figures says nothing, and a baseline is that of the same release.
    part = whole(tensor("a"), together=[joint], graph={"a": [], "b": []})
    assert judged(part, "a", "b").verdict == "inconclusive"
    rule = {"name": "r", "together": ["a", "b"], "max": {"rank": 1}}
    file = PolicyFile(Policy.model_validate({"rule": [rule]}), "p", "ef" * 32)
    assert judge(found, file, TODAY, found).verdict == "warn"
    waiver = {"rule": "r", "tensors": ["a + b"], "reason": "known", "expires": TODAY}
    document = {"rule": [rule], "waiver": [waiver]}
    waived = PolicyFile(Policy.model_validate(document), "p", "ef" * 32)
    assert (judge(found, waived, TODAY).verdict, judge(found, waived, TODAY).notes) == ("warn", [])
    other = whole(tensor("a"), tensor("b"), tensor("a + b"), graph={"a": [], "b": []})
    assert judge(found, file, TODAY, other).verdict == "fail"
