"""Mutants of thousands of small models, through the command's own path."""

from __future__ import annotations

import json
import random
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

import onnx
from onnx import ModelProto
from onnx.backend.test.case.node import collect_testcases

from onnxprobe.errors import ModelError
from onnxprobe.graph import parse_model
from tests.graph.mutants import mutate
from tests.trust.command import DOCUMENTED, run

__all__ = ["admit_mutants", "try_bytes", "try_fresh", "try_mutants"]

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


def _damaged(count: int, seed: int) -> Iterator[bytes]:
    """Files with some bytes changed, put in or left out; then some cut off after each byte."""
    rng = random.Random(seed)
    whole = [each.SerializeToString() for each in _seeds() if each.ByteSize() < 1000]
    for number in range(count):
        content = bytearray(whole[rng.randrange(len(whole))])
        if number % 2:
            yield bytes(content[: number // 2 % len(content)])
            continue
        for _ in range(rng.choice([1, 1, 2, 4, 16])):
            at = rng.randrange(len(content))
            kind = rng.random()
            if kind < 0.6:
                content[at] = rng.randrange(256)
            elif kind < 0.8:
                content.insert(at, rng.randrange(256))
            elif len(content) > 1:
                del content[at]
        yield bytes(content)


def try_mutants(
    count: int, folder: Path, command: Callable[[list[str]], tuple[int, str]], seed: int = 0
) -> str:
    """Analyse mutants: no crash, hang or traceback, valid JSON every time, all accounted for."""
    return _try_all(mutants(count, seed), folder, command, seed)


def try_bytes(
    count: int, folder: Path, command: Callable[[list[str]], tuple[int, str]], seed: int = 0
) -> str:
    """The same with bytes that are damaged, and with files that are cut off."""
    return _try_all(_damaged(count, seed), folder, command, seed)


def admit_mutants(count: int, seed: int = 7) -> str:
    """The static limits alone, in this process: a model is refused or passed, and at once."""
    refused, slowest = 0, 0.0
    for content in mutants(count, seed):
        start = time.perf_counter()
        try:
            parse_model(content)
        except ModelError:
            refused += 1
        slowest = max(slowest, time.perf_counter() - start)
    # None is larger than 100 kB; the machine may be busy.
    assert slowest < 2.0
    return f"{count} mutants: {refused} refused, the others passed, each in {slowest:.3f} s at most"


def _try_all(
    contents: Iterable[bytes],
    folder: Path,
    command: Callable[[list[str]], tuple[int, str]],
    seed: int,
) -> str:
    path, report = folder / "mutant.onnx", folder / "report.json"
    codes: Counter[int] = Counter()
    slowest, reports = 0.0, 0
    count = 0
    for number, content in enumerate(contents):
        count += 1
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
