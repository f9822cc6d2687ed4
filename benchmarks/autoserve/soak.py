"""Swap for a long time and look for what grows: ``python -m benchmarks.autoserve.soak [SECONDS]``, an hour by default.

One swap every five seconds under raw clients. Memory (PSS) of each kind of process, its descriptors and the number of processes
are sampled while nothing is swapped. What grows is a leak: the median of the last quarter may be five per cent above that of the
second quarter (the first one warms caches up), and no kind may end with more descriptors or processes than it had then.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.autoserve import shelf
from benchmarks.autoserve.__main__ import say, stack_of
from benchmarks.autoserve.leaks import KINDS, leaks
from benchmarks.autoserve.load import Load
from benchmarks.autoserve.stack import until_version
from benchmarks.autoserve.swaps import rows
from benchmarks.serving import processes

from benchmarks import figures
from samovar import logs

if TYPE_CHECKING:
    from benchmarks.autoserve.leaks import Sample
    from benchmarks.autoserve.stack import Stack

SECONDS = 3600.0
EVERY = 5.0
VERSIONS = 40
"""They take turns, in an order that brings each one back when others have been served since."""

MIX = {"light": 16, "brisk": 12, "visits": 4, "slow": 2, "pipelined": 2}
"""No client that idles longer than a few seconds: replaced workers leave between two samples, and do not count as a leak."""


def sample(stack: Stack) -> Sample:
    """Return the largest PSS (MB), the descriptors and the number of processes, by kind."""
    found: Sample = {}
    for pid, line in stack.processes().items():
        kind = next((name for name, is_it in KINDS.items() if is_it(line)), None)
        if kind is None:
            continue
        with contextlib.suppress(OSError):
            one = found.setdefault(kind, {"pss_mb": 0.0, "descriptors": 0, "processes": 0})
            one["pss_mb"] = max(one["pss_mb"], round(processes.pss_mb(pid), 2))
            one["descriptors"] = max(one["descriptors"], len(list(Path(f"/proc/{pid}/fd").iterdir())))
            one["processes"] += 1
    return found


def soak(seconds: float) -> dict[str, Any]:
    """Swap for so long; returns the figures."""
    samples: list[Sample] = []
    swaps = 0
    with stack_of() as (stack, address):
        shop = shelf.Shelf(address, stack.state / "mlflow/artifacts", shelf.kinds(quick=True))
        say(f"registering {VERSIONS} versions")
        versions = [shop.put("fraud") for _ in range(VERSIONS)]
        shop.client.set_registered_model_alias("fraud", "Production", "1")
        endpoint = stack.served("fraud", 1)
        with Load(endpoint, rows(shop, "fraud"), MIX) as load:
            began = time.monotonic()
            while time.monotonic() - began < seconds:
                due = began + (swaps + 1) * EVERY
                swaps += 1
                made = versions[swaps * 7 % VERSIONS]
                shop.client.set_registered_model_alias("fraud", "Production", str(made.version))
                until_version(*endpoint, made.version)
                time.sleep(max(0.0, due - 0.3 - time.monotonic()))
                samples.append(sample(stack))
                if swaps % 12 == 0:
                    say(f"{swaps} swaps: {json.dumps(samples[-1])}")
                time.sleep(max(0.0, due - time.monotonic()))
    return {
        "soak_seconds": seconds,
        "soak_swaps": swaps,
        "soak_requests": load.seen.requests,
        "soak_failed_requests": len(load.seen.failures),
        "failures": [f"{mode} {why}" for _, _, mode, why in load.seen.failures[:20]],
        "leaks": leaks(samples),
        "samples": samples,
    }


def main() -> int:
    """Soak and write; the exit code is 1 when a request failed or something grew."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    logs.configure("benchmark", level="ERROR")
    found = soak(float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS)
    samples = found.pop("samples")
    first, last = samples[len(samples) // 4], samples[-1]
    measured = {key: value for key, value in found.items() if key.startswith("soak_")} | {"soak_leaks": len(found["leaks"])}
    figures.write(
        "build/bench/soak.json", measured, leaks=found["leaks"], failures=found["failures"], after_warming_up=first, last=last
    )
    print(json.dumps(measured | {"leaks": found["leaks"], "failures": found["failures"]}))
    return 1 if found["leaks"] or found["soak_failed_requests"] else 0


if __name__ == "__main__":
    sys.exit(main())
