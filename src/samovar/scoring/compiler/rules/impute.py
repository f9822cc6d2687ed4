"""Imputers of one column at a time, and signs of what was missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from samovar.scoring.compiler.errors import NotLowered
from samovar.scoring.compiler.registry import transform
from samovar.scoring.compiler.rules.compose import take
from samovar.scoring.compiler.values import Dense, Frame, Sparse
from samovar.scoring.ops import Fill, FillCell, Missing
from samovar.scoring.ops.base import Array

if TYPE_CHECKING:
    from samovar.contracts.spec import Scalar
    from samovar.scoring.compiler.values import Draft, Value


@transform("sklearn.impute._base.SimpleImputer")
def simple(step: Any, value: Value, draft: Draft) -> Value:
    """The statistic of the fit in the place of what is missing; columns that had nothing at the fit are left out."""
    marker = _marker(step)
    kept = _kept(step)
    textual = np.dtype(step._fit_dtype).kind == "O"  # noqa: SLF001 - as transform reads it
    if not textual:
        _same_kind(step, value)
        value = draft.checked(value, gaps=marker is None)
    filled = _cells(step, draft.apart(value), kept, marker, draft) if textual else _numbers(step, value, kept, marker, draft)
    if not step.add_indicator:
        return filled
    return draft.join([filled, *_signs(step.indicator_.features_.tolist(), value, marker, draft)])


def _kept(step: Any) -> list[int]:
    statistics = step.statistics_.tolist()
    if step.keep_empty_features:
        return list(range(len(statistics)))
    return [index for index, statistic in enumerate(statistics) if statistic == statistic]  # noqa: PLR0124 - NaN


def _numbers(step: Any, value: Value, kept: list[int], marker: Any, draft: Draft) -> Dense:
    dense = take(draft, value, kept)
    assert isinstance(dense, Dense)
    statistics = np.asarray(step.statistics_)[kept].astype(step._fill_dtype)  # noqa: SLF001 - as transform casts them
    whole = not np.isnan(statistics.astype(np.float64)).any()
    if dense.sparse and marker == 0:
        raise NotLowered("SimpleImputer takes zeros of a sparse matrix for missing.")
    node = Fill((dense.number,), Array.of(statistics, "f8"), marker)
    return draft.then(node, dense, finite=whole)


def _cells(step: Any, frame: Frame, kept: list[int], marker: Any, draft: Draft) -> Frame:
    chosen = frame.take(kept)
    numbers = []
    for index, number, kind, name in zip(kept, chosen.numbers, chosen.kinds, chosen.names, strict=True):
        statistic = step.statistics_[index]
        statistic = statistic.item() if isinstance(statistic, np.generic) else statistic
        if statistic is None or statistic != statistic:  # noqa: PLR0124 - NaN
            raise NotLowered("SimpleImputer keeps a column of text that was empty at the fit.")
        if isinstance(statistic, str) != (kind == "str"):
            raise NotLowered("SimpleImputer fills a column with another kind of value.")
        numbers.append(draft.add(FillCell((number,), statistic, marker, name)))
    return Frame(tuple(numbers), chosen.names, chosen.kinds)


def _same_kind(step: Any, value: Value) -> None:
    """Refuse what scikit-learn refuses: a fill value that the columns' common type cannot hold."""
    if isinstance(value, Sparse):
        raise NotLowered("SimpleImputer of sparse rows.")
    if isinstance(value, Frame) and step.strategy in ("constant", "most_frequent"):
        if "bool" in value.kinds:
            raise NotLowered("SimpleImputer takes no booleans.")
        common = np.result_type(*(kind for kind in value.kinds if kind != "str")) if "str" not in value.kinds else None
        if common is None or not np.can_cast(step._fill_dtype, common, casting="same_kind"):  # noqa: SLF001 - as transform checks it
            raise NotLowered("SimpleImputer was fitted on another kind of numbers than the signature's.")


@transform("sklearn.impute._base.MissingIndicator")
def indicator(step: Any, value: Value, draft: Draft) -> Value:
    """A sign for each column that had gaps at the fit, or for all."""
    if step.features == "missing-only" and step.error_on_new and len(step.features_) < value.width:
        raise NotLowered("MissingIndicator refuses gaps in columns that had none at the fit.")
    marker = _marker(step)
    if not (isinstance(value, Frame) and "str" in value.kinds):
        value = draft.checked(value, gaps=marker is None)
    return draft.join(_signs(step.features_.tolist(), value, marker, draft))


def _signs(positions: list[int], value: Value, marker: Any, draft: Draft) -> list[Dense]:
    frame = draft.apart(value)
    return [
        Dense(draft.add(Missing((frame.numbers[index],), marker)), 1, names=(frame.names[index],), finite=True)
        for index in positions
    ]


def _marker(step: Any) -> Scalar | None:
    """Return what means missing; None stands for null and NaN."""
    missing = step.missing_values
    if isinstance(missing, np.generic):
        missing = missing.item()
    if missing is None or missing != missing:  # noqa: PLR0124 - NaN
        return None
    if isinstance(missing, str | int | float):
        return missing
    raise NotLowered("What means missing to an imputer is of an unusual kind.")
