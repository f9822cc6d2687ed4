"""Runs every long or statistical measurement and publishes its figures: ``build/bench/X.json`` -> ``docs/figures/X.json``.

CI runs none of this; it only holds the published figures against generous floors (``tests/test_house.py``).
"""

from __future__ import annotations

import shutil
import subprocess
import sys

from figures import ROOT

MEASUREMENTS = {
    "loop": ["loop.py", "3"],
    "fraud_quality": ["fraud_quality.py"],
    "fraud_handbook": ["fraud_handbook.py"],
    "feature_cache": ["feature_cache.py"],
    "drift_alarms": ["drift_alarms.py"],
    "decisions": ["decisions.py", "--picture"],
    "sentiment": ["sentiment.py"],
    "runtimes": ["runtimes.py"],
    "zoo": ["zoo.py"],
    "autoserve": ["-m", "benchmarks.autoserve"],
    "soak": ["-m", "benchmarks.autoserve.soak"],
    "faults": ["faults.py"],
}


def main() -> int:
    """Run the measurements named on the command line, or all of them."""
    failed = []
    for name in sys.argv[1:] or MEASUREMENTS:
        script, *arguments = MEASUREMENTS[name]
        print(f"::: {name}", flush=True)
        program = script if script == "-m" else str(ROOT / "benchmarks" / script)
        ended = subprocess.run([sys.executable, program, *arguments], cwd=ROOT, check=False)
        if ended.returncode:
            failed.append(name)
            continue
        (ROOT / "docs/figures").mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / f"build/bench/{name}.json", ROOT / f"docs/figures/{name}.json")
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
