"""The command line: click only. Parse, call, render, exit code; one command per file."""
