"""The autoserve benchmark runs from end to end in its short form, and loses nothing there either."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
MEASURED = {
    "swap_failed_requests",
    "swaps",
    "swap_p99_ratio",
    "alias_to_answer_s_p50",
    "alias_to_answer_s_p99",
    "aliases_served",
    "aliases_pss_mb",
    "aliases_start_s",
    "reconcile_unchanged_200_ms",
    "reconcile_unchanged_writes",
}


@pytest.mark.timeout(600)
def test_the_autoserve_benchmark_measures_alias_moves_and_loses_no_request():
    """A few swaps under all kinds of raw clients: no request fails, and every version answers with its own weights."""
    target = ROOT / "build/bench/autoserve-quick.json"
    target.unlink(missing_ok=True)
    argv = [sys.executable, "-m", "benchmarks.autoserve", "--quick", "--target", "build/bench/autoserve-quick.json"]
    result = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    found = json.loads(target.read_text())
    assert found["measured"].keys() >= MEASURED
    assert found["faults"] == []
    assert found["measured"]["swap_failed_requests"] == 0, found["swaps_direct"]["failures"]
    assert all(found["swaps_direct"]["by_mode"][mode] for mode in ("busy", "brisk", "patient", "fresh", "slow", "pipelined"))
    assert found["measured"]["reconcile_unchanged_writes"] == 0, found["density"]["unchanged_wrote"]
    assert found["reconcile"]["100"]["unchanged_s"] > 0


@pytest.mark.timeout(600)
def test_a_soak_loses_no_request_and_leaks_nothing():
    """Three minutes of it, a swap every five: no request fails, and memory, descriptors and processes stay as they are."""
    argv = [sys.executable, "-m", "benchmarks.autoserve.soak", "180"]
    result = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    found = json.loads(result.stdout or "{}")
    assert result.returncode == 0, (found, result.stderr[-2000:])
    assert found["soak_swaps"] >= 25
    assert found["soak_requests"] > 5000
