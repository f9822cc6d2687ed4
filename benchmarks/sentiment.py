"""Do the sentiment projects beat a plain TF-IDF with a logistic regression? ``build/bench/sentiment.json``.

``films``: the real steps (ingest, train) against a real MLflow server, on the packaged reviews; the registered version and the
plain model answer the same 5,000 held-out rows. ``kindle``: a file of Kindle reviews (``SAMOVAR_SENTIMENT_SOURCE``), five folds by
five repeats, no reviewer and no product on both sides; and the split by time, reported. ``memory``: a generated file of some 700 MB
is read in a process of its own. Intervals are 95 % bootstrap intervals; for Kindle over blocks of connected rows.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import figures
import numpy as np
import pandas as pd
import skops.io
from sklearn.base import clone
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import samovar as sv
from samovar.contracts.check import check
from samovar.projects import reviews
from samovar.projects.sentiment import Review, sentiment, sentiment_stars
from samovar.training import bootstrap, builders, groups, metrics, table
from samovar.training.outcomes import Outcome, class_indices
from samovar.training.split import group_codes, split

SEED = 0
FOLDS = REPEATS = 5
INNER = 3
ROUNDS = 1000
SAMOVAR = [sys.executable, "-m", "samovar.cli.main"]
LARGE_MB = 700


def main() -> int:
    """Measure what is named on the command line, or all, and write it beside what was measured before."""
    parts = {"films": films, "kindle": kindle, "memory": memory}
    target = figures.ROOT / "build/bench/sentiment.json"
    measured: dict[str, Any] = json.loads(target.read_text(encoding="utf-8"))["measured"] if target.exists() else {}
    for name in sys.argv[1:] or parts:
        if name == "kindle" and not reviews.where():
            print("kindle: set SAMOVAR_SENTIMENT_SOURCE to measure it", file=sys.stderr)
            continue
        measured |= parts[name]()
        figures.write("build/bench/sentiment.json", measured)
        print(json.dumps(measured, indent=1), flush=True)
    return 0


def plain(**options: Any) -> Any:
    """Return the baseline: TF-IDF of words and pairs, logistic regression."""
    return make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), LogisticRegression(max_iter=1000, **options))


def joined(frame: pd.DataFrame) -> list[str]:
    """What the baseline reads: text and title."""
    return [f"{text} {title or ''}" for text, title in zip(frame["reviewText"], frame["summary"], strict=True)]


def films() -> dict[str, float]:
    """The packaged reviews: the registered version against the plain model on the same held-out rows."""
    os.environ.pop("SAMOVAR_SENTIMENT_SOURCE", None)
    os.environ.pop("RAW_DATA_DIR", None)
    model, seconds = _trained()
    frame = check(sentiment.source(sv.Window()), Review.spec, target="sentiment", carried=sentiment.carried).accepted  # type: ignore[arg-type]
    parts = split(frame, sentiment, SEED)
    classes = ("negative", "positive")
    truth = class_indices(parts.held_out["sentiment"].to_list(), classes)
    train, held_out = (pd.DataFrame(table.columns(part, Review.spec)) for part in (parts.train, parts.held_out))
    baseline = plain().fit(joined(train), parts.train["sentiment"].to_list())
    ours = Outcome(truth, model.predict_proba(held_out), 1)
    theirs = Outcome(truth, baseline.predict_proba(joined(held_out)), 1)
    gain = bootstrap.difference("f1_macro", ours, theirs, seed=SEED)
    return {
        "films_held_out_rows": parts.held_out.height,
        "films_train_seconds": round(seconds, 1),
        "films_f1_macro": round(metrics.value("f1_macro", ours), 4),
        "films_plain_f1_macro": round(metrics.value("f1_macro", theirs), 4),
        "films_gain": round(gain.value, 4),
        "films_gain_low": round(gain.low, 4),
    }


def _trained() -> tuple[Any, float]:
    """Ingest and train on a server of its own; return the registered version's model, and the seconds of ``samovar train``."""
    with tempfile.TemporaryDirectory(prefix="samovar-sentiment-") as home:
        os.environ["SAMOVAR_HOME"] = home
        os.environ.pop("MLFLOW_TRACKING_URI", None)
        subprocess.run([*SAMOVAR, "up", "--detach"], check=True)
        try:
            subprocess.run([*SAMOVAR, "ingest", "sentiment"], check=True)
            began = time.monotonic()
            ended = subprocess.run([*SAMOVAR, "train", "sentiment", "--json"], check=True, capture_output=True, text=True)
            seconds = time.monotonic() - began
            folder = Path(home) / "downloaded"
            uri = json.loads((Path(home) / "run/addresses.json").read_text(encoding="utf-8"))["mlflow"]
            source = f"models:/sentiment/{json.loads(ended.stdout)['version']}"
            code = f"import mlflow; mlflow.artifacts.download_artifacts({source!r}, dst_path={str(folder)!r})"
            folder.mkdir()
            subprocess.run([SAMOVAR[0], "-c", code], check=True, env={**os.environ, "MLFLOW_TRACKING_URI": uri})
            data = next(folder.rglob("*.skops")).read_bytes()
        finally:
            subprocess.run([*SAMOVAR, "down"], check=True)
    return skops.io.loads(data, trusted=skops.io.get_untrusted_types(data=data)), seconds


