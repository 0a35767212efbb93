"""``python -m onnxprobe``."""

from onnxprobe.cli.main import main

main()
