"""``onnxprobe split`` as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
from onnx import ModelProto

from tests.graph import split_networks
from tests.trust.inside import run_inside

FAST = ["--samples", "1", "--data-limit", "16", "--device", "cpu"]


def _saved(proto: ModelProto, folder: Path) -> str:
    path = folder / "model.onnx"
    onnx.save(proto, path)
    return str(path)


def test_the_cuts_of_a_u_shaped_network(tmp_path: Path) -> None:
    """Below the first level everything passes two tensors, measured as one release."""
    out = tmp_path / "cuts.json"
    path = _saved(split_networks.forked(), tmp_path)
    code, said = run_inside(["split", path, *FAST, "-o", str(out), "-v"])
    assert code == 0, said
    found = json.loads(out.read_text())
    cuts = {" ".join(each["tensors"]): each for each in found["cuts"]}
    assert list(cuts) == ["e0", "p skip", "e1 skip", "skip u", "j", "y"]
    joint = cuts["e1 skip"]
    assert joint["bytes"] == 4 * (16 + 32)
    assert joint["rank_share"] == 1.0
    assert joint["macs_before"] == 288 + 288
    assert not found["uncounted"]
    assert "cuts, " in said


@pytest.mark.parametrize(("limit", "expected"), [("10", 1), ("1G", 0)])
def test_no_cut_within_the_limits_is_an_exit_code(
    limit: str, expected: int, tmp_path: Path
) -> None:
    path = _saved(split_networks.forked(), tmp_path)
    code, said = run_inside(["split", path, *FAST, "--max-bytes", limit])
    assert code == expected, said
    assert ("0 within the limits" in said) == bool(expected)


def test_a_gemm_that_reads_an_input_is_counted(tmp_path: Path) -> None:
    model, out = Path(__file__).parents[2] / "models" / "digits_net_jax.onnx", tmp_path / "c.json"
    code, said = run_inside(["split", str(model), *FAST, "-o", str(out)])
    assert code == 0, said
    cuts = json.loads(out.read_text())["cuts"]
    # 64 pixels, each weighed for every hidden value.
    assert all(cut["macs_before"] is not None for cut in cuts)
    assert min(cut["macs_before"] for cut in cuts if cut["macs_before"]) % 64 == 0


def test_a_named_cut_takes_no_limits(tmp_path: Path) -> None:
    path = _saved(split_networks.forked(), tmp_path)
    code, said = run_inside([
        "split", path, "--at", "e1,skip", "--max-bytes", "1", "-o", str(tmp_path / "halves"),
    ])  # fmt: skip
    assert code == 2
    assert "limits choose among cuts; --at names one" in said
    assert not (tmp_path / "halves").exists()


def test_the_halves_are_written_and_proved(tmp_path: Path) -> None:
    path, folder = _saved(split_networks.forked(), tmp_path), tmp_path / "halves"
    arguments = ["split", path, *FAST, "--at", "e1,skip", "-o", str(folder)]
    code, said = run_inside(arguments)
    assert code == 0, said
    assert said.endswith("e1, skip is sent; equal to the whole bit for bit on 8 samples\n")
    assert sorted(each.name for each in folder.iterdir()) == ["back.onnx", "front.onnx"]
    back = onnx.load(folder / "back.onnx")
    assert [each.name for each in back.graph.input] == ["e1", "skip"]
    # Writing them again replaces them.
    assert run_inside(arguments)[0] == 0


def test_external_data_is_read_and_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "front.onnx"
    onnx.save(
        split_networks.residual(), path, save_as_external_data=True, location="w.data",
        size_threshold=0,
    )  # fmt: skip
    folder = tmp_path / "halves"
    code, said = run_inside(["split", str(path), *FAST, "--at", "a0", "-o", str(folder)])
    assert code == 0, said
    before = path.read_bytes()
    code, said = run_inside(["split", str(path), *FAST, "--at", "a0", "-o", str(tmp_path)])
    assert code == 2
    assert "is a file that this command reads" in said
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--at", "e1,skip"], "--at writes two files: name a folder for them with -o"),
        (["--at", "e1", "-o", "h"], "e1 is no cut of the model: what follows also needs its input"),
        (["--at", "nothing", "-o", "h"], "names 'nothing', which no node of the model computes"),
        (["--max-macs", "many"], "'many' is no number"),
        (["--max-recoverable", "2"], "2.0 is not in the range"),
        (["--at", "j", "-o", "model.onnx"], "model.onnx is a file; name a folder"),
    ],
)
def test_bad_input_is_one_sentence(
    arguments: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = _saved(split_networks.forked(), tmp_path)
    code, said = run_inside(["split", path, *FAST, *arguments])
    assert code == 2
    assert sentence in said
    assert not [*tmp_path.glob("h/*")]
