"""The rooms as others see them."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import onnxprobe.risk
import onnxprobe.spectrum

ROOMS = [onnxprobe.spectrum, onnxprobe.risk]


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: str(room.__name__))
def test_a_room_offers_exactly_what_its_modules_declare(room: object) -> None:
    path, name = vars(room)["__path__"], vars(room)["__name__"]
    modules = [importlib.import_module(f"{name}.{m.name}") for m in pkgutil.iter_modules(path)]
    declared = sorted(public for module in modules for public in module.__all__)
    offered = vars(room)["__all__"]
    assert sorted(offered) == declared
    for public in offered:
        assert getattr(room, public) is not None
