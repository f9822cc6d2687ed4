"""Selectors of columns by what was measured at the fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import get_tags

from samovar.scoring.compiler.errors import NotLowered
from samovar.scoring.compiler.registry import lower_predict, predict, transform
from samovar.scoring.compiler.rules.compose import take

if TYPE_CHECKING:
    from samovar.scoring.compiler.values import Draft, Value

_FEATURES = "sklearn.feature_selection"


@transform(
    f"{_FEATURES}._from_model.SelectFromModel",
    f"{_FEATURES}._rfe.RFE",
    f"{_FEATURES}._rfe.RFECV",
    f"{_FEATURES}._sequential.SequentialFeatureSelector",
    f"{_FEATURES}._univariate_selection.GenericUnivariateSelect",
    f"{_FEATURES}._univariate_selection.SelectFdr",
    f"{_FEATURES}._univariate_selection.SelectFpr",
    f"{_FEATURES}._univariate_selection.SelectFwe",
    f"{_FEATURES}._univariate_selection.SelectKBest",
    f"{_FEATURES}._univariate_selection.SelectPercentile",
    f"{_FEATURES}._variance_threshold.VarianceThreshold",
)
def selector(step: Any, value: Value, draft: Draft) -> Value:
    """The supported columns."""
    kept = np.flatnonzero(step.get_support()).tolist()
    if not kept:
        raise NotLowered(f"{type(step).__name__} selects no column.")
    # A selector that allows NaN checks nothing: an infinite number in a column that it drops does not matter.
    return take(draft, value if get_tags(step).input_tags.allow_nan else draft.checked(value), kept)


@predict(f"{_FEATURES}._rfe.RFE", f"{_FEATURES}._rfe.RFECV")
def eliminated(step: Any, value: Value, draft: Draft) -> None:
    """The estimator on the supported columns."""
    lower_predict(step.estimator_, selector(step, value, draft), draft)
