"""A verdict as properties of the model in a CycloneDX bill of materials."""

from __future__ import annotations

from datetime import datetime
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6

from onnxprobe.policy import Judgement
from onnxprobe.record import Report
from onnxprobe.report.text import printable, shortened
from onnxprobe.version import __version__

__all__ = ["render_bill"]

_NAME = 200


def render_bill(judgement: Judgement, report: Report) -> bytes:
    """Render a verdict as a CycloneDX bill of materials.

    Args:
        judgement: The verdict.
        report: What was judged.

    Returns:
        UTF-8 JSON of CycloneDX 1.6: the model as a machine learning model with the verdict on each
        rule among its properties, and its external data as files.
    """
    first, others = judgement.files[:1], judgement.files[1:]
    properties = [
        Property(name="onnxprobe:verdict", value=judgement.verdict),
        Property(name="onnxprobe:policy", value=_text(judgement.policy.name)),
        Property(name="onnxprobe:policy:sha256", value=judgement.policy.sha256),
        Property(name="onnxprobe:report:sha256", value=judgement.report),
        Property(name="onnxprobe:complete", value=str(judgement.complete).lower()),
        Property(name="onnxprobe:tensors", value=str(report.coverage.tensors)),
        *(
            Property(name=f"onnxprobe:rule:{number}", value=f"{rule.verdict}: {_text(rule.name)}")
            for number, rule in enumerate(judgement.rules, 1)
        ),
    ]
    model = Component(
        type=ComponentType.MACHINE_LEARNING_MODEL,
        name=_text(report.model.name),
        bom_ref="model",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=each.sha256) for each in first],
        properties=properties,
    )
    files = [
        Component(
            type=ComponentType.FILE,
            name=_text(file.name),
            bom_ref=f"file-{number}",
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=file.sha256)],
        )
        for number, file in enumerate(others, 1)
    ]
    tool = Component(
        type=ComponentType.APPLICATION, name="onnxprobe", version=__version__, bom_ref="onnxprobe"
    )
    bill = Bom(
        components=[model, *files],
        # The same report under the same policy gives the same bill.
        serial_number=uuid5(NAMESPACE_URL, f"{judgement.report} {judgement.policy.sha256}"),
    )
    bill.metadata.timestamp = datetime.fromisoformat(report.run.started)
    bill.metadata.tools.components.add(tool)
    bill.register_dependency(model, files)
    return JsonV1Dot6(bill).output_as_string(indent=1).encode() + b"\n"


def _text(text: str) -> str:
    return shortened(printable(text), _NAME)
