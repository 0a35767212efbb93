"""Which data feeds which input."""

from __future__ import annotations

import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from onnxprobe.errors import DataError
from onnxprobe.inputs.archives import open_npz
from onnxprobe.inputs.arrays import ArraySource, MemoryArray, open_npy
from onnxprobe.inputs.files import title_of
from onnxprobe.inputs.geometry import find_geometry
from onnxprobe.inputs.intake import Source
from onnxprobe.inputs.pictures import ENDINGS, PictureFolder, open_pictures
from onnxprobe.inputs.slots import OpenSlot
from onnxprobe.inputs.wording import listed
from onnxprobe.types import Array

__all__ = ["Assignment", "Data", "Given", "Labelled", "assign_data"]

Given: TypeAlias = Array | Path | str
"""An array, or the path of an ``.npy`` or ``.npz`` file, a picture, or a folder of pictures."""


@dataclass(frozen=True)
class Labelled:
    """Samples with classes that are kept elsewhere.

    Attributes:
        data: The samples.
        labels: An array of whole numbers, one per sample, or the path of an ``.npy`` file or of
            an ``.npz`` file with a member ``labels`` or ``y``.
    """

    data: Given | Mapping[Any, Given]
    labels: Given


_Bare: TypeAlias = Given | Mapping[Any, Given] | None
Data: TypeAlias = _Bare | Labelled
"""Data for the only input, data by input name (``None`` for data that names none), or no data."""

_LABELS = ("labels", "y")


@dataclass
class Assignment:
    """Data for the inputs that have some.

    Attributes:
        sources: By input name.
        labels: The class of each sample, where an archive holds them.
        notes: What was left aside.
    """

    sources: dict[str, Source] = field(default_factory=dict)
    labels: ArraySource | None = None
    notes: list[str] = field(default_factory=list)

    def feed(self, name: str, source: Source, slots: Sequence[OpenSlot]) -> None:
        """Note which input a source feeds.

        Args:
            name: The input.
            source: Its data.
            slots: All inputs.

        Raises:
            DataError: If the model has no such input, or it is fed already.
        """
        if name not in {slot.name for slot in slots}:
            raise DataError(
                f"{source.label} is given for {name!r}, which is no input of the model; "
                f"its inputs are {listed(slot.name for slot in slots)}"
            )
        if name in self.sources:
            raise DataError(
                f"{source.label} is given for input {name!r}, which {self.sources[name].label} "
                "feeds already; leave one of them out"
            )
        self.sources[name] = source


def assign_data(data: Data, slots: Sequence[OpenSlot]) -> Assignment:
    """Find out which data feeds which input.

    Data that names its input feeds that one. Members of an archive name theirs by their keys; if no
    key is an input, ``images`` is the data, or the only array of uint8, or the only array; members
    called ``labels`` or ``y`` hold classes. Data that names nothing feeds the only input left, or
    the only one shaped like pictures.

    Args:
        data: What the user gives.
        slots: The inputs.

    Returns:
        The data of each input; inputs may be left without.

    Raises:
        DataError: If data is unreadable, feeds no input or one that is fed already, or it is
            unclear which.
    """
    if isinstance(data, Labelled):
        found = assign_data(data.data, slots)
        found.labels = _open_labels(data.labels)
        return found
    found = Assignment()
    if members := _members(data, slots):
        _assign_members(found, "data", members, slots)
        return found
    for name, given in _items(data):
        source = _open(given, name)
        if isinstance(source, dict):
            _assign_members(found, str(given), source, slots, name)
        else:
            found.feed(name or _target(found, source, slots), source, slots)
    return found


def _open_labels(given: Given) -> ArraySource:
    if isinstance(given, np.ndarray):
        found: Mapping[str, ArraySource] = {"labels": MemoryArray("the array of labels", given)}
    else:
        opened = _open(given, None)
        if isinstance(opened, PictureFolder):
            raise DataError(f"{opened.label} are pictures; give labels as a .npy or .npz file")
        found = opened if isinstance(opened, dict) else {"labels": opened}
    key = next((each for each in _LABELS if _is_labels(each, found)), None)
    if key is None:
        what = "the array of labels" if isinstance(given, np.ndarray) else str(given)
        raise DataError(
            f"{what} holds no labels; give whole numbers, one for each sample, as an array of one "
            "axis (in an .npz file called 'labels' or 'y')"
        )
    return found[key]


