"""What native code writes to descriptors 1 and 2 is caught, and the descriptors come back."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from onnxprobe.runtime import capture_chatter
from tests.graph.messages import exactly
from tests.shared import ROOT

Capture = pytest.CaptureFixture[str]


def _next_descriptor() -> int:
    """The number that the next file to be opened gets: it grows with each one left open."""
    descriptor = os.dup(1)
    os.close(descriptor)
    return descriptor


def _places() -> list[tuple[int, int]]:
    """What descriptors 1 and 2 stand for."""
    return [(os.fstat(each).st_dev, os.fstat(each).st_ino) for each in (1, 2)]


@pytest.mark.parametrize("descriptor", [1, 2])
def test_what_is_written_is_caught(descriptor: int, capfd: Capture) -> None:
    with capture_chatter() as chatter:
        os.write(descriptor, b"from below\n")
    assert chatter.text == "from below\n"
    assert capfd.readouterr() == ("", "")


def test_both_are_caught_in_the_order_of_writing(capfd: Capture) -> None:
    with capture_chatter() as chatter:
        for number, descriptor in enumerate((1, 2, 2, 1)):
            os.write(descriptor, b"%d" % number)
    assert chatter.text == "0123"
    assert capfd.readouterr() == ("", "")


def test_what_a_child_process_writes_is_caught(capfd: Capture) -> None:
    script = "import os; os.write(1, b'out '); os.write(2, b'err')"
    with capture_chatter() as chatter:
        subprocess.run([sys.executable, "-c", script], check=True)
    assert chatter.text == "out err"
    assert capfd.readouterr() == ("", "")


def test_silence_is_no_text(capfd: Capture) -> None:
    with capture_chatter() as chatter:
        pass
    assert not chatter.text
    assert capfd.readouterr() == ("", "")


def test_what_is_written_before_and_after_goes_its_way(capfd: Capture) -> None:
    os.write(1, b"before ")
    with capture_chatter() as chatter:
        os.write(1, b"within")
    os.write(1, b"after")
    os.write(2, b"error")
    assert chatter.text == "within"
    assert capfd.readouterr() == ("before after", "error")


def test_what_python_still_holds_is_not_caught() -> None:
    """A library may flush what Python has buffered; it was said before."""
    script = """
import os, sys
from onnxprobe.runtime import capture_chatter
for stream in (sys.stdout, sys.stderr):
    stream.reconfigure(line_buffering=False, write_through=False)
    stream.write("before ")
with capture_chatter() as chatter:
    sys.stdout.flush()
    sys.stderr.flush()
    os.write(2, b"within")
sys.stdout.write(f"[{chatter.text}]")
"""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert (done.stdout, done.stderr, done.returncode) == ("before [within]", "before ", 0)


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_a_process_without_streams_is_captured(
    name: str, monkeypatch: pytest.MonkeyPatch, capfd: Capture
) -> None:
    """As where Python runs without a console."""
    monkeypatch.setattr(sys, name, None)
    with capture_chatter() as chatter:
        os.write(1, b"native")
    assert chatter.text == "native"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("error", [RuntimeError("within"), KeyboardInterrupt("within")])
def test_descriptors_come_back_after_an_exception(error: BaseException, capfd: Capture) -> None:
    """What was written until then is kept."""
    places, descriptor = _places(), _next_descriptor()
    chatters = []

    def fail() -> None:
        with capture_chatter() as chatter:
            chatters.append(chatter)
            os.write(2, b"a last word")
            raise error

    with pytest.raises(type(error), match=exactly("within")):
        fail()
    assert chatters[0].text == "a last word"
    assert _places() == places
    assert _next_descriptor() == descriptor
    os.write(1, b"out")
    os.write(2, b"err")
    assert capfd.readouterr() == ("out", "err")


def test_no_descriptor_is_left_open(capfd: Capture) -> None:
    places, descriptor = _places(), _next_descriptor()
    for _ in range(3):
        with capture_chatter():
            os.write(1, b"text")
    assert _places() == places
    assert _next_descriptor() == descriptor
    assert capfd.readouterr() == ("", "")


def test_blocks_may_follow_and_hold_each_other(capfd: Capture) -> None:
    with capture_chatter() as outer:
        os.write(1, b"a")
        with capture_chatter() as inner:
            os.write(1, b"b")
        os.write(1, b"c")
    assert (outer.text, inner.text) == ("ac", "b")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("written", "kept"), [(15_999, 15_999), (16_000, 16_000), (16_001, 16_000)]
)
def test_long_chatter_is_cut(written: int, kept: int, capfd: Capture) -> None:
    """Its beginning is kept; none of the rest goes to the real streams."""
    text = b"start" + b"x" * (written - 5)
    with capture_chatter() as chatter:
        os.write(2, text)
    assert chatter.text == text[:kept].decode()
    assert capfd.readouterr() == ("", "")


def test_bytes_that_are_no_text_are_replaced(capfd: Capture) -> None:
    with capture_chatter() as chatter:
        os.write(1, b"a\xffb\x80 " + "é".encode())
    assert chatter.text == "a\ufffdb\ufffd é"
    assert capfd.readouterr() == ("", "")


def test_the_cut_counts_characters(capfd: Capture) -> None:
    with capture_chatter() as chatter:
        os.write(1, "é".encode() * 16_001)
    assert chatter.text == "é" * 16_000
    assert capfd.readouterr() == ("", "")


def test_what_python_printed_into_a_pipe_is_caught() -> None:
    """There Python keeps text back, and would send it on after the block."""
    script = (
        "from onnxprobe.runtime import capture_chatter\n"
        "with capture_chatter() as chatter:\n"
        "    print('noise')\n"
        "print('caught', repr(chatter.text))\n"
    )
    environment = {name: each for name, each in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment
    )
    assert done.stdout == "caught 'noise\\n'\n", done.stderr
