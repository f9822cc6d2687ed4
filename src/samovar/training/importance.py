"""Permutation importance (Breiman 2001): how much worse a model is when one field's values are shuffled.

On held-out rows, one whole contract field at a time, whatever columns the model makes of it. The work is parted: which rows are
asked about needs their labels, which a candidate's process has not; the answers need the model, which its parent has not.
"""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from samovar.training import bootstrap
from samovar.training.outcomes import Outcome

if TYPE_CHECKING:
    import pandas as pd

    from samovar.contracts.spec import ContractSpec

_ANSWERS = 24_000  # predictions that a model is asked for
_TEXT_ANSWERS = 4_000  # a text costs a model ten to a hundred times what numbers cost it
_REPEATS = 3
_MANY_FIELDS = 20  # from so many on each is shuffled once
_MOST_ROWS = 1000
_FEWEST_ROWS = 50
_ROUNDS = 200
_SECONDS = 5.0  # of a slow model; what was not asked by then is not known


@dataclass(frozen=True, slots=True)
class Permuted:
    """A model's answers on shuffled rows.

    Attributes:
        fields: what was shuffled.
        answers: probabilities, for each field of shape (repeats, m, k).
    """

    fields: tuple[str, ...]
    answers: tuple[np.ndarray, ...]


def choose(truth: np.ndarray, contract: ContractSpec, seed: int) -> np.ndarray:
    """Positions of the rows to ask about, shape (m,): of each class as many as there are, up to an equal share.

    Few rows hold few frauds; all of them are asked about, and `importances` weighs them as they occur.
    """
    fields = max(1, len(_fields(contract)))
    budget = _TEXT_ANSWERS if any(field.role == "text" for field in contract.features) else _ANSWERS
    most = int(np.clip(budget // (fields * _repeats(fields)), _FEWEST_ROWS, _MOST_ROWS))
    random = np.random.default_rng(seed)
    groups = sorted((random.permutation(np.flatnonzero(truth == one)) for one in np.unique(truth)), key=len)
    chosen: list[np.ndarray] = []
    for left, group in zip(range(len(groups), 0, -1), groups, strict=True):
        taken = group[: most // left]
        chosen.append(taken)
        most -= taken.size
    return np.sort(np.concatenate(chosen))


def ask(estimator: Any, rows: pd.DataFrame, contract: ContractSpec, seed: int) -> Permuted:
    """Ask a fitted model about rows with each field shuffled in turn."""
    random = np.random.default_rng(seed)
    names = _fields(contract)
    latest = time.process_time() + _SECONDS
    answers: dict[str, list[np.ndarray]] = {}
    for name, _ in itertools.product(names, range(_repeats(len(names)))):
        if time.process_time() > latest:
            break
        answers.setdefault(name, []).append(_shuffled(estimator, rows, name, random))
    return Permuted(tuple(answers), tuple(np.stack(one) for one in answers.values()))


def importances(outcome: Outcome, chosen: np.ndarray, permuted: Permuted, metric: str, seed: int) -> list[dict[str, Any]]:
    """Loss of metric by field, the greatest first, with 95 % intervals over the rows.

    Args:
        outcome: the model's answers on all held-out rows.
        chosen: positions of the rows asked about.
        permuted: what it said of them.
        metric: the project's.
        seed: of the bootstrap.
    """
    weights = _weights(outcome.truth, chosen)
    plain = Outcome(outcome.truth[chosen], outcome.probabilities[chosen], outcome.positive, outcome.threshold)
    before = bootstrap.weighted(metric, plain, weights, seed=seed, rounds=_ROUNDS)
    found = []
    for field, answers in zip(permuted.fields, permuted.answers, strict=True):
        shuffled = [Outcome(plain.truth, one, plain.positive, plain.threshold) for one in answers]
        after = [bootstrap.weighted(metric, one, weights, seed=seed, rounds=_ROUNDS) for one in shuffled]
        mean = bootstrap.Sample(float(np.mean([one.value for one in after])), np.mean([one.replicates for one in after], axis=0))
        found.append({"field": field, **before.minus(mean).interval(0.95).as_dict()})
    return sorted(found, key=lambda one: -one["value"])


def _fields(contract: ContractSpec) -> list[str]:
    return [field.name for field in contract.features if field.dtype != "datetime"]  # models see no raw time


def _repeats(fields: int) -> int:
    return _REPEATS if fields < _MANY_FIELDS else 1


def _shuffled(estimator: Any, rows: pd.DataFrame, name: str, random: np.random.Generator) -> np.ndarray:
    column = rows[name]
    shuffled = rows.assign(**{name: column.take(random.permutation(len(column))).set_axis(rows.index)})
    return np.asarray(estimator.predict_proba(shuffled), dtype=np.float64)


def _weights(truth: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """How many held-out rows each chosen one stands for, shape (m,)."""
    every, taken = np.bincount(truth), np.bincount(truth[chosen], minlength=truth.max() + 1)
    return np.asarray((every / np.maximum(taken, 1))[truth[chosen]])
