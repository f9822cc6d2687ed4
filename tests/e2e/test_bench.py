"""The serving benchmark runs from end to end: every server, every figure, in its short form."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(shutil.which("wrk") is None, reason="needs the load generator: apt-get install wrk"),
]

ROOT = Path(__file__).resolve().parents[2]
PROMISED = {
    "fraud_rps_per_cpu_s_c64",
    "iris_rps_per_cpu_s_c64",
    "sentiment_rps_per_cpu_s_c64",
    "pyfunc_rps_per_cpu_s_c64",
    "fraud_p50_c1",
    "fraud_p99_c64",
    "batch10k_rows_per_s",
    "cold_start",
    "pss",
}


@pytest.mark.timeout(600)
def test_the_benchmark_measures_every_promised_figure_and_finds_no_wrong_answer():
    """Its figures mean nothing when it is this short; that they are there, and that every answer is right, does."""
    target = ROOT / "build/bench/serving-quick.json"
    target.unlink(missing_ok=True)
    argv = [sys.executable, "-m", "benchmarks.serving", "--quick", "--target", "build/bench/serving-quick.json"]
    result = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    found = json.loads(target.read_text())
    assert found["ratios"].keys() >= PROMISED
    assert found["measured"].keys() >= PROMISED
    assert all(value > 0 for value in found["ratios"].values())
    assert found["engines"]["samovar"] == dict.fromkeys(("fraud", "iris", "sentiment"), "compiled")
    assert found["engines"]["samovar-pyfunc"]["fraud"] == "sklearn"
    assert all(row["asked"] and not row["wrong"] for row in found["answers"].values())
    assert all(row["good"] and not row["good_failed"] for row in found["poison"].values())
