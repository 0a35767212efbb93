"""ONNX Runtime itself, kept from telling anybody what it runs, and from obeying models."""

from __future__ import annotations

import os

__all__ = ["onnxruntime"]

# Read when the library is loaded. Without it, its builds for Linux and macOS give the machine a
# number, store it in the user's cache, and upload events about every session.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
# With it, a model's metadata could choose threads, and files to write profiles to.
os.environ.pop("ORT_LOAD_CONFIG_FROM_MODEL", None)

import onnxruntime

# Where somebody else loaded it before, or a build knows only this.
onnxruntime.disable_telemetry_events()
