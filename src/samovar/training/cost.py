"""What a fitted model costs: time a row as an endpoint will answer it, and size."""

from __future__ import annotations

import pickle
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from samovar.contracts.signature import to_columns
from samovar.scoring.compiler import NotLowered, compile_model
from samovar.scoring.compiler.lower import columns_of
from samovar.scoring.engines.compiled import Runner
from samovar.scoring.plan import SignatureColumn

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from samovar.contracts.spec import ContractSpec

_ROWS = 24
_ROUNDS = 9
_NATIVE_ROUNDS = 2  # a native call takes a thousand times as long
_AGREE = 1e-6


@dataclass(frozen=True, slots=True)
class Cost:
    """A model's cost.

    Attributes:
        latency_us: microseconds of CPU time that scoring one row takes, median over rounds of different rows.
        size_bytes: of the pickled model: it ranks as the stored file does, and takes a hundredth of the time to make.
        compiled: whether the time is the compiled scorer's; else it is the model's own.
    """

    latency_us: float
    size_bytes: int
    compiled: bool


def measure(estimator: Any, contract: ContractSpec, rows: pd.DataFrame) -> Cost:
    """Measure a fitted estimator on some rows."""
    rows = rows.iloc[:_ROWS]
    size = len(pickle.dumps(estimator, protocol=5))
    row = _compiled(estimator, contract, rows)
    if row is not None:
        return Cost(_microseconds(row, list(_values(rows)), _ROUNDS), size, compiled=True)
    singles = [rows.iloc[[position]] for position in range(len(rows))]
    return Cost(_microseconds(estimator.predict_proba, singles, _NATIVE_ROUNDS), size, compiled=False)


def _compiled(estimator: Any, contract: ContractSpec, rows: pd.DataFrame) -> Callable[[Any], Any] | None:
    """The compiled scorer's row function; None where it does not compile or answers something else."""
    try:
        signature = tuple(SignatureColumn(**column) for column in to_columns(contract))
        runner = Runner(compile_model(estimator, columns_of(signature, None)))
    except (NotLowered, ValueError):
        return None
    answers = [runner.row(values)[1] for values in _values(rows)]
    if any(one is None for one in answers):
        return None
    same = np.allclose(np.asarray(answers, dtype=float), estimator.predict_proba(rows), rtol=_AGREE, atol=_AGREE)
    return runner.row if same else None


def _values(rows: pd.DataFrame) -> list[tuple[Any, ...]]:
    columns = [column.astype(object).where(column.notna(), None).tolist() for _, column in rows.items()]
    return list(zip(*columns, strict=True))


def _microseconds(call: Callable[[Any], Any], rows: list[Any], rounds: int) -> float:
    times = []
    for _ in range(rounds):
        began = time.thread_time_ns()
        for values in rows:
            call(values)
        times.append((time.thread_time_ns() - began) / len(rows) / 1000)
    return statistics.median(times)
