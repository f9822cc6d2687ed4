"""``python -m samovar.autoserve.standalone --model NAME``: one endpoint in one process group, for containers.

It fetches the version from MLflow, has it built in a child without credentials, and serves it with N workers on one socket. SIGTERM
drains. As the first process of a container it buries orphans. It needs MLflow at its first start only; how it ends tells why, see
``codes``.
"""

from __future__ import annotations

import ctypes
import shutil
import signal
import socket
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from samovar import addresses, logs, settings
from samovar.autoserve import keyring
from samovar.autoserve.naming import endpoint_name
from samovar.autoserve.standalone import codes, obtain
from samovar.autoserve.standalone import options as command_line
from samovar.autoserve.standalone.options import Told
from samovar.autoserve.standalone.supervisor import Supervisor
from samovar.autoserve.told import endpoint_config
from samovar.errors import Conflict, SamovarError
from samovar.registry.client import Registry
from samovar.serving import exposure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from samovar.autoserve.standalone.options import Options
    from samovar.serving.config import EndpointConfig
    from samovar.settings import Settings

log = logs.get_logger(__name__)

_PR_SET_DUMPABLE = 4


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as a program; returns the exit code."""
    # The first process of a container ignores signals that it does not handle.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(codes.DRAINED))
    try:
        options = command_line.read(arguments)
        obtain.adopt_secret_files()
        return run(options, settings.load(_env_file=None))
    except SamovarError as error:
        sys.stderr.write(f"error: {error}\n")
        return codes.code_of(error)


def run(options: Options, known: Settings) -> int:
    """Serve until SIGTERM; returns the exit code.

    Raises:
        SamovarError: it cannot be served; ``codes.code_of`` gives the exit code.
    """
    name = endpoint_name(options.model, options.alias)
    logs.configure(name, level=known.log_level, fmt=known.log_format, model=options.model, alias=options.alias)
    # A child that loads a stranger's model runs as the same user: our memory and environment are not for it to read.
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    config = _config(options, known)
    with _bind(options) as listener:
        exposure.check(listener, config)
        registry = Registry(addresses.tracking_uri(known), known.mlflow_timeout)
        try:
            plan = obtain.obtain(options, known, registry)
        finally:
            registry.close()
        count = options.workers or known.workers
        shared = tempfile.mkdtemp(prefix="samovar-metrics-") if count > 1 else ""
        try:
            told = Told(name, msgspec.structs.replace(config, metrics_dir=shared), known.log_level, known.log_format)
            log.info("serving", version=plan.version, engine=plan.engine, port=listener.getsockname()[1], workers=count)
            return Supervisor(plan, told, listener, count, known.hang_seconds).run()
        finally:
            if shared:
                shutil.rmtree(shared, ignore_errors=True)


def _config(options: Options, known: Settings) -> EndpointConfig:
    spool = known.spool is not None and known.prediction_log  # without a volume nobody would ship what it logs
    return msgspec.structs.replace(
        endpoint_config(known),
        model=options.model,
        alias=options.alias,
        keys=_keys(known),
        spool_dir=str(Path(known.spool_folder, endpoint_name(options.model, options.alias))) if spool else "",
    )


def _keys(known: Settings) -> tuple[str, ...]:
    if known.auth == "off":
        return ()
    told = tuple(part.strip() for part in known.api_key_hashes.split(",") if part.strip())
    return (*told, *keyring.hashes(known.keys_file))


def _bind(options: Options) -> socket.socket:
    """Bind, and not listen yet: until a worker answers, clients are refused rather than kept waiting."""
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind((options.host, options.port))
    except OSError as error:
        listener.close()
        raise Conflict(
            f"The address {options.host}:{options.port} cannot be taken ({error.strerror}).", remedy="Choose another with --port."
        ) from None
    return listener
