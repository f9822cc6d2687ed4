"""The program ``samovar``: puts the commands together and turns errors into one line and an exit code.

Exit codes: 0 done, 1 failed, 2 wrong usage (arguments, settings, project), 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path  # noqa: TC003 - Typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from samovar.cli import compiling, decisions, demo, events, keys, output, projects, registry, serving, spool, stack, steps, traffic

if TYPE_CHECKING:
    from collections.abc import Sequence

app = typer.Typer(
    name="samovar",
    help="Closes the loop around an MLflow registry: train, gate, serve what the aliases say, watch, retrain, roll back.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for part in (projects, steps, decisions, spool, registry, compiling, serving, stack, events, traffic, keys, demo):
    part.register(app)


@app.callback()
def options(
    home_folder: Annotated[
        Path | None, typer.Option("--home", metavar="FOLDER", help="Folder of all state, instead of SAMOVAR_HOME or .samovar.")
    ] = None,
    *,
    debug: Annotated[bool, typer.Option("--debug", help="Log everything, and show the trace of an error.")] = False,
) -> None:
    """Take the options that hold for every command; they travel as environment variables, so that child processes see them."""
    if home_folder is not None:
        os.environ["SAMOVAR_HOME"] = str(home_folder.expanduser().absolute())
    if debug:
        os.environ["LOG_LEVEL"] = "DEBUG"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    before_rest = words[: words.index("--")] if "--" in words else words
    as_json = "--json" in before_rest
    with output.machine_output(active=as_json):
        if "--debug" in before_rest:
            return _run(words)
        return _quietly(words, as_json=as_json)


def _run(words: list[str]) -> int:
    code = app(args=words, prog_name="samovar", standalone_mode=False)
    return code if isinstance(code, int) else 0


def _quietly(words: list[str], *, as_json: bool) -> int:
    """Run, and say every failure in one line."""
    from samovar.errors import SamovarError, UsageError

    try:
        return _run(words)
    except typer.TyperException as wrong:
        sentence, remedy = _usage(wrong)
        if sentence:
            output.error(UsageError(sentence, remedy=remedy), as_json=as_json)
        return 2
    except SamovarError as failure:
        output.error(failure, as_json=as_json)
        return failure.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except BrokenPipeError:
        # The reader (`| head`) has enough; Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except Exception as bug:  # noqa: BLE001 - the last line of defence: one line instead of a trace
        output.say_error(f"{type(bug).__name__}: {bug} This is a fault of Samovar: run again with `samovar --debug` and report it.")
        return 1


def _usage(wrong: typer.TyperException) -> tuple[str, str]:
    """Say what is wrong with the command line, and where to read how it goes; empty when help was shown instead."""
    context = getattr(wrong, "ctx", None)
    format_message = getattr(wrong, "format_message", None)
    message = (format_message() if callable(format_message) else str(wrong)).rstrip(".")
    command = context.command_path if context is not None else "samovar"
    return (f"{message}." if message else "", f"Run `{command} --help`.")


if __name__ == "__main__":
    raise SystemExit(main())
