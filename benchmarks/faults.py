"""The fault table in its long form: MLflow is away for five minutes. Writes ``build/bench/faults.json``."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path

import figures

OUTAGE_SECONDS = "300"


def main() -> int:
    """Run it; the exit code is pytest's."""
    tests = ["tests/e2e/test_fault_table.py", "tests/autoserve/faults"]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        argv = [sys.executable, "-m", "pytest", *tests, "--timeout", "1800", f"--junitxml={report}"]
        ended = subprocess.run(argv, cwd=figures.ROOT, check=False, env={**os.environ, "SAMOVAR_FAULT_SECONDS": OUTAGE_SECONDS})
        suite = next(ET.parse(report).getroot().iter("testsuite"))
    counts = {f"faults_{name}": int(suite.get(name, "0")) for name in ("tests", "failures", "errors", "skipped")}
    figures.write("build/bench/faults.json", counts | {"mlflow_away_s": float(OUTAGE_SECONDS)})
    return ended.returncode


if __name__ == "__main__":
    sys.exit(main())
