"""What the package promises as a whole."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re

import pytest

import onnxprobe
from tests.shared import ROOT

MODULES = [
    module.name
    for module in pkgutil.walk_packages(onnxprobe.__path__, "onnxprobe.")
    # These run when they are imported.
    if not module.name.endswith("__main__")
]


@pytest.mark.parametrize("name", MODULES)
def test_all_names_what_is_there(name: str) -> None:
    module = importlib.import_module(name)
    public = getattr(module, "__all__", [])
    assert len(set(public)) == len(public)
    for each in public:
        assert hasattr(module, each), f"{name}.{each}"


@pytest.mark.parametrize("name", MODULES)
def test_what_a_module_defines_for_others_is_in_all(name: str) -> None:
    module = importlib.import_module(name)
    public = set(getattr(module, "__all__", []))
    for each, value in vars(module).items():
        own = getattr(value, "__module__", None) == name
        if (
            own
            and not each.startswith("_")
            and (inspect.isfunction(value) or inspect.isclass(value))
        ):
            assert each in public, f"{name}.{each} is neither private nor in __all__"


def test_the_package_offers_what_it_lists() -> None:
    assert sorted(onnxprobe.__all__) == dir(onnxprobe)
    for name in onnxprobe.__all__:
        assert getattr(onnxprobe, name) is not None
    with pytest.raises(AttributeError, match="module 'onnxprobe' has no attribute 'nothing'"):
        onnxprobe.nothing  # noqa: B018 (the access is what is tested)


def test_the_readme_begins_with_the_two_commands() -> None:
    block = re.search(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert block is not None
    first, second = block[1].splitlines()
    assert first.startswith("pip install . && onnxprobe analyze models/")
    assert second.endswith("&& pytest")


def test_the_typed_marker_is_there() -> None:
    assert (ROOT / "onnxprobe" / "py.typed").exists()


@pytest.mark.parametrize("name", ["onnxprobe", "tests", "scripts"])
def test_no_file_is_longer_than_400_lines(name: str) -> None:
    for path in (ROOT / name).rglob("*.py"):
        assert len(path.read_text().splitlines()) <= 400, path
