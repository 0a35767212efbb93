from __future__ import annotations

import io

import pytest

from onnxprobe.analysis.frames import Frame, read_frame, write_frame


def sent(header: dict[str, object], *blobs: bytes) -> bytes:
    stream = io.BytesIO()
    write_frame(stream, header, blobs)
    return stream.getvalue()


def test_a_message_arrives_as_it_was_sent() -> None:
    stream = io.BytesIO(sent({"method": "open", "name": "é"}, b"one", b"two") + sent({"b": 2}))
    assert read_frame(stream) == Frame({"method": "open", "name": "é"}, b"onetwo")
    assert read_frame(stream) == Frame({"b": 2}, b"")
    assert read_frame(stream) is None


def test_a_message_cut_anywhere_is_no_message() -> None:
    whole = sent({"a": [1, 2, 3]}, b"blob")
    for length in range(len(whole)):
        assert read_frame(io.BytesIO(whole[:length])) is None


def test_numbers_that_json_lacks_are_not_sent() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        sent({"a": float("nan")})


@pytest.mark.parametrize("garbage", [b"\xff" * 64, sent({"a": 1}).replace(b'{"a":1}', b"[1,2,3]")])
def test_garbage_is_refused(garbage: bytes) -> None:
    with pytest.raises(ValueError, match=r"is no message|must be a JSON object"):
        read_frame(io.BytesIO(garbage))
