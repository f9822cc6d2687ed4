"""``samovar serve-version``: one version served by itself, without agent and controller."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Annotated

import typer

from samovar.cli import output
from samovar.cli.registry import named

if TYPE_CHECKING:
    from types import FrameType


def register(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command("serve-version", rich_help_panel="The registry")(serve_version)


def serve_version(
    version: Annotated[
        str, typer.Argument(metavar="VERSION", help="A version, such as flowers/3 or flowers@Production.", show_default=False)
    ],
    *,
    host: Annotated[str, typer.Option("--host", help="Address to listen at; any but the loopback demands API keys.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="TCP port; 0 takes a free one.")] = 8080,
    workers: Annotated[int | None, typer.Option("--workers", min=1, max=64, help="Worker processes.")] = None,
    trust: Annotated[bool, typer.Option("--trust", help="You trust this version: its files may run code.")] = False,
) -> None:
    """Serve one version until Ctrl-C, as a container would: no alias moves it."""
    model, which = named(version)
    settings = output.prepare()
    from samovar.autoserve.standalone import main, obtain
    from samovar.autoserve.standalone.options import Options

    number, alias = (which, "Production") if isinstance(which, int) else (None, which)
    asked = Options(model, alias, number, host=host, port=port, workers=workers, trust=trust)

    def leave(_number: int, _frame: FrameType | None) -> None:
        raise typer.Exit

    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, leave)
    obtain.adopt_secret_files()
    code = main.run(asked, settings)
    if code:
        raise typer.Exit(1)