def kindle() -> dict[str, float]:
    """Kindle reviews: gains over the plain model, folds and repeats grouped; and the split by time."""
    rows = reviews.read(reviews.where(), sv.Window())
    stars = check(rows, Review.spec, target="stars", time="reviewed_at", carried=("reviewerID", "asin")).accepted
    measured = _moods(stars.filter(stars["stars"] != 3)) | _stars(stars)
    return {"kindle_rows": stars.height} | {name: round(value, 4) for name, value in measured.items()}


def _moods(frame: Any) -> dict[str, float]:
    """Positive against negative: AUC, and macro-F1 with a threshold that inner folds chose, as they chose among the candidates."""
    codes: Any = group_codes(frame, sentiment)
    truth = (frame["stars"] > 3).to_numpy().astype(int)
    data = pd.DataFrame(table.columns(frame, Review.spec))
    found: dict[str, list[tuple[Outcome, Outcome]]] = {"ours": [], "plain": []}
    for repeat in range(REPEATS):
        scores = {name: (np.zeros(len(truth)), np.zeros(len(truth))) for name in found}
        for train, fold in _folds(codes, truth, FOLDS, repeat):
            for name, (score, said) in scores.items():
                model, limit = _chosen(_tried(name, sentiment), data.iloc[train], truth[train], codes[train])
                score[fold] = _probabilities(model, data.iloc[train], truth[train], data.iloc[fold])[:, 1]
                said[fold] = score[fold] >= limit
        for name, (score, said) in scores.items():
            found[name].append((_outcome(truth, score), _outcome(truth, said)))
        print(f"repeat {repeat + 1} of {REPEATS}", file=sys.stderr, flush=True)
    auc = _gain(codes, "roc_auc", *([pair[0] for pair in found[name]] for name in ("ours", "plain")))
    f1 = _gain(codes, "f1_macro", *([pair[1] for pair in found[name]] for name in ("ours", "plain")))
    return _named("kindle_auc", auc) | _named("kindle_f1_macro", f1) | _by_time(frame, data, truth, codes)


def _by_time(frame: Any, data: pd.DataFrame, truth: Any, codes: Any) -> dict[str, float]:
    """The latest 30 % of the rows; training rows that share a reviewer or a product with them are left out."""
    moments = frame["reviewed_at"].to_numpy().astype("int64")
    late = moments >= np.quantile(moments, 0.7)
    held_out = np.flatnonzero(late)
    train = groups.apart(codes, np.flatnonzero(~late), held_out)
    measured = {}
    for name in ("ours", "plain"):
        model, limit = _chosen(_tried(name, sentiment), data.iloc[train], truth[train], codes[train])
        score = _probabilities(model, data.iloc[train], truth[train], data.iloc[held_out])[:, 1]
        measured[f"kindle_time_auc_{name}"] = metrics.value("roc_auc", _outcome(truth[held_out], score))
        measured[f"kindle_time_f1_macro_{name}"] = metrics.value("f1_macro", _outcome(truth[held_out], score >= limit))
    return measured


def _stars(frame: Any) -> dict[str, float]:
    """Five stars: macro-F1 of the most probable one. The plain model has balanced class weights too: it needs them more."""
    codes, truth = group_codes(frame, sentiment_stars), frame["stars"].to_numpy() - 1
    data = pd.DataFrame(table.columns(frame, Review.spec))
    (ours,) = _tried("ours", sentiment_stars)
    models = {"ours": ours, "plain": make_pipeline(FunctionTransformer(joined), plain(class_weight="balanced"))}
    found: dict[str, list[Outcome]] = {name: [] for name in models}
    for repeat in range(REPEATS):
        answers = {name: np.zeros((len(truth), 5)) for name in models}
        for train, fold in _folds(codes, truth, FOLDS, repeat):
            for name, answer in answers.items():
                answer[fold] = _probabilities(models[name], data.iloc[train], truth[train], data.iloc[fold])
        for name, answer in answers.items():
            found[name].append(Outcome(truth, answer, ordinal=True))
        print(f"stars: repeat {repeat + 1} of {REPEATS}", file=sys.stderr, flush=True)
    gains = {
        f"kindle_stars_{metric}": _gain(codes, metric, found["ours"], found["plain"]) for metric in ("f1_macro", "quadratic_kappa")
    }
    return {key: value for name, gain in gains.items() for key, value in _named(name, gain).items()}


