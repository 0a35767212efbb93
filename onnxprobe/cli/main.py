"""``onnxprobe``: the commands, and what an error becomes."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from traceback import format_exception, print_exc
from typing import Any

import click

from onnxprobe.cli import signals
from onnxprobe.cli.analyze import analyze
from onnxprobe.cli.check import check
from onnxprobe.cli.compare import compare
from onnxprobe.cli.derive import derive
from onnxprobe.cli.doctor import doctor
from onnxprobe.cli.expose import expose
from onnxprobe.cli.inspect import inspect
from onnxprobe.cli.ops import ops
from onnxprobe.cli.schema import schema
from onnxprobe.cli.split import split
from onnxprobe.cli.track import track
from onnxprobe.cli.verify import verify
from onnxprobe.errors import DataError, OnnxProbeError, RunError
from onnxprobe.version import __version__

__all__ = ["cli", "main", "run"]


# What click ends with where a pipe has no reader any more; nothing here ends so.
_NO_READER = 1


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="onnxprobe")
@click.option("--debug", is_flag=True, help="Show tracebacks of errors.")
def cli(debug: bool) -> None:
    """Measure which intermediate outputs of an ONNX model give its input away, and how much.

    \b
    Start with:  onnxprobe analyze MODEL --data DATA
    Exit codes:  0 done, policy met; 1 policy violated;
                 2 usage, data, policy or configuration; 3 model refused;
                 4 analysis incomplete or inconclusive; 5 a bug in onnxprobe;
                 130 interrupted; 143 terminated.
    """  # noqa: D301 (click reads \b as "keep these lines")


cli.add_command(analyze)
cli.add_command(check)
cli.add_command(compare)
cli.add_command(derive)
cli.add_command(doctor)
cli.add_command(expose)
cli.add_command(inspect)
cli.add_command(ops)
cli.add_command(schema)
cli.add_command(split)
cli.add_command(track)
cli.add_command(verify)


def main() -> None:
    """Run the command line and end the process with its exit code."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            # Whoever closed it wants to read nothing.
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # What a terminal has no letter for becomes a question mark, and no error.
            stream.reconfigure(errors="replace")
    code = run(sys.argv[1:])
    signals.ignore()
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Run the command line.

    Args:
        arguments: Without the program's name.

    Returns:
        The exit code.
    """
    debug = "--debug" in arguments
    signals.rearm()
    try:
        result: Any = cli.main(arguments, prog_name="onnxprobe", standalone_mode=False)
    except click.ClickException as error:
        if isinstance(error, click.UsageError) and error.ctx is not None:
            _print(f"{error.ctx.get_usage()}\nTry '{error.ctx.command_path} --help' for help.\n")
        _print(f"Error: {_printable(error.format_message())}")
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        _complain("interrupted")
        return signals.INTERRUPTED
    except SystemExit as error:
        if error.code == _NO_READER:
            # Whoever read our output has seen enough.
            return 0
        if error.code == signals.TERMINATED:
            _complain("terminated")
        return error.code if isinstance(error.code, int) else 1
    except OnnxProbeError as error:
        return _explain(error, debug=debug)
    except OSError as error:
        if debug:
            print_exc()
        _complain(f"{error.filename or 'the output'} cannot be used: {error.strerror}")
        return DataError.exit_code if error.filename else RunError.exit_code
    except Exception as error:  # noqa: BLE001 (whatever it was becomes one sentence)
        if debug:
            print_exc()
            return OnnxProbeError.exit_code
        _complain(
            f"a bug in onnxprobe: {type(error).__name__}: {error}; "
            "run onnxprobe --debug … for the traceback"
        )
        return OnnxProbeError.exit_code
    return result if isinstance(result, int) else 0


def _explain(error: OnnxProbeError, *, debug: bool) -> int:
    if debug:
        traceback = getattr(error, "traceback", None)
        sys.stderr.write(traceback or "".join(format_exception(error)))
    if type(error).exit_code == OnnxProbeError.exit_code:
        _complain(f"a bug in onnxprobe: {error}; run onnxprobe --debug … for the traceback")
    else:
        _complain(str(error))
    return error.exit_code


def _complain(message: str) -> None:
    _print(f"onnxprobe: {_printable(message)}")


def _printable(message: str) -> str:
    from onnxprobe.report.text import printable

    return "\n".join(map(printable, message.split("\n")))


def _print(text: str) -> None:
    # The exit code says enough where nothing can be said.
    with suppress(OSError, ValueError):
        click.echo(text, err=True)
