"""Keeps modules that import PyTorch out of the collection of doctests where it is missing."""

from importlib.util import find_spec

collect_ignore = [] if find_spec("torch") else ["torch_graph.py"]
