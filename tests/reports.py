"""Reports made by hand, for the rooms that only read them."""

from __future__ import annotations

from typing import Any

from onnxprobe.record import (
    ActivationRecord,
    CohortRecord,
    Coverage,
    DataRecord,
    DofRecord,
    ExecutionRecord,
    FileRecord,
    InputRecord,
    JacobianRecord,
    JacobianSample,
    Levels,
    ModelRecord,
    Omission,
    PriorRecord,
    RankLevels,
    ReleaseRecord,
    Report,
    RunRecord,
    Share,
    SourceRecord,
    TensorRecord,
)

#: Members and non-members of some model.
COHORTS = CohortRecord(
    members=200,
    non_members=120,
    members_digest="a" * 64,
    non_members_digest="b" * 64,
    jacobian_members=128,
    jacobian_non_members=120,
    directions=64,
)


def tensor(name: str = "relu", **changes: Any) -> TensorRecord:
    """A convolution's output that was measured completely."""
    record = TensorRecord(
        name=name,
        op_type="Relu",
        node="node_relu",
        dtype="float32",
        shape=[1, 16, 8, 8],
        batch_axis=0,
        is_output=False,
        status="ok",
        activations=ActivationRecord(rms=0.5, max_abs=3.0, non_finite=0),
        dof=DofRecord(value=21.34, ceiling=499, share=0.84, status="ok", samples=500),
        jacobian=JacobianRecord(
            method="finite differences",
            inputs=64,
            outputs=1024,
            complete=True,
            directions=64,
            status="ok",
            rank=RankLevels(min=60, median=62.5, max=64),
            rank_at={"1e-2": RankLevels(min=50, median=51, max=52)},
            share=0.98,
            stable_rank=Levels(min=3.0, median=3.14159, max=4.0),
            samples=[JacobianSample(sample=0, status="ok", rank=62)],
        ),
        release=[
            ReleaseRecord(noise="0.1", s=0.1, recoverable=Share(low=0.37, high=0.62), attained=0.3),
            ReleaseRecord(
                noise="int8", s=0.01, recoverable=Share(low=0.995, high=0.999), attained=0.9
            ),
        ],
        noise_for={"0.05": 4.2},
    )
    return record.model_copy(update=changes)


def report(*tensors: TensorRecord, **changes: Any) -> Report:
    """A report of some tensors."""
    made = Report(
        model=ModelRecord(
            name="model.onnx",
            files=[FileRecord(name="model.onnx", sha256="ab" * 32, size_bytes=1234)],
            producer="pytorch 2.13.0",
            ir_version=10,
            opsets={"ai.onnx": 18},
            inputs=[
                InputRecord(
                    name="image",
                    dtype="float32",
                    declared_shape=["batch", 1, 8, 8],
                    sample_shape=[1, 8, 8],
                    batch_axis=0,
                )
            ],
            outputs=["logits"],
            nodes=3,
            local_functions=0,
            random_nodes=[],
        ),
        data=DataRecord(synthetic=False, samples=500, digest="cd" * 32, jacobian_samples=[0, 250]),
        source=SourceRecord(names=["image"], size=64, chosen="the float input"),
        prior=PriorRecord(kind="data", variance=0.1, directions=64, share=1.0, held_out_share=0.95),
        execution=ExecutionRecord(
            provider="CPUExecutionProvider",
            provider_reason="chosen by --device cpu",
            provider_options={},
            optimised_chunks=1,
            plain_chunks=0,
            batched_tensors=3,
            single_tensors=0,
        ),
        tensors=list(tensors),
        coverage=Coverage(
            tensors=len(tensors) + 3,
            analysed=len(tensors),
            skipped=[
                Omission(name="shape", reason="constant: no input reaches it"),
                Omission(name="cast", reason="constant: no input reaches it"),
                Omission(name="loop/body", reason="not exposed: control flow"),
            ],
            failed=[],
        ),
        assumptions=["dimension 'seq' of input 'ids' is taken as 16"],
        run=RunRecord(
            configuration={"noise": ["0.1", "int8"]},
            versions={"onnxprobe": "0.1.0"},
            paths={"model": "model.onnx"},
            started="2026-01-01T00:00:00+00:00",
            elapsed_s=1.5,
        ),
    )
    return made.model_copy(update=changes)