def _members(data: _Bare, slots: Sequence[OpenSlot]) -> dict[str, ArraySource]:
    # Arrays in memory are read like an archive, if their keys mean something in one.
    if not isinstance(data, Mapping):
        return {}
    arrays = {
        name: given
        for name, given in data.items()
        if name is not None and isinstance(given, np.ndarray)
    }
    means = "images" in arrays or any(slot.name in arrays for slot in slots)
    if len(arrays) < len(data) or not means:
        return {}
    return {name: MemoryArray(f"data[{name!r}]", array) for name, array in arrays.items()}


def _items(data: _Bare) -> list[tuple[str | None, Given]]:
    # Data that names its input comes first; the rest feeds what is left.
    if data is None:
        return []
    if not isinstance(data, Mapping):
        return [(None, data)]
    items: list[tuple[str | None, Given]] = list(data.items())
    return sorted(items, key=lambda item: item[0] is None)


def _open(given: Given, name: str | None) -> Source | dict[str, ArraySource]:
    if isinstance(given, np.ndarray):
        return MemoryArray("the array" if name is None else f"the array for {name!r}", given)
    if not isinstance(given, str | Path):
        raise DataError(
            f"data of type {type(given).__name__} was given; expected an array, a path, or a "
            "mapping from input names to these"
        )
    path = Path(given)
    ending = path.suffix.lower()
    if _mode(path, stat.S_ISDIR) or ending in ENDINGS:
        return open_pictures(path)
    if ending == ".npy":
        return open_npy(path)
    if ending == ".npz":
        return dict(open_npz(path))
    is_file = _mode(path, stat.S_ISREG)
    problem = "is of a kind that onnxprobe does not read" if is_file else "does not exist"
    raise DataError(
        f"{path} {problem}; give a .npy or .npz file, a picture, or a folder of pictures"
    )


def _assign_members(
    found: Assignment,
    label: str,
    members: Mapping[str, ArraySource],
    slots: Sequence[OpenSlot],
    target: str | None = None,
) -> None:
    names = [slot.name for slot in slots]
    classes = next((key for key in _LABELS if _is_labels(key, members) and key not in names), None)
    if classes is not None:
        found.labels = members[classes]
    rest = [key for key in members if key != classes]
    named = [key for key in rest if key in names]
    if target is not None or not named:
        key = target if target in rest else _main(rest, members, label)
        found.feed(target or _target(found, members[key], slots), members[key], slots)
        rest.remove(key)
    else:
        for key in named:
            found.feed(key, members[key], slots)
            rest.remove(key)
        missing = [name for name in names if name not in found.sources]
        if missing and rest:
            raise DataError(
                f"{label} holds {listed(rest)}, no input of the model, and nothing for input "
                f"{listed(missing)}; rename that array, or leave it out"
            )
    if rest:
        title = label if label == "data" else title_of(Path(label))
        found.notes.append(f"{title} also holds {listed(rest)}, left aside")


def _is_labels(key: str, members: Mapping[str, ArraySource]) -> bool:
    return key in members and members[key].dtype.kind in "iu" and len(members[key].shape) == 1


def _main(keys: Sequence[str], members: Mapping[str, ArraySource], label: str) -> str:
    if "images" in keys:
        return "images"
    pixels = [key for key in keys if members[key].dtype == np.uint8]
    for candidates in (pixels, keys):
        if len(candidates) == 1:
            return candidates[0]
    raise DataError(
        f"{label} holds {listed(members)}, and none is the name of an input or 'images'; "
        "name the array after the input it feeds"
    )


def _target(found: Assignment, source: Source, slots: Sequence[OpenSlot]) -> str:
    left = [slot for slot in slots if slot.name not in found.sources]
    if len(left) > 1 and (isinstance(source, PictureFolder) or source.dtype == np.uint8):
        shaped = [slot for slot in left if _takes_pictures(slot)]
        left = shaped if len(shaped) == 1 else left
    if not left:
        raise DataError(
            f"{source.label} feeds no input: "
            + ("all have data already" if slots else "the model takes none")
            + "; leave it out"
        )
    if len(left) > 1:
        raise DataError(
            f"{source.label} feeds one input, but the model has {listed(s.name for s in left)}; "
            "say which with --data NAME=PATH"
        )
    return left[0].name


def _takes_pictures(slot: OpenSlot) -> bool:
    geometry = None if slot.dims is None else find_geometry(slot.dims, "auto")
    return geometry is not None and geometry.is_certain


def _mode(path: Path, test: Callable[[int], bool]) -> bool:
    """Test what is at a path; names that no system allows are not there."""
    try:
        return test(path.stat().st_mode)
    except (OSError, ValueError):
        return False
