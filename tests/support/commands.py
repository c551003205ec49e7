"""The commands as typed: run in this process, or as a program of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from programs import Program
from typer.testing import CliRunner, Result

from mesa_llm_norms import cli


def invoke(*arguments: str) -> Result:
    """Run a command in this process; raise what it does not handle itself."""
    result = CliRunner().invoke(cli.app, arguments, prog_name="mesa-llm-norms")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def printed(*arguments: str) -> Any:
    """Return the one JSON object that a command prints."""
    result = invoke(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.count("\n") == 1
    return json.loads(result.stdout)


def refused(*arguments: str) -> str:
    """Return the one line with which a command refuses, having written nothing."""
    before = sorted(Path().rglob("*"))
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    assert sorted(Path().rglob("*")) == before
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    return line


def start(*arguments: str, **options: Any) -> Program:
    """Start a command as a program, with further options of ``subprocess.Popen``."""
    return Program(
        [sys.executable, "-m", "mesa_llm_norms", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[2])},
        **options,
    )
