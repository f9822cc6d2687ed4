"""Starts one program of the stack: its environment, its marks, its log file."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from samovar.stack.processes import SERVICE_MARK, STACK_MARK, Identity, spawn

if TYPE_CHECKING:
    from samovar.stack.state import Plan, Service

KEEPERS = ("guardian", "supervisor")
"""The two that watch over the services and over each other."""

_LOG_BYTES = 10_000_000
"""A log larger than this is set aside at the next start; one older file is kept."""


def start(service: Service, plan: Plan) -> Identity:
    """Start a service.

    Raises:
        OSError: the program cannot be started.
    """
    inherited = {name: value for name, value in os.environ.items() if name not in service.drop}
    marks = {STACK_MARK: plan.stack, SERVICE_MARK: service.name}
    return spawn(service.argv, {**inherited, **service.env, **marks}, log_file(plan, service.name))


def start_keeper(role: str, plan: Plan, run_dir: Path) -> Identity:
    """Start the supervisor or the guardian of a stack."""
    argv = (sys.executable, "-m", f"samovar.stack.{role}", str(run_dir))
    return spawn(argv, {**os.environ, STACK_MARK: plan.stack, SERVICE_MARK: role}, log_file(plan, role))


def log_file(plan: Plan, name: str) -> Path:
    """The log to write to; a large one is set aside first."""
    path = Path(plan.logs) / f"{name}.log"
    try:
        if path.stat().st_size > _LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))
    except FileNotFoundError:
        pass
    return path
