"""One endpoint as a plain program: ``python -m samovar.serving PLAN [--port N]`` serves a plan file on the loopback address.

No agent, no registry, no MLflow: what a container would run, and what the benchmark's cold start measures. A plan file is what
`samovar.scoring.plan.encode` writes.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

LOOPBACK = "127.0.0.1"


def main(argv: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; every request that came is answered first.

    Returns:
        The exit code: 2 when the file is no plan of this Samovar or the plan cannot be served.
    """
    options = _options(argv)
    # One row never pays for a second thread; numpy reads this when it is imported.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import uvloop  # noqa: PLC0415

    from samovar import logs  # noqa: PLC0415
    from samovar.errors import SamovarError  # noqa: PLC0415
    from samovar.scoring.plan import decode  # noqa: PLC0415
    from samovar.serving import collector  # noqa: PLC0415
    from samovar.serving.config import EndpointConfig  # noqa: PLC0415
    from samovar.serving.server import EndpointServer  # noqa: PLC0415

    try:
        plan = decode(options.plan.read_bytes())
        logs.configure("endpoint", model=plan.model, alias=options.alias)
        server = EndpointServer(plan, EndpointConfig(model=plan.model, alias=options.alias, spool_dir=options.spool))
        server.load()
        collector.settle()
    except (OSError, ValueError, SamovarError) as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - a program's own last words
        return 2
    listener = socket.create_server((LOOPBACK, options.port))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.drain())
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(server.serve(listener, on_accepting=lambda: None))
    return 0


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m samovar.serving", description="Serve one scorer plan.")
    parser.add_argument("plan", type=Path, help="file of a scorer plan")
    parser.add_argument("--port", type=int, default=8080, help="TCP port on the loopback address (8080)")
    parser.add_argument("--alias", default="Production", help="alias that metrics and answers name (Production)")
    parser.add_argument("--spool", default="", metavar="DIR", help="folder of the prediction log; none without it")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
