"""CPU of the bare model: ``python bare.py FOLDER NAME`` prints microseconds a row of `predict` on frames of 64 rows.

Runs in the trainer's environment. A server that asks the model itself cannot go below this; the rest of its CPU is overhead.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import joblib
import pandas as pd

ROWS = 64  # as many as there are connections
_SECONDS = 1.0


def main(folder: Path, name: str) -> None:
    """Print the median."""
    content = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    rows = pd.DataFrame(content["rows"], columns=content["columns"])
    frames = [rows.iloc[start : start + ROWS] for start in range(0, len(rows) - ROWS, ROWS)]
    model = joblib.load(folder / f"{name}.joblib")
    model.predict(frames[0])
    taken: list[float] = []
    ends = time.monotonic() + _SECONDS
    while time.monotonic() < ends:
        began = time.process_time()
        model.predict(frames[len(taken) % len(frames)])
        taken.append(time.process_time() - began)
    print(sorted(taken)[len(taken) // 2] / ROWS * 1e6)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
