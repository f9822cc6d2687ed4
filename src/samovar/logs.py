"""Logs: structlog, as text for people or one JSON object a line for machines, always on standard error."""

from __future__ import annotations

import logging
import sys
from typing import Any, Literal

import structlog


def configure(service: str, *, level: str = "INFO", fmt: Literal["text", "json"] = "text", **context: Any) -> None:
    """Set up logging of this process; ``service`` and ``context`` stand on every line.

    The standard library's loggers (mlflow, uvicorn, alembic) go through the same renderer.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer() if fmt == "json" else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer], foreign_pre_chain=shared
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("alembic", "httpx", "matplotlib", "sqlalchemy.engine", "urllib3"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(service=service, project="mlops", **context)


def get_logger(name: str) -> Any:
    """Return a logger; ``name`` is the module's."""
    return structlog.get_logger(name)
