"""Third-party models and pictures beside the checkout: used where they are, never copied."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"

needs_corpus = pytest.mark.skipif(
    not (SHARED / "corpus" / "index.json").exists(),
    reason=f"there is no corpus of third-party models at {SHARED.name}/corpus beside the checkout",
)
needs_data = pytest.mark.skipif(
    not (SHARED / "data").exists(),
    reason=f"there are no third-party pictures at {SHARED.name}/data beside the checkout",
)


def corpus() -> list[dict[str, Any]]:
    """The entries of the corpus's index; none where it is absent."""
    index = SHARED / "corpus" / "index.json"
    entries: list[dict[str, Any]] = (
        json.loads(index.read_text())["models"] if index.exists() else []
    )
    return entries


def accuracy_options() -> dict[str, dict[str, Any]]:
    """Image options by classifier, as `scripts/corpus` uses them."""
    return tomllib.loads((ROOT / "scripts" / "corpus_options.toml").read_text())
