"""Time and memory of the demo: wall seconds, and the peak PSS of its whole process tree sampled five times a second.

    python benchmarks/loop.py [RUNS]

writes ``build/bench/loop.json``. PSS shares a page's cost among the processes that map it, so the sum over the tree is what the
demo really takes from the machine. Processes are found by the demo's own state folder in their environment, because a supervised
service does not descend from the program that asked for it.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import figures
import psutil

SAMPLE_SECONDS = 0.2


def main() -> int:
    """Run the demo a few times and write the figures."""
    runs = [_run_once() for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 1)]
    measured = {
        "demo_seconds": statistics.median(run["seconds"] for run in runs),
        "demo_seconds_max": max(run["seconds"] for run in runs),
        "peak_pss_mb": max(run["peak_pss_mb"] for run in runs),
        "exit_code": max(run["exit_code"] for run in runs),
    }
    figures.write("build/bench/loop.json", measured, runs=runs)
    print(json.dumps(measured))
    return int(measured["exit_code"])


def _run_once() -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="samovar-loop-") as home:
        environment = {**os.environ, "SAMOVAR_HOME": home}
        started = time.perf_counter()
        demo = subprocess.Popen([sys.executable, "-m", "samovar.cli.main", "demo"], env=environment)
        peak, at_peak = 0.0, {}
        while demo.poll() is None:
            sizes = _sizes(home)
            if sum(sizes.values()) > peak:
                peak, at_peak = sum(sizes.values()), sizes
            time.sleep(SAMPLE_SECONDS)
        seconds = time.perf_counter() - started
        return {
            "seconds": round(seconds, 1),
            "peak_pss_mb": round(peak, 1),
            "exit_code": demo.returncode,
            "at_peak": dict(sorted(at_peak.items(), key=lambda item: -item[1])),
        }


def _sizes(home: str) -> dict[str, float]:
    """PSS in megabytes of every process that belongs to the demo: those that name its home, and their descendants.

    A worker's environment is gone once it has written its title over it, hence the descent.
    """
    running = {process.pid: process for process in psutil.process_iter(["pid", "ppid", "cmdline"])}
    mine = {pid for pid, process in running.items() if _names(process, home)}
    grew = True
    while grew:
        children = {pid for pid, process in running.items() if process.info["ppid"] in mine} - mine
        mine |= children
        grew = bool(children)
    found: dict[str, float] = {}
    for pid in mine:
        with contextlib.suppress(psutil.Error):
            name = " ".join((running[pid].info["cmdline"] or [])[1:]).strip().rpartition("/")[2][-40:]
            found[f"{pid} {name}"] = round(running[pid].memory_full_info().pss / 1e6, 1)
    return found


def _names(process: psutil.Process, home: str) -> bool:
    try:
        return home in process.environ().get("SAMOVAR_HOME", "") or home in " ".join(process.info["cmdline"] or [])
    except psutil.Error:
        return False


if __name__ == "__main__":
    sys.exit(main())
