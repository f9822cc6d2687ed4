"""How the command line speaks: Rich for people, one JSON document on standard output for machines, errors on standard error."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from rich.console import Console
    from rich.progress import TaskID
    from rich.table import Table

    from samovar.errors import SamovarError
    from samovar.settings import Settings

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]

ProjectName = Annotated[
    str, typer.Argument(metavar="PROJECT", help="A project, as `samovar projects` lists it.", show_default=False)
]

_machine: list[int] = []  # the real standard output, while a machine listens


@contextmanager
def machine_output(*, active: bool) -> Iterator[None]:
    """Keep standard output for the one document: whatever libraries and children print goes to standard error meanwhile."""
    if not active:
        yield
        return
    sys.stdout.flush()
    _machine.append(os.dup(1))
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        real = _machine.pop()
        os.dup2(real, 1)
        os.close(real)


def document(value: Any) -> None:
    """Write the one JSON document."""
    import msgspec

    data = msgspec.json.format(msgspec.json.encode(value, enc_hook=_plain), indent=2) + b"\n"
    descriptor = _machine[-1] if _machine else 1
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def emit(result: Any, show: Callable[[Console], None], *, as_json: bool) -> None:
    """Hand the result of a command to whoever listens."""
    if as_json:
        document(result)
    else:
        show(console())


def console(*, stderr: bool = False) -> Console:
    """Return a console on standard output (or error); names and addresses keep their own look."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False)


def error(failure: SamovarError, *, as_json: bool) -> None:
    """Say what is wrong and what to do, on one line."""
    say_error(str(failure))
    if as_json:
        document({"error": {"kind": type(failure).__name__, "message": failure.message, "remedy": failure.remedy}})


def say_error(text: str) -> None:
    """Print one line of error."""
    from rich.text import Text

    line = Text.assemble(("error: ", "bold red"), " ".join(text.split()))
    console(stderr=True).print(line, soft_wrap=True)


def show_facts(console: Console, pairs: Mapping[str, Any]) -> None:
    """Print a few named values, one a line, long ones unbroken so that they can be copied; what is None or empty is left out."""
    shown = {name: cell(value) for name, value in pairs.items() if value not in (None, "", [], {}, ())}
    width = max(map(len, shown), default=0)
    for name, value in shown.items():
        console.print(f"  [dim]{name:<{width}}[/]  {value}", soft_wrap=True)


def table(title: str, *columns: str) -> Table:
    """Return an empty table; a column marked ``>`` is aligned to the right, one marked ``=`` is never broken."""
    from rich import box
    from rich.table import Table

    made = Table(title=title, title_justify="left", title_style="bold", header_style="dim", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        justify: Literal["left", "right"] = "right" if column.startswith(">") else "left"
        made.add_column(column.lstrip(">="), justify=justify, overflow="fold", no_wrap=column[0] in ">=")
    return made


class Bars:
    """Progress bars on standard error; they appear with the first of them, so that a step with nothing to do shows nothing.

    Args:
        bar: whether to draw a bar, or only a spinner that becomes a tick.
        transient: whether they vanish at the end.
    """

    def __init__(self, *, bar: bool, transient: bool) -> None:
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        drawn = [BarColumn(bar_width=30)] if bar else []
        name, note = TextColumn("{task.description:<24}"), TextColumn("{task.fields[note]:<14}")
        spinner = SpinnerColumn(finished_text="[green]✓[/]")
        shown = console(stderr=True)
        # Bars that vanish leave an empty line where there is no terminal to clear.
        hidden = transient and not shown.is_terminal
        self._progress = Progress(
            spinner, name, *drawn, note, TimeElapsedColumn(), console=shown, transient=transient, disable=hidden
        )
        self._tasks: dict[str, TaskID] = {}

    def set(self, name: str, done: int, total: int, note: str) -> None:
        """Say how far the bar ``name`` is."""
        if not self._tasks:
            self._progress.start()
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=total, note=note)
        self._progress.update(self._tasks[name], completed=done, total=total, note=note)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._tasks:
            self._progress.stop()


def cell(value: Any) -> str:
    """Write one value for people; markup in it is text."""
    from rich.markup import escape

    match value:
        case None:
            text = "-"
        case bool():
            text = "yes" if value else "no"
        case float():
            text = f"{value:.4g}"
        case int():
            text = f"{value:,}"
        case list() | tuple():
            text = ", ".join(cell(item) for item in value)
        case dict():
            text = ", ".join(f"{escape(str(name))} {cell(item)}" for name, item in value.items() if item not in (None, ""))
        case _:
            text = escape(str(value))
    return text


def busy(text: str, *, as_json: bool) -> AbstractContextManager[Any]:
    """Show that something takes a moment; machines are not told."""
    return nullcontext() if as_json else console(stderr=True).status(text)


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if callable(tolist := getattr(value, "tolist", None)):  # numpy's scalars and arrays
        return tolist()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def prepare() -> Settings:
    """Read the settings and set up logs: warnings only, unless the user asked for more."""
    from samovar import logs, settings

    loaded = settings.load()
    level = loaded.log_level if "log_level" in loaded.model_fields_set else "WARNING"
    logs.configure("cli", level=level, fmt=loaded.log_format)
    return loaded