def _folds(codes: Any, truth: Any, count: int, seed: int) -> list[tuple[Any, Any]]:
    """Folds of whole blocks; rows that straddle all the same are not learned from."""
    ids, _ = groups.blocks(codes)
    folds = StratifiedGroupKFold(count, shuffle=True, random_state=seed).split(truth, truth, ids)
    return [(groups.apart(codes, train, fold), fold) for train, fold in folds]


def _tried(name: str, project: Any) -> list[Any]:
    """The project's own candidates with the parameters that a search begins with; or the baseline."""
    if name == "plain":
        return [make_pipeline(FunctionTransformer(joined), plain())]
    return [builders.build(spec, Review.spec, spec.params, SEED) for spec in project.candidates]


def _probabilities(model: Any, data: pd.DataFrame, truth: Any, asked: pd.DataFrame) -> Any:
    return clone(model).fit(data, truth).predict_proba(asked)


def _chosen(models: list[Any], data: pd.DataFrame, truth: Any, codes: Any) -> tuple[Any, float]:
    """Return the model and the threshold with the best macro-F1 on inner folds of the training rows."""
    best = (-1.0, models[0], 0.5)
    for model in models:
        score = np.zeros(len(truth))
        for train, fold in _folds(codes, truth, INNER, SEED):
            score[fold] = _probabilities(model, data.iloc[train], truth[train], data.iloc[fold])[:, 1]
        for limit in np.unique(np.quantile(score, np.linspace(0, 0.5, 101))):
            value = metrics.value("f1_macro", _outcome(truth, score >= limit))
            best = max(best, (value, model, float(limit)), key=lambda one: one[0])
    return best[1:]


def _outcome(truth: Any, score: Any) -> Outcome:
    score = np.asarray(score, dtype=float)
    return Outcome(truth, np.column_stack([1 - score, score]), 1)


def _gain(codes: Any, metric: str, ours: list[Outcome], theirs: list[Outcome]) -> tuple[float, float, float, float]:
    """Return ours, theirs, and the interval's ends of the mean paired gain; blocks of rows are drawn."""
    blocks = np.unique(groups.components(codes), return_inverse=True)[1]
    count = blocks.max() + 1
    weights = np.random.default_rng(SEED).multinomial(count, np.full(count, 1 / count), ROUNDS)[:, blocks].astype(float)
    score = metrics.SCORES[metric]
    gains = np.mean([score(one, weights) - score(other, weights) for one, other in zip(ours, theirs, strict=True)], axis=0)
    low, high = np.nanquantile(gains, [0.025, 0.975])
    means = (float(np.mean([metrics.value(metric, one) for one in many])) for many in (ours, theirs))
    return *means, float(low), float(high)  # type: ignore[return-value]


def _named(name: str, gain: tuple[float, float, float, float]) -> dict[str, float]:
    return dict(zip((name, f"{name}_plain", f"{name}_gain_low", f"{name}_gain_high"), gain, strict=True))


def memory() -> dict[str, float]:
    """Read a generated file that is larger than what reading it may take."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kindle_reviews.json"
        _generate(path)
        code = (
            "import resource, samovar as sv; from samovar.projects import reviews\n"
            f"rows = reviews.read({str(path)!r}, sv.Window(), limit=20000)\n"
            "print(rows.height, rows['unreadable'].drop_nulls().len(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        )
        ended = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        rows, unreadable, peak = map(int, ended.stdout.split())
        size = path.stat().st_size
    return {
        "memory_file_mb": round(size / 2**20),
        "memory_peak_mb": round(peak / 1024),
        "memory_rows": rows,
        "memory_unreadable": unreadable,
    }


def _generate(path: Path) -> None:
    random = np.random.default_rng(SEED)
    words = np.array([f"word{index}" for index in range(5000)])
    with path.open("w", encoding="utf-8") as file:
        for number in range(LARGE_MB * 2**20 // 1100):
            text = " ".join(random.choice(words, 110))
            row = {"asin": f"B{number % 5000}", "reviewerID": f"A{number}", "overall": number % 5 + 1, "summary": "x"}
            line = json.dumps({**row, "reviewText": text, "unixReviewTime": 1_200_000_000 + number})
            file.write((line if number % 997 else line[:-20]) + "\n")


if __name__ == "__main__":
    sys.exit(main())
