"""What the agent is told when it starts; it travels to the zygote and the workers. No pydantic: the agent stays small."""

from __future__ import annotations

from typing import Literal

import msgspec

DEFAULT_ENTRY = "samovar.serving.server:EndpointServer"
DEFAULT_PRELOAD = (
    "numpy",
    "pandas",
    "sklearn.pipeline",
    "sklearn.ensemble",
    "skops.io",
    "samovar.serving.server",
    "samovar.scoring.engine",
    "samovar.scoring.builder",
)


class AgentConfig(msgspec.Struct, frozen=True):
    """Settings of one agent.

    Attributes:
        run_dir: folder of the socket and of what is known of running workers.
        ledger: file of the port ledger; outlives ``run_dir``.
        port_base: first port given to endpoints.
        drain_seconds: longest time a replaced worker may take to answer what it has.
        load_seconds: longest time a worker may take to load its model and answer its example.
        body_limit: largest request body, in bytes.
        entry: dotted name of the server a worker runs, ``module:Class``.
        preload: modules the zygote imports.
        log_level: least level that is written.
        log_format: ``json`` is one object a line.
        zygote_fd: descriptor of the zygote's socket; set by the agent.
    """

    run_dir: str
    ledger: str
    port_base: int = 8100
    drain_seconds: float = 10.0
    load_seconds: float = 60.0
    body_limit: int = 16 * 1024 * 1024
    entry: str = DEFAULT_ENTRY
    preload: tuple[str, ...] = DEFAULT_PRELOAD
    log_level: str = "INFO"
    log_format: Literal["text", "json"] = "text"
    zygote_fd: int = -1


SOCKET = "agent.sock"
LOCK = "agent.lock"
WORKERS = "workers.json"
STOP_FILE = "workers.stop"
"""While this file exists in the run folder, workers without an agent leave."""


def read_config(data: bytes) -> AgentConfig:
    """Read what the agent wrote to its zygote."""
    return msgspec.json.decode(data, type=AgentConfig)
