"""How often drift is announced where there is none, and found where there is: ``build/bench/drift_alarms.json``.

Eight features (normal, skewed, heavy-tailed, discrete, categorical, with missing values), a reference of 5,000 rows, seeds fixed
beforehand. Undrifted windows of 50 to 20,000 rows give the false alarms a window; one feature shifted by a stated number of
standard deviations gives the power.
"""

from __future__ import annotations

import json
import sys

import figures
import numpy as np
import polars as pl

from samovar.contracts.spec import ContractSpec, FieldSpec
from samovar.monitoring.drift import compare
from samovar.profiles import profile
from samovar.project import Drift

WINDOWS = 1000
SIZES = (50, 200, 1000, 5000, 20_000)
SHIFTS = (0.5, 1.0)
POWER_RUNS = 50
CONTRACT = ContractSpec(
    name="Synthetic",
    fields=(
        FieldSpec("normal", "float"),
        FieldSpec("skewed", "float"),
        FieldSpec("heavy", "float"),
        FieldSpec("uniform", "float"),
        FieldSpec("count", "int"),
        FieldSpec("flag", "bool"),
        FieldSpec("category", "str"),
        FieldSpec("holes", "float", nullable=True),
    ),
)


def frame(generator: np.random.Generator, rows: int, shift: float = 0.0) -> pl.DataFrame:
    """Draw rows; ``shift`` moves ``normal`` by that many standard deviations."""
    holes = generator.normal(size=rows)
    return pl.DataFrame(
        {
            "normal": generator.normal(shift, 1, rows),
            "skewed": generator.lognormal(0, 1, rows),
            "heavy": generator.standard_t(2, rows),
            "uniform": generator.uniform(size=rows),
            "count": generator.poisson(2, rows),
            "flag": generator.random(rows) < 0.1,
            "category": generator.choice(list("abcdefgh"), rows, p=[0.4, 0.2, 0.1, 0.1, 0.1, 0.05, 0.03, 0.02]),
            "holes": pl.Series(np.where(generator.random(rows) < 0.2, np.nan, holes)).fill_nan(None),
        }
    )


def main() -> int:
    """Measure and write."""
    generator = np.random.default_rng(2026)
    policy = Drift()
    alarms = dict.fromkeys(SIZES, 0)
    for window in range(WINDOWS):
        size = SIZES[window % len(SIZES)]
        reference = profile.build(frame(generator, 5000), CONTRACT)
        current = profile.count(reference, frame(generator, size))
        alarms[size] += compare(reference, current, policy).verdict == "alarm"
    found = {}
    for size in SIZES:
        for shift in SHIFTS:
            reference = profile.build(frame(generator, 5000), CONTRACT)
            reports = [
                compare(reference, profile.count(reference, frame(generator, size, shift)), policy) for _ in range(POWER_RUNS)
            ]
            found[f"{size} rows, shift {shift} sd"] = sum(report.verdict == "alarm" for report in reports) / POWER_RUNS
    measured = {
        "windows": WINDOWS,
        "false_alarms_per_window": sum(alarms.values()) / WINDOWS,
        "found_at_1sd_200_rows": found["200 rows, shift 1.0 sd"],
    }
    figures.write("build/bench/drift_alarms.json", measured, false_alarms=alarms, power=found)
    print(json.dumps(measured | {"power": found}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
