"""Heat-maps through Model Explorer's own classes, on the graphs that its ONNX adapter makes."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import onnx
import pytest

import onnxprobe
from onnxprobe.report.heatmap import render_heatmap
from tests.graph.models import model, node, value
from tests.shared import ROOT
from tests.trust.test_names import PAYLOADS

pytestmark = [
    pytest.mark.extended,
    pytest.mark.skipif(
        importlib.util.find_spec("model_explorer_onnx") is None,
        reason="Model Explorer is not installed; pip install ai-edge-model-explorer==0.1.34 "
        "model-explorer-onnx==0.4.2",
    ),
]

FAST: dict[str, Any] = {"samples": 1, "directions": 8, "data_limit": 16, "device": "cpu"}


def _nodes(path: Path) -> set[str]:
    """What the viewer calls the nodes of the main graph."""
    from model_explorer_onnx.main import ONNXAdapter

    graph = ONNXAdapter().convert(str(path), {})["graphs"][0]
    return {each.id for each in graph.nodes}


def _accept(document: dict[str, Any], path: Path) -> None:
    """Build the viewer's own objects of a document; what they save must hold all of it."""
    from model_explorer import node_data_builder as theirs

    data = theirs.GraphNodeData(
        name=document["name"],
        results={key: theirs.NodeDataResult(**each) for key, each in document["results"].items()},
        thresholds=[theirs.ThresholdItem(**each) for each in document["thresholds"]],
    )
    data.save_to_file(str(path))
    saved = json.loads(path.read_text())
    assert {key: saved[key] for key in document} == document
    # The rest is what they write of everything that was not asked for.
    assert not any(saved[key] for key in saved.keys() - document.keys())
    theirs.ModelNodeData(graphsData={"a graph": data}).save_to_file(str(path))
    assert json.loads(path.read_text()) == {"a graph": saved}


@pytest.mark.parametrize("path", sorted((ROOT / "models").glob("*.onnx")), ids=lambda p: p.stem)
def test_every_value_lies_on_a_node_of_the_viewer(path: Path, tmp_path: Path) -> None:
    found = onnxprobe.analyze(path, **FAST)
    document = json.loads(render_heatmap(found))
    assert document["results"]
    assert document["results"].keys() <= _nodes(path)
    _accept(document, tmp_path / "theirs.json")


@pytest.mark.parametrize("name", PAYLOADS.values(), ids=PAYLOADS)
def test_hostile_names_of_nodes_lie_on_them_too(name: str, tmp_path: Path) -> None:
    proto = model([node("Tanh", "x", "y")], [value("x", ["N", 4])], [value("y", ["N", 4])])
    proto.graph.node[0].name = name
    onnx.save(proto, tmp_path / "m.onnx")
    document = json.loads(render_heatmap(onnxprobe.analyze(tmp_path / "m.onnx", **FAST)))
    assert set(document["results"]) == {name}
    assert name in _nodes(tmp_path / "m.onnx")
    _accept(document, tmp_path / "theirs.json")


def test_nodes_without_a_name_are_not_found() -> None:
    """The adapter makes up names that depend on which other nodes have none."""
    proto = model([node("Tanh", "x", "y")], [value("x", ["N", 4])], [value("y", ["N", 4])])
    proto.graph.node[0].name = ""
    document = json.loads(render_heatmap(onnxprobe.analyze(proto, **FAST)))
    assert set(document["results"]) == {"y"}
