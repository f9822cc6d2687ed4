"""Samovar's own scikit-learn steps: what its pipelines hold beside scikit-learn's.

They are part of logged models, so a model that holds one loads wherever Samovar is installed, with MLflow alone too. skops stores
them without code: their state is names and numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin

from samovar import texts

if TYPE_CHECKING:
    from collections.abc import Sequence

NO_TEXT = "no_text_given"
"""What stands for a text that is missing or blank: one word, so that a vectorizer learns what it means that nothing was said."""


def joined_name(columns: Sequence[str]) -> str:
    """Return the name of the column that holds several text columns as one text; no field can have it."""
    return "+".join(columns)


class ReadTexts(TransformerMixin, BaseEstimator):
    """Fills text columns, and computes the columns that are numbers of them; other columns pass.

    A column that is missing altogether is taken for one without a value, as MLflow leaves out what a request did not send.

    Args:
        columns: the text columns.
        numbers: (column, name in `samovar.texts.NUMBERS`, text columns that it is computed from) of each computed column. Values
            that are there already are replaced.
        joined: whether one more column holds all text columns as one text; `joined_name` is what it is called.
    """

    def __init__(
        self, columns: Sequence[str] = (), numbers: Sequence[tuple[str, str, Sequence[str]]] = (), *, joined: bool = False
    ) -> None:
        self.columns = columns
        self.numbers = numbers
        self.joined = joined

    def fit(self, frame: Any, labels: Any = None) -> ReadTexts:  # noqa: ARG002 - scikit-learn's shape
        """Learn nothing."""
        self.fitted_ = True
        return self

    def transform(self, frame: Any) -> Any:
        """Return a pandas frame with the text columns and the computed ones filled."""
        count, given = len(frame), set(frame.columns)
        read = {name: frame[name].tolist() if name in given else [None] * count for name in self._sources()}
        made: dict[str, Any] = {name: [texts.join([text]) or NO_TEXT for text in read[name]] for name in self.columns}
        for name, number, of in self.numbers:
            rows = zip(*(read[one] for one in of), strict=True)
            made[name] = np.array([texts.number(number, row) for row in rows], dtype=np.float64)
        if self.joined:
            rows = zip(*(read[name] for name in self.columns), strict=True)
            made[joined_name(self.columns)] = [texts.join(row) or NO_TEXT for row in rows]
        return frame.assign(**made)

    def _sources(self) -> set[str]:
        return {*self.columns, *(one for _, _, of in self.numbers for one in of)}


class LogCountRatio(TransformerMixin, BaseEstimator):
    """Weighs terms by how much more often they occur with one class than with the others.

    A term's weight is the largest absolute logarithm, over the classes, of the ratio of its smoothed shares of the terms that occur
    in rows of the class and in the others: Wang and Manning, "Baselines and Bigrams" (ACL 2012), without the sign, which a linear
    model needs not. Its penalty then leaves alone what tells classes apart.

    Args:
        smoothing: rows added to those in which a term occurs, larger than 0.
    """

    def __init__(self, smoothing: float = 1.0) -> None:
        self.smoothing = smoothing

    def fit(self, rows: Any, labels: Any) -> LogCountRatio:
        """Learn the weights of rows, shape (n, terms), of at least two classes; only which terms occur counts."""
        rows, labels = sparse.csr_array(rows, dtype=np.float64, copy=True), np.asarray(labels)
        rows.data = (rows.data != 0).astype(np.float64)
        total = self.smoothing + rows.sum(axis=0)
        weights = np.zeros(rows.shape[1])
        for one in np.unique(labels):
            inside = self.smoothing + rows[labels == one].sum(axis=0)
            outside = total - inside + self.smoothing
            ratio = np.log(inside / inside.sum()) - np.log(outside / outside.sum())
            weights = np.maximum(weights, np.abs(ratio))
        self.weights_ = np.asarray(weights, dtype=np.float64)
        return self

    def transform(self, rows: Any) -> Any:
        """Return the rows with each term times its weight."""
        return sparse.csr_matrix(sparse.csr_matrix(rows).multiply(self.weights_))
