"""Runs the runtimes' contract suite and writes down on which of them it ran: a skip must not be taken for a pass."""

from __future__ import annotations

import collections
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path

from figures import ROOT, write


def main() -> int:
    """Run the suite; returns pytest's exit code."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "tests/autoserve/runtimes", f"--junitxml={report}", "-q"]
        code = subprocess.run(command, cwd=ROOT, check=False).returncode
        counted, skipped = _read(report)
    write("build/bench/runtimes.json", dict(counted), skipped=sorted(skipped))
    return code


def _read(report: Path) -> tuple[collections.Counter[str], set[str]]:
    """Count by runtime and outcome; return also why tests were skipped."""
    counted: collections.Counter[str] = collections.Counter()
    skipped = set()
    for case in ET.parse(report).iter("testcase"):
        _, bracket, runtime = case.get("name", "").partition("[")
        outcome = next((child.tag for child in case if child.tag in ("failure", "error", "skipped")), "passed")
        if bracket:
            counted[f"{runtime.rstrip(']')}_{outcome}"] += 1
        reason = case.find("skipped")
        if reason is not None:
            skipped.add(reason.get("message", ""))
    return counted, skipped


if __name__ == "__main__":
    sys.exit(main())
