"""Small frames of a made-up shop: what models are fitted on, and rows that are hard on them."""

import numpy as np
import pandas as pd

NUMBERS = ["amount", "age", "balance"]
TEXTS = ["kind", "city"]


def sales(rows=80, *, gaps=False):
    """Return rows of ordinary numbers, booleans and texts."""
    rng = np.random.default_rng(7)
    frame = pd.DataFrame(
        {
            "amount": rng.gamma(2, 30, rows),
            "age": rng.integers(18, 90, rows),
            "balance": rng.normal(0, 1e4, rows),
            "member": rng.random(rows) < 0.5,
            "kind": rng.choice(["a", "b", "cé", "", "rare"], rows, p=[0.4, 0.3, 0.2, 0.06, 0.04]),
            "city": rng.choice(["x", "y"], rows),
        }
    )
    if gaps:
        frame.loc[::7, "amount"] = np.nan
        frame.loc[::11, "kind"] = None
    return frame


def edges(*, gaps=True):
    """Return ordinary rows and extreme ones: missing, infinite, huge, unknown, empty, beyond 2^53."""
    hard = pd.DataFrame(
        {
            "amount": [np.nan, np.inf, -np.inf, 1e300, 0.0, -0.0, 5e-324, 12.5],
            "age": [1, 2, 3, 4, 2**62, -(2**62), 0, 40],
            "balance": [1.0, 2.0, np.nan, 4.0, 5.0, -1e300, 1e-300, 0.1],
            "member": [True, False] * 4,
            "kind": ["unknown", None, "a", "é", "b", "A", "a ", "rare"],
            "city": ["x", "y", "z", None, "x", "", "y", "x"],
        }
    )
    return pd.concat([sales(6, gaps=gaps), hard], ignore_index=True)


def two(frame):
    """Return two classes."""
    return (frame["amount"].fillna(20) + frame["age"] > 110).astype(int)


def three(frame):
    """Return three classes, named by text."""
    return pd.cut(frame["amount"].fillna(20) + frame["age"], 3, labels=["low", "mid", "high"]).astype(str)


def price(frame):
    """Return a positive number."""
    return frame["amount"].fillna(20) * 2 + frame["age"] + 1
