"""Stamps measured figures with commit, machine and date, and writes them where they belong."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def write(target: str, measured: dict[str, Any], **more: Any) -> Path:
    """Write ``{"measured": ..., commit, machine, date}`` to ``target``, a path below the repository's root."""
    document = {"measured": measured, **more, **_stamp()}
    path = ROOT / target
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return path


def _stamp() -> dict[str, str]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    return {
        "commit": commit,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}",
        "date": datetime.now(UTC).date().isoformat(),
    }
