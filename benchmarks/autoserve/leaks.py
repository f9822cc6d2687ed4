"""Whether something grew while the soak ran."""

from __future__ import annotations

import statistics

GROWTH = 1.05
SLACK_MB = 3.0
"""Megabytes of growth that are noise for a small process."""
SLACK_DESCRIPTORS = 8
"""Connections come and go."""

KINDS = {
    "worker": lambda line: line.startswith("samovar: ") and "@" in line,
    "ample zygote": lambda line: line.startswith("samovar: ample"),
    "zygote": lambda line: line.startswith("samovar: zygote"),
    "agent": lambda line: "samovar.autoserve.agent" in line,
    "controller": lambda line: line.endswith("-m samovar.autoserve"),
}

Sample = dict[str, dict[str, float]]
"""Largest PSS (MB), descriptors and number of processes, by kind of process."""


def leaks(samples: list[Sample]) -> list[str]:
    """Compare the last quarter with the second one; returns what grew, in words."""
    quarter = len(samples) // 4
    before, after = samples[quarter : 2 * quarter], samples[-quarter:]
    found = []
    for kind in KINDS:
        for what, slack in (("pss_mb", SLACK_MB), ("descriptors", SLACK_DESCRIPTORS), ("processes", 0)):
            old, new = _median(before, kind, what), _median(after, kind, what)
            # The zygote of the libraries goes when nothing was built for a while, and comes back.
            if kind == "ample zygote" and what == "processes":
                continue
            allowed = old * GROWTH if what == "pss_mb" else old
            if old and new > max(allowed, old + slack):
                found.append(f"{kind}: {what} grew from {old:g} to {new:g}")
    return found


def _median(samples: list[Sample], kind: str, what: str) -> float:
    values = [one[kind][what] for one in samples if kind in one]
    return round(statistics.median(values), 2) if values else 0.0
