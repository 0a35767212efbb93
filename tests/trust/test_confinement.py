"""What a worker can still do once it is confined, tried from inside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

# Run in a process of its own, as a worker begins; then each attempt, by name.
_INSIDE = """
import json, os, resource, signal, socket, subprocess, sys, tempfile, threading
from pathlib import Path
from onnxprobe.analysis.confinement import Confinement
from onnxprobe.analysis.worker.confine import confine
asked = json.loads(sys.argv[1])
scratch, out = Path(asked["scratch"]), Path(asked["out"])
listening = socket.socket(socket.AF_UNIX)
confinement = Confinement.of(scratch, readable=[Path(asked["model"])], writable=[out])
features = confine(confinement)
def connect(family, address):
    with socket.socket(family, socket.SOCK_STREAM) as each:
        each.settimeout(2)
        each.connect(address)
attempts = {
    "read the model": lambda: Path(asked["model"], "weights.bin").read_bytes(),
    "write the output": lambda: out.write_bytes(b"1"),
    "write into its folder": lambda: Path(scratch, "new").write_bytes(b"1"),
    "read the caller's folder": lambda: Path(asked["secret"]).read_bytes(),
    "list the home": lambda: os.listdir(Path.home()),
    "read the parent's environment": lambda: Path(f"/proc/{os.getppid()}/environ").read_bytes(),
    "read the parent's memory map": lambda: Path(f"/proc/{os.getppid()}/maps").read_bytes(),
    "read the accounts": lambda: Path("/etc/passwd").read_bytes(),
    "make a file beside the output": lambda: out.with_name("other").write_bytes(b"1"),
    "make a temporary file": lambda: Path("/tmp", f"onnxprobe-{os.getpid()}").write_bytes(b"1"),
    "write the model": lambda: Path(asked["model"], "weights.bin").write_bytes(b"1"),
    "remove the model": lambda: Path(asked["model"], "weights.bin").unlink(),
    "change a mode": lambda: os.chmod(Path(asked["model"], "weights.bin"), 0o777),
    "change a time": lambda: os.utime(Path(asked["model"], "weights.bin"), (1, 1)),
    "change an attribute": lambda: os.setxattr(Path(asked["model"], "weights.bin"), "user.a", b"1"),
    "open a connection": lambda: connect(socket.AF_INET, ("127.0.0.1", asked["port"])),
    "speak to a local service": lambda: connect(socket.AF_UNIX, asked["service"]),
    "limit the parent": lambda: resource.prlimit(os.getppid(), resource.RLIMIT_CPU, (999, 999)),
    "slow the parent down": lambda: os.setpriority(os.PRIO_PROCESS, os.getppid(), 19),
    "bind the parent to a processor": lambda: os.sched_setaffinity(os.getppid(), {0}),
    "signal the parent": lambda: os.kill(os.getppid(), signal.SIGWINCH),
    "look at the parent": lambda: os.pidfd_open(os.getppid()),
    "start a process": lambda: os.fork() or os._exit(0),
    "limit itself": lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)),
    "signal itself": lambda: os.kill(os.getpid(), signal.SIGWINCH),
    "start a thread": lambda: threading.Thread(target=int).start(),
    "run a program": lambda: subprocess.run(["/bin/true"], check=True),
}
found = {}
for name, attempt in attempts.items():
    try:
        attempt()
        found[name] = True
    except (OSError, RuntimeError):
        found[name] = False
print(json.dumps({"features": features, "found": found}))
"""
_ALLOWED = {
    "read the model", "write the output", "write into its folder", "limit itself", "signal itself",
    "start a thread",
}  # fmt: skip


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux confines a process from inside")
def test_a_worker_can_do_what_it_needs_and_nothing_else(tmp_path: Path) -> None:
    import socket

    from onnxprobe.analysis.confinement import has_cuda_device

    for name in ("model", "scratch", "caller", "outputs"):
        (tmp_path / name).mkdir()
    weights = tmp_path / "model" / "weights.bin"
    weights.write_bytes(b"weights")
    (tmp_path / "outputs" / "out").touch()
    secret = tmp_path / "caller" / "secret"
    secret.write_bytes(b"canary")
    with socket.socket() as server, socket.socket(socket.AF_UNIX) as service:
        server.bind(("127.0.0.1", 0))
        server.listen()
        service.bind(str(tmp_path / "service"))
        service.listen()
        asked = {
            "model": str(tmp_path / "model"),
            "scratch": str(tmp_path / "scratch"),
            "out": str(tmp_path / "outputs" / "out"),
            "secret": str(secret),
            "service": str(tmp_path / "service"),
            "port": server.getsockname()[1],
        }
        # Started as `python -m` would be: with the current folder first on the path.
        package = Path(__file__).resolve().parents[2]
        ended = subprocess.run(
            [sys.executable, "-c", f"import sys; sys.path[0] = {str(secret.parent)!r}\n{_INSIDE}",
             json.dumps(asked)],
            cwd=secret.parent,
            env={**os.environ, "PYTHONPATH": str(package), "HOME": str(tmp_path)},
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    if not all(told["features"].values()):
        pytest.skip(f"this machine does not confine: {told['features']}")
    done = {name for name, could in told["found"].items() if could}
    if has_cuda_device():
        done -= {"speak to a local service", "read the parent's environment"}
        done -= {"read the parent's memory map"}
    assert done == _ALLOWED
    assert weights.read_bytes() == b"weights"


def test_the_environment_of_a_worker_holds_no_settings_of_the_runtime(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from onnxprobe.analysis.conductor.child import _environment

    monkeypatch.setenv("ORT_LOAD_CONFIG_FROM_MODEL", "1")
    environment = _environment(tmp_path)
    assert "ORT_LOAD_CONFIG_FROM_MODEL" not in environment
    assert environment["ORT_DISABLE_TELEMETRY"] == "1"
    assert environment["TMPDIR"] == str(tmp_path)
