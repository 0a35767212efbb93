"""Policies that onnxprobe ships, as TOML."""
