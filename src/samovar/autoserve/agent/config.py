"""What the agent is told when it starts; it travels to the zygote and the workers. No pydantic: the agent stays small."""

from __future__ import annotations

from typing import Literal

import msgspec

from samovar.serving.config import EndpointConfig

DEFAULT_ENTRY = "samovar.serving.server:EndpointServer"
LEAN_PRELOAD = (
    "numpy",
    "numpy.ma",
    "uvloop",
    "uvicorn.lifespan.off",
    "uvicorn.protocols.http.httptools_impl",
    "samovar.serving.server",
    "samovar.scoring.engines.compiled",
)
"""What a worker of a compiled plan needs, and nothing else."""

AMPLE_PRELOAD = (
    "numpy",
    "pandas",
    "sklearn.pipeline",
    "sklearn.ensemble",
    "skops.io",
    "samovar.serving.server",
    "samovar.scoring.engine",
    "samovar.scoring.builder",
    "samovar.scoring.lowering",
    "samovar.scoring.warm",
    "yaml",
)
"""What builders, and workers that run the model's own library, need besides."""


class AgentConfig(msgspec.Struct, frozen=True):
    """Settings of one agent.

    Attributes:
        run_dir: folder of the socket and of what is known of running workers.
        ledger: file of the port ledger; outlives ``run_dir``.
        port_base: first port given to endpoints.
        load_seconds: longest time a worker may take to load its model and answer its example.
        environments: folder of environments of their own; empty when there are none.
        endpoint: what every endpoint is told; the worker adds which one it is, also to the folders.
        host: address that endpoints listen at.
        keys_file: file of the API keys (see `samovar.autoserve.keyring`); empty asks nobody for a key.
        hang_seconds: a worker that answers and then shows no sign of life for so long is replaced.
        workers: worker processes of each endpoint, unless its tuning says another number.
        memory_mb: megabytes that a worker may take, unless its endpoint's tuning says; 0 leaves it to ``memory_share``.
        build_memory_mb: megabytes that a builder may take; 0 leaves it to ``memory_share``.
        memory_share: share of the host's memory that one process may take of which nobody said anything; 0 is no limit.
        cpus: cores that an endpoint may use, unless its tuning says; 0 is all of them.
        entry: dotted name of the server a worker runs, ``module:Class``.
        preload: modules the lean zygote imports.
        ample: modules the ample zygote imports.
        idle_seconds: how long the ample zygote waits for more work before it ends.
        log_level: least level that is written.
        log_format: ``json`` is one object a line.
        zygote_fd: descriptor of the zygote's socket; set by the agent.
        zygote_name: what the zygote is called in ``ps``; set by the agent.
    """

    run_dir: str
    ledger: str
    port_base: int = 8100
    load_seconds: float = 60.0
    environments: str = ""
    endpoint: EndpointConfig = EndpointConfig("", "")
    host: str = "127.0.0.1"
    keys_file: str = ""
    hang_seconds: float = 30.0
    workers: int = 1
    memory_mb: float = 0.0
    build_memory_mb: float = 0.0
    memory_share: float = 0.5
    cpus: float = 0.0
    entry: str = DEFAULT_ENTRY
    preload: tuple[str, ...] = LEAN_PRELOAD
    ample: tuple[str, ...] = AMPLE_PRELOAD
    idle_seconds: float = 20.0
    log_level: str = "INFO"
    log_format: Literal["text", "json"] = "text"
    zygote_fd: int = -1
    zygote_name: str = "zygote"


SOCKET = "agent.sock"
LOCK = "agent.lock"
WORKERS = "workers.json"
EPOCH = "epoch"
STOP_FILE = "workers.stop"
"""While this file exists in the run folder, workers without an agent leave."""


def named(config: AgentConfig, name: str, modules: tuple[str, ...]) -> AgentConfig:
    """Return what a zygote of that name is told."""
    return msgspec.structs.replace(config, zygote_name=name, preload=modules)


def read_config(data: bytes) -> AgentConfig:
    """Read what the agent wrote to its zygote."""
    return msgspec.json.decode(data, type=AgentConfig)
