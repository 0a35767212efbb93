"""``compare``, ``track`` and ``verify`` as a user meets them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from onnxprobe.record import RankLevels, Report
from onnxprobe.report.formats import render_json
from tests.analysis import networks
from tests.reports import report, tensor
from tests.trust.inside import run_inside

FAST = ["--samples", "1", "--data-limit", "16", "--device", "cpu"]


@pytest.fixture
def linear(tmp_path: Path) -> str:
    path = tmp_path / "linear.onnx"
    onnx.save(networks.linear(), path)
    return str(path)


def _saved(found: Report, path: Path) -> str:
    path.write_bytes(render_json(found))
    return str(path)


def _fewer() -> Report:
    base = tensor()
    assert base.jacobian is not None
    rank = RankLevels(min=1, median=2, max=3)
    changed = base.jacobian.model_copy(update={"rank": rank})
    return report(base.model_copy(update={"jacobian": changed}))


def test_what_changed_is_shown(tmp_path: Path) -> None:
    one = _saved(report(tensor()), tmp_path / "one.json")
    other = _saved(_fewer(), tmp_path / "other.json")
    out = tmp_path / "out.json"
    code, said = run_inside(["compare", one, other, "-o", str(out)])
    assert code == 0
    assert said == (
        "model.onnx → model.onnx\n\n"
        "tensor  measure     before   after  change\n"
        "relu    rank            64       3  -95.3%\n"
        "relu    rank_share       1  0.0469  -95.3%\n\n"
        "1 tensor is in both; 2 significant differences, 0 that noise or unseen directions "
        "explain.\n"
    )
    assert json.loads(out.read_text())["differences"][0]["measure"] == "rank"
    assert run_inside(["compare", one, other, "--exit-code", "-q"]) == (1, "")
    assert run_inside(["compare", one, one, "--exit-code", "-q"]) == (0, "")


def test_models_are_compared_as_well(linear: str) -> None:
    code, said = run_inside(["compare", linear, linear, *FAST])
    assert code == 0
    assert "0 significant differences, 0 that noise" in said


def test_a_training_is_followed(linear: str, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    code, said = run_inside(["track", linear, linear, *FAST, "-o", str(out)])
    assert code == 0
    assert said.startswith("2 checkpoints, linear.onnx → linear.onnx\n")
    assert "CV: standard deviation over mean" in said
    found = json.loads(out.read_text())
    assert {each["cv"] for each in found["series"]} <= {0.0, None}
    code, said = run_inside(["track", linear])
    assert (code, said) == (
        2,
        "onnxprobe: give two checkpoints or more, in the order of training\n",
    )


def test_a_report_is_verified(linear: str, tmp_path: Path) -> None:
    saved = str(tmp_path / "r.json")
    assert run_inside(["analyze", linear, *FAST, "-q", "-o", saved])[0] == 0
    assert run_inside(["verify", saved, linear]) == (0, "Confirmed byte for byte.\n")
    content = json.loads(Path(saved).read_text())
    content["tensors"][0]["jacobian"]["rank"]["max"] += 1
    Path(saved).write_text(json.dumps(content))
    code, said = run_inside(["verify", saved, linear])
    assert code == 1
    assert said.startswith("Not confirmed:\n  rank of ")
    other = tmp_path / "other.onnx"
    onnx.save(networks.deep(layers=2, width=8), other)
    code, said = run_inside(["verify", saved, str(other)])
    assert code == 1
    assert "is another file than the report's" in said


def test_members_are_part_of_what_is_verified(linear: str, tmp_path: Path) -> None:
    saved = str(tmp_path / "r.json")
    rng = np.random.default_rng(0)
    for name in ("in", "out", "other"):
        np.save(tmp_path / f"{name}.npy", rng.normal(size=(20, 12)).astype(np.float32))
    given = ["--members", str(tmp_path / "in.npy"), "--non-members", str(tmp_path / "out.npy")]
    assert run_inside(["analyze", linear, *FAST, *given, "-q", "-o", saved])[0] == 0
    assert run_inside(["verify", saved, linear, *given]) == (0, "Confirmed byte for byte.\n")
    for wrong in ([], [*given[:3], str(tmp_path / "other.npy")]):
        code, said = run_inside(["verify", saved, linear, *wrong])
        assert code == 1
        assert "members and non-members are others than those of the report" in said
    code, said = run_inside(["verify", saved, linear, *given[:2]])
    assert code == 2
    assert said.startswith("onnxprobe: membership needs both: --members, which the model was")


def test_a_report_does_not_decide_what_its_verification_may_reach(
    linear: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may come from anybody."""
    from onnxprobe.analysis import conductor
    from onnxprobe.analysis.configuration import Configuration, default_memory_bytes

    saved = tmp_path / "r.json"
    assert run_inside(["analyze", linear, *FAST, "-q", "-o", str(saved)])[0] == 0
    content = json.loads(saved.read_text())
    content["run"]["configuration"] |= {
        "allow_links": True, "memory_bytes": 2**59, "timeout_s": 1e8, "unit_timeout_s": 1e8,
    }  # fmt: skip
    saved.write_text(json.dumps(content))
    asked: list[Configuration] = []
    real = conductor.conduct

    def noted(
        model: Any, data: Any, configuration: Configuration, *rest: Any, **further: Any
    ) -> Any:
        asked.append(configuration)
        return real(model, data, configuration, *rest, **further)

    monkeypatch.setattr(conductor, "conduct", noted)
    assert run_inside(["verify", str(saved), linear]) == (0, "Confirmed byte for byte.\n")
    allowed = ["verify", str(saved), linear, "--allow-linked-data", "--timeout", "99"]
    assert run_inside(allowed)[0] == 0
    first, second = asked
    assert not first.allow_links
    assert (first.timeout_s, first.unit_timeout_s) == (None, None)
    assert first.memory_bytes == default_memory_bytes()
    assert second.allow_links
    assert second.timeout_s == 99.0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["compare", "none.json", "none.json"], "the report none.json cannot be read"),
        (["compare", "none.onnx", "none.onnx"], "does not exist; give the path of an .onnx file"),
        (["verify", "none.json", "none.onnx"], "the report none.json cannot be read"),
    ],
)
def test_what_is_missing_is_said(arguments: list[str], sentence: str) -> None:
    code, said = run_inside(arguments)
    assert code in {2, 3}
    assert sentence in said
    assert said.count("\n") == 1
