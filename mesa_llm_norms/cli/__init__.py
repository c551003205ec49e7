"""The command ``mesa-llm-norms``: one module per command, all registered here."""

from __future__ import annotations

import sys
from importlib import metadata
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from mesa_llm_norms.cli import options, output
from mesa_llm_norms.cli.app import app as page
from mesa_llm_norms.cli.audit import audit
from mesa_llm_norms.cli.export import export
from mesa_llm_norms.cli.groups import groups
from mesa_llm_norms.cli.minds import minds
from mesa_llm_norms.cli.record import record
from mesa_llm_norms.cli.reproduce import classical, reproduce
from mesa_llm_norms.cli.run import resume, run
from mesa_llm_norms.cli.scenes import scenes
from mesa_llm_norms.cli.study import fit, validate
from mesa_llm_norms.cli.sweep import sweep
from mesa_llm_norms.cli.tipping import intervene, tip
from mesa_llm_norms.cli.topologies import topologies
from mesa_llm_norms.core.interrupts import SENTENCE, exit_status, install, working
from mesa_llm_norms.errors import NormsError, shortened, shown

BAD_INPUT = 2
"""The exit status after an error of this package."""


UsageError: Any = typer.BadParameter.__mro__[1]
"""What typer raises for options that it cannot read; it exports only one kind of them."""


class Commands(TyperGroup):
    """The commands; an error of this package is one line instead of a traceback."""

    def make_context(self, info_name: Any, args: list[str], *rest: Any, **extra: Any) -> Any:
        """Read the options before the command; without any word that is the help."""
        try:
            return super().make_context(info_name, args, *rest, **extra)
        except UsageError as error:
            if isinstance(error, typer.BadParameter) or error.message:
                raise _refusal(error) from error
            raise

    def invoke(self, ctx: Any) -> Any:
        """Run the command, with warnings as notes and errors as an exit status."""
        try:
            with working(), output.warnings_as_notes():
                return super().invoke(ctx)
        except UsageError as error:
            raise _refusal(error) from error
        except OSError as error:  # of a file that was named, or a full disk
            if error.filename is None or error.strerror is None:
                raise
            output.complain("error", f"{shown(error.filename)}: {error.strerror}. Check the path.")
            raise typer.Exit(BAD_INPUT) from error
        except NormsError as error:
            output.complain("error", str(error))
            raise typer.Exit(BAD_INPUT) from error
        except KeyboardInterrupt as error:
            output.complain("interrupted", SENTENCE)
            raise typer.Exit(exit_status()) from error


app: typer.Typer = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _refusal(error: Any) -> typer.Exit:
    """Say on one line what is wrong with the options; return what ends the command."""
    command = error.ctx.command_path if error.ctx is not None else "mesa-llm-norms"
    said = shortened(error.format_message())
    output.complain("error", f"{said}{'' if said[-1:] in '.?' else '.'} See {command} --help.")
    return typer.Exit(BAD_INPUT)


options.register(
    app,
    *(run, page, export, resume, sweep, topologies, fit),
    *(record, audit, validate, classical, groups, reproduce, tip, intervene),
)
app.add_typer(minds, name="minds")
app.add_typer(scenes, name="scenes")


def _show_version(wanted: bool) -> None:
    if wanted:
        try:
            version = metadata.version("mesa-llm-norms")
        except metadata.PackageNotFoundError:
            version = "(not installed)"
        typer.echo(f"mesa-llm-norms {version}")
        raise typer.Exit


def about(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Study how naming conventions emerge in populations of language models on networks.

    No API key and no internet connection are needed: [b]recorded minds[/b], fitted to published
    decisions of real models, play offline. Start with [b]mesa-llm-norms run[/b].
    """


app.callback(help=options.help_of(about))(about)


def main() -> None:
    """Run the command line and exit."""
    install()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        app(prog_name="mesa-llm-norms")
    finally:
        # After an interrupt during code that was given as text (dataclasses, compiled modules)
        # Python exits as if by a signal, unless other such code ran since.
        exec("")
