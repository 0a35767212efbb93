"""The schema of policies: what reading takes, it takes, and what it knows to be wrong, not."""

from __future__ import annotations

import json
import tomllib
from importlib import resources
from typing import Any

import jsonschema
import pytest

from onnxprobe.policy import shipped_policies
from onnxprobe.policy.schema import policy_schema
from tests.policy.test_language import SMALLEST

VALIDATOR = jsonschema.Draft202012Validator(policy_schema())


def _said(text: str) -> Any:
    """What TOML holds, days as texts."""
    return json.loads(json.dumps(tomllib.loads(text), default=str))


@pytest.mark.parametrize("name", shipped_policies())
def test_shipped_policies_fit(name: str) -> None:
    path = resources.files("onnxprobe.policy.shipped") / f"{name}.toml"
    VALIDATOR.validate(_said(path.read_text()))


def test_the_smallest_policy_and_a_waiver_fit() -> None:
    VALIDATOR.validate(_said(SMALLEST))
    waiver = '[[waiver]]\nrule = "a"\ntensors = "b"\nreason = "c"\nexpires = 2027-01-31\n'
    VALIDATOR.validate(_said(f"{SMALLEST}\n{waiver}"))


@pytest.mark.parametrize(
    ("old", "new"),
    [("rank_share", "rnak_share"), ("severity", "sevreity"), ('"error"', '"fatal"')],
)
def test_what_is_misspelt_does_not_fit(old: str, new: str) -> None:
    assert old in SMALLEST
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate(_said(SMALLEST.replace(old, new)))
