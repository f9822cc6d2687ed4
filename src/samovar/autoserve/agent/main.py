"""``python -m samovar.autoserve.agent``: the agent as a program."""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import ipaddress
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from samovar import logs
from samovar.autoserve import keyring
from samovar.autoserve.agent import config as files
from samovar.autoserve.agent import limits
from samovar.autoserve.agent.agent import Agent
from samovar.autoserve.agent.config import AMPLE_PRELOAD, DEFAULT_ENTRY, LEAN_PRELOAD, AgentConfig
from samovar.errors import Conflict, SamovarError, SettingsError
from samovar.serving.config import EndpointConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

log = logs.get_logger(__name__)


def parse(argv: Sequence[str]) -> AgentConfig:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m samovar.autoserve.agent", description="Owns endpoints and their workers.")
    parser.add_argument("--run-dir", required=True, type=Path, help="folder of the agent's socket")
    parser.add_argument("--ledger", type=Path, help="file of the port ledger (default: endpoint-ports.json beside the run folder)")
    parser.add_argument("--port-base", type=int, default=8100, help="first port given to endpoints")
    parser.add_argument("--endpoint", default="{}", help="fields of EndpointConfig that differ from their defaults, as JSON")
    parser.add_argument("--host", default="127.0.0.1", help="address that endpoints listen at")
    parser.add_argument("--keys-file", default="", help="file of the API keys; without one nobody is asked for a key")
    parser.add_argument("--hang-seconds", type=float, default=30.0, help="how long a worker may show no sign of life")
    parser.add_argument("--load-seconds", type=float, default=60.0, help="longest time a worker may take to load its model")
    parser.add_argument("--workers", type=int, default=1, help="worker processes of each endpoint")
    parser.add_argument("--memory-mb", type=float, default=0.0, help="megabytes that a worker may take (0: --memory-share)")
    parser.add_argument("--build-memory-mb", type=float, default=0.0, help="megabytes that a builder may take (0: --memory-share)")
    parser.add_argument("--memory-share", type=float, default=0.5, help="share of the host's memory one process may take (0: all)")
    parser.add_argument("--cpus", type=float, default=0.0, help="cores that the workers of an endpoint may use (0: all)")
    parser.add_argument("--environments", default="", help="folder of environments of their own (default: none)")
    parser.add_argument("--entry", default=DEFAULT_ENTRY, help="server that workers run, module:Class")
    parser.add_argument("--preload", default=",".join(LEAN_PRELOAD), help="modules that workers of compiled models find imported")
    parser.add_argument(
        "--ample", default=",".join(AMPLE_PRELOAD), help="modules that builders and all other workers find imported"
    )
    parser.add_argument("--idle-seconds", type=float, default=20.0, help="how long the modules of --ample stay in memory unused")
    parser.add_argument("--log-level", default="INFO")
    parser.add_argument("--log-format", default="text", choices=["text", "json"])
    known = parser.parse_args(argv)
    run_dir = known.run_dir.absolute()
    return AgentConfig(
        run_dir=str(run_dir),
        ledger=str((known.ledger or run_dir.parent / "endpoint-ports.json").absolute()),
        port_base=known.port_base,
        endpoint=_endpoint(known.endpoint),
        host=known.host,
        keys_file=known.keys_file,
        hang_seconds=known.hang_seconds,
        load_seconds=known.load_seconds,
        workers=known.workers,
        environments=known.environments,
        memory_mb=known.memory_mb,
        build_memory_mb=known.build_memory_mb,
        memory_share=known.memory_share,
        cpus=known.cpus,
        entry=known.entry,
        preload=_names(known.preload),
        ample=_names(known.ample),
        idle_seconds=known.idle_seconds,
        log_level=known.log_level,
        log_format=known.log_format,
    )


def _endpoint(given: str) -> EndpointConfig:
    try:
        return msgspec.convert({"model": "", "alias": ""} | msgspec.json.decode(given, type=dict[str, Any]), EndpointConfig)
    except msgspec.DecodeError as error:
        raise SettingsError(f"--endpoint: {error}.", remedy="Start the agent with `samovar up`.") from None


def _names(listed: str) -> tuple[str, ...]:
    return tuple(name for name in listed.split(",") if name)


def hold_lock(run_dir: Path) -> int:
    """Become the only agent of a run folder; the kernel lets go when the process ends, however it ends.

    Raises:
        Conflict: another agent runs there.
        SettingsError: the folder cannot be written.
    """
    try:
        run_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        fd = os.open(run_dir / files.LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SettingsError(
            f"{run_dir} cannot be written ({error.strerror}).", remedy="Set SAMOVAR_HOME to a folder of yours."
        ) from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise Conflict(f"An agent already runs in {run_dir}.", remedy="Use that one, or end it with `samovar down`.") from None
    return fd


async def _run(config: AgentConfig) -> None:
    await Agent(config).run()


def main(argv: Sequence[str] | None = None) -> int:
    """Run an agent until it is told to end; returns the exit code."""
    try:
        config = parse(sys.argv[1:] if argv is None else argv)
        logs.configure("mlflow-autoserve-agent", level=config.log_level, fmt=config.log_format)
        _check_bind(config)
        lock = hold_lock(Path(config.run_dir))
        limits.raise_files()
        asyncio.run(_run(config))
    except SamovarError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    os.close(lock)
    return 0


def _check_bind(config: AgentConfig) -> None:
    if ipaddress.ip_address(config.host).is_loopback:
        return
    if config.endpoint.open_to_all:
        log.warning("endpoints answer everybody who reaches this host, without a key", host=config.host)
    else:
        keyring.demand(config.keys_file, config.host)
