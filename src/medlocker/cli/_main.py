"""The entry point: builds the command tree and turns errors into one sentence and an exit code."""

from __future__ import annotations

import os
import sys
from typing import Annotated, TextIO, cast

import typer

from medlocker.cli import commands
from medlocker.cli._console import expect_json, shown, stderr, stdout
from medlocker.cli._streams import ForgivingStream, let_go, open_missing
from medlocker.errors import Code, MedlockerError
from medlocker.version import __version__

_INTERRUPTED = 130
"""The exit code of what an interrupt ended."""

app = typer.Typer(
    name="medlocker",
    cls=commands.LazyGroup,
    help="Put optimised visible logos on medical images: people read them, AI fails, owners restore them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
commands.register(app)


def _show_version(wanted: bool) -> None:
    if wanted:
        stdout.print(f"medlocker {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    pass


def run() -> None:
    """Run the command line and exit: 0 done, 1 some image failed, 2 wrong usage, 3 trust failed.

    With ``--json`` one object is printed in any case: where nothing else can be told, ``error``, ``code`` and
    ``hint``.
    """
    open_missing()
    honest = sys.stderr
    sys.stderr = cast("TextIO", ForgivingStream(honest))
    try:
        _run()
    finally:
        sys.stderr = honest


def _run() -> None:
    output = expect_json(sys.argv[1:])
    try:
        app()
    except SystemExit as leaving:
        if leaving.code == _INTERRUPTED:
            output.print_error("interrupted", code=Code.INTERRUPTED)
        # wrong usage, which typer has told on stderr; its class is none that typer exports
        elif (told := getattr(leaving.__context__, "format_message", None)) is not None:
            output.print_error(told(), code=Code.USAGE)
        raise
    except MedlockerError as error:
        _say_error(str(error), error.hint)
        output.print_error(str(error), error.hint, code=error.code)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        stderr.print("interrupted", markup=False)
        output.print_error("interrupted", code=Code.INTERRUPTED)
        sys.exit(_INTERRUPTED)
    except BrokenPipeError:
        let_go(sys.stdout)  # whoever read our output has gone
        sys.exit(1)
    except OSError as error:
        # a name that the system does not even look up: too long, or of bytes that it does not know
        name = f"{os.path.basename(os.fsdecode(error.filename))!s:.80}: " if error.filename else ""
        message = name + (error.strerror or "cannot be read").lower()
        _say_error(message)
        output.print_error(message, code=Code.SYSTEM)
        ForgivingStream(sys.stdout).flush()  # it may be what could not be written
        sys.exit(2)


def _say_error(message: str, hint: str = "") -> None:
    stderr.print(f"error: {shown(message)}", style="bold red", markup=False)
    if hint:
        stderr.print(f"  {shown(hint)}", markup=False)
