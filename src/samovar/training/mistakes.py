"""Held-out rows that a model got wrong, the surest mistakes first: what a person reads to see why.

A field that the contract drops from the log is not shown here either, and a hashed one only as its hash.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    import polars as pl

    from samovar.contracts.spec import ContractSpec, FieldSpec, Scalar
    from samovar.training.outcomes import Outcome

_MOST = 20
_TEXT = 400  # characters of a value


def worst(
    outcome: Outcome, rows: pl.DataFrame, contract: ContractSpec, classes: tuple[Scalar, ...], hashed: Callable[[Any], bytes | None]
) -> list[dict[str, Any]]:
    """Return the mistakes that the model was surest of.

    Args:
        outcome: answers on the held-out rows.
        rows: those rows.
        contract: the fields to show, and what may be shown of them.
        classes: labels by index.
        hashed: hides a value whose policy is ``hash``.

    Returns:
        at most 20 of ``true``, ``predicted``, ``probability`` (given to the predicted class), ``row`` (field -> value).
    """
    predicted = outcome.predicted
    given = (
        outcome.probabilities[np.arange(predicted.size), predicted]
        - outcome.probabilities[np.arange(predicted.size), outcome.truth]
    )
    wrong = np.flatnonzero(predicted != outcome.truth)
    chosen = wrong[np.argsort(-given[wrong], kind="stable")][:_MOST].tolist()
    shown = [field for field in contract.fields if field.log != "drop"]
    values = rows[chosen].select(field.name for field in shown).rows()
    return [
        {
            "true": classes[outcome.truth[place]],
            "predicted": classes[predicted[place]],
            "probability": round(float(outcome.probabilities[place, predicted[place]]), 6),
            "row": {field.name: _shown(field, value, hashed) for field, value in zip(shown, row, strict=True)},
        }
        for place, row in zip(chosen, values, strict=True)
    ]


def _shown(field: FieldSpec, value: Any, hashed: Callable[[Any], bytes | None]) -> Any:
    if field.log == "hash":
        digest = hashed(value)
        return None if digest is None else digest.hex()
    if isinstance(value, dt.datetime):
        return value.isoformat()
    if isinstance(value, str) and len(value) > _TEXT:
        return value[:_TEXT] + "…"
    return value
