"""How the demo talks: one heading an act, one line a fact, and the table at the end."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from samovar.errors import SamovarError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console


class Teller:
    """Prints the story, and remembers which acts failed."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.failures: list[tuple[str, str]] = []
        self.seconds: dict[str, float] = {}
        self._started = time.perf_counter()

    @contextmanager
    def act(self, title: str) -> Iterator[None]:
        """Run one act; an error Samovar raised on purpose ends the act, not the story."""
        started = time.perf_counter()
        self.console.print(f"\n[bold cyan]{title}[/] [dim]{started - self._started:.0f} s[/]")
        try:
            yield
        except SamovarError as error:
            self.failures.append((title, str(error)))
            self.console.print(f"  [red]failed:[/] {escape(str(error))}")
        self.seconds[title] = round(time.perf_counter() - started, 2)

    def say(self, project: str, text: str) -> None:
        """Print one fact about one project."""
        self.console.print(f"  [green]{project:<6}[/] {text}")

    def note(self, text: str) -> None:
        """Print one line of explanation."""
        self.console.print(f"  [dim]{text}[/]")

    def progress(self) -> Progress:
        """Return a progress display for one act."""
        return Progress(
            TextColumn("  "),
            SpinnerColumn(),
            TextColumn("{task.description:<34}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
        )

    def verdicts(self, checks: list[dict[str, Any]]) -> None:
        """Print what the black box saw."""
        table = Table(title="Verified from outside: HTTP, the stock MLflow client, SQL", title_justify="left", header_style="bold")
        for name in ("project", "promise", "held", "seen"):
            table.add_column(name, overflow="fold")
        for check in checks:
            mark = "[green]yes[/]" if check["held"] else "[bold red]NO[/]"
            table.add_row(check["project"], check["promise"], mark, escape(check["seen"]))
        for title, error in self.failures:
            table.add_row("-", f"act: {title}", "[bold red]NO[/]", escape(error))
        self.console.print("\n", table)
