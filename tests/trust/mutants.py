"""Mutants of thousands of small models, through the command's own path."""

from __future__ import annotations

import json
import random
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import onnx
from onnx import ModelProto
from onnx.backend.test.case.node import collect_testcases

from tests.graph.mutants import mutate
from tests.trust.command import DOCUMENTED, run

__all__ = ["mutants", "try_fresh", "try_mutants"]

MODELS = Path(__file__).resolve().parents[2] / "models"
# Larger seeds take their time to no purpose.
_SEED_BYTES = 100_000
LIMIT_S, GRACE_S = 20.0, 5.0


@cache
def _seeds() -> list[ModelProto]:
    with warnings.catch_warnings():
        # Some cases overflow on purpose.
        warnings.simplefilter("ignore")
        found = [each.model for each in collect_testcases(None) if each.model is not None]
    found += [onnx.load(path) for path in sorted(MODELS.glob("*.onnx"))]
    return [each for each in found if each.ByteSize() <= _SEED_BYTES]


def mutants(count: int, seed: int) -> Iterator[bytes]:
    """Draw mutants; the same for a seed, however many."""
    rng = random.Random(seed)
    seeds = _seeds()
    for _ in range(count):
        base = seeds[rng.randrange(len(seeds))]
        while True:
            try:
                yield mutate(rng, base)
                break
            except (TypeError, ValueError):
                # The change cannot be written down.
                continue


def try_mutants(
    count: int, folder: Path, command: Callable[[list[str]], tuple[int, str]], seed: int = 0
) -> str:
    """Analyse mutants: no crash, hang or traceback, valid JSON every time, all accounted for."""
    path, report = folder / "mutant.onnx", folder / "report.json"
    codes: Counter[int] = Counter()
    slowest, reports = 0.0, 0
    for number, content in enumerate(mutants(count, seed)):
        path.write_bytes(content)
        report.unlink(missing_ok=True)
        start = time.monotonic()
        code, said = command([
            "analyze", str(path), "--samples", "1", "--directions", "4", "--data-limit", "3",
            "--device", "cpu", "--memory", "1GB", "--timeout", str(LIMIT_S), "--unit-timeout", "5",
            "--quiet", "-o", str(report),
        ])  # fmt: skip
        slowest = max(slowest, time.monotonic() - start)
        codes[code] += 1
        told = f"mutant {number} of seed {seed}: {code}: {said}"
        assert code in DOCUMENTED, told
        assert "Traceback" not in said, told
        assert slowest < LIMIT_S + GRACE_S, told
        if report.exists():
            reports += 1
            coverage = json.loads(report.read_text())["coverage"]
            counts = [coverage["analysed"], len(coverage["skipped"]), len(coverage["failed"])]
            assert sum(counts) == coverage["tensors"], told
        assert report.exists() or code != 0, told
    shares = ", ".join(f"{codes[code]} with {code}" for code in sorted(codes))
    return f"{count} mutants: {shares}; {reports} reports; the slowest took {slowest:.1f} s"


def try_fresh(count: int, folder: Path, seed: int = 99) -> str:
    """The same with a process for each, as a user would start them."""

    def run_fresh(arguments: list[str]) -> tuple[int, str]:
        ended = run(arguments, timeout_s=LIMIT_S + 2 * GRACE_S)
        return ended.code, ended.out + ended.err

    return try_mutants(count, folder, run_fresh, seed)
