from __future__ import annotations

from onnxprobe.analysis.conductor.findings import Groups, group_tensors
from onnxprobe.analysis.messages import CatalogueEntry, Layout
from tests.analysis.test_bisection import entry
from tests.analysis.test_plan import layout


def like(name: str, origin: str) -> CatalogueEntry:
    return entry(name).model_copy(update={"same_as": origin})


def shift(name: str, base: str) -> CatalogueEntry:
    return entry(name).model_copy(update={"shift_of": base})


def group(
    *entries: CatalogueEntry, sizes: dict[str, int] | None = None, single: str = ""
) -> Groups:
    layouts: dict[str, Layout] = {
        each.name: layout(each.name, (sizes or {}).get(each.name, 4), batched=each.name != single)
        for each in entries
    }
    return group_tensors(entries, layouts)


def test_a_tensor_alone_is_measured_itself() -> None:
    groups = group(entry("a"), entry("b"))
    assert groups.measured == ("a", "b")
    assert groups.differentiated_as("a") == "a"


def test_equal_tensors_are_measured_once() -> None:
    groups = group(entry("a"), like("b", "a"), like("c", "a"))
    assert groups.measured_as == {"a": "a", "b": "a", "c": "a"}
    assert groups.measured == ("a",)


def test_the_one_whose_rows_share_a_run_is_measured() -> None:
    groups = group(entry("a"), like("b", "a"), single="a")
    assert groups.measured_as == {"a": "b", "b": "b"}


def test_equal_tensors_whose_origin_is_left_out_are_still_measured_once() -> None:
    groups = group(like("b", "a"), like("c", "a"))
    assert groups.measured_as == {"b": "b", "c": "b"}


def test_tensors_of_another_size_share_nothing() -> None:
    groups = group(entry("a"), like("b", "a"), sizes={"a": 4, "b": 8})
    assert groups.measured == ("a", "b")


def test_a_shift_shares_the_jacobian_alone() -> None:
    groups = group(entry("a"), shift("b", "a"))
    assert groups.measured == ("a", "b")
    assert groups.differentiated_as("b") == "a"


def test_shifts_chain_and_lead_through_equal_tensors() -> None:
    groups = group(entry("a"), like("a2", "a"), shift("b", "a2"), like("b2", "b"), shift("c", "b2"))
    assert groups.differentiated_as("c") == "a"


def test_a_shift_of_something_that_is_not_measured_stands_alone() -> None:
    groups = group(shift("b", "left out"))
    assert groups.differentiated_as("b") == "b"


def test_a_shift_that_broadcasts_shares_nothing() -> None:
    groups = group(entry("a"), shift("b", "a"), sizes={"a": 1, "b": 8})
    assert groups.differentiated_as("b") == "b"
