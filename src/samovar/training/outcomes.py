"""What a model said about rows whose labels are known: the input of every score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from samovar.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from samovar.contracts.spec import Scalar


@dataclass(frozen=True, slots=True)
class Outcome:
    """Labels and probabilities of n rows over k classes.

    Attributes:
        truth: class index of each row, shape (n,).
        probabilities: shape (n, k).
        positive: index of the positive class of a binary model, else None.
        threshold: the positive class is predicted from this probability on.
        ordinal: whether the classes are steps of a scale, in order.
    """

    truth: np.ndarray
    probabilities: np.ndarray
    positive: int | None = None
    threshold: float = 0.5
    ordinal: bool = False

    @property
    def predicted(self) -> np.ndarray:
        """Predicted class index of each row, shape (n,)."""
        if self.positive is None:
            return np.asarray(self.probabilities.argmax(axis=1))
        return np.where(self.score >= self.threshold, self.positive, 1 - self.positive)

    @property
    def score(self) -> np.ndarray:
        """Probability of the positive class, shape (n,); binary models only."""
        assert self.positive is not None
        return np.asarray(self.probabilities[:, self.positive])

    @property
    def is_positive(self) -> np.ndarray:
        """Whether each row is of the positive class, shape (n,); binary models only."""
        return np.asarray(self.truth == self.positive)

    def only(self, rows: np.ndarray) -> Outcome:
        """Return the outcome of some of the rows, given as a mask or as positions."""
        return Outcome(self.truth[rows], self.probabilities[rows], self.positive, self.threshold)


def are_ordinal(classes: Sequence[Scalar]) -> bool:
    """Whether classes are steps of a scale: three or more whole numbers."""
    return len(classes) > 2 and all(type(one) is int for one in classes)


def class_indices(labels: Sequence[Any], classes: Sequence[Scalar]) -> np.ndarray:
    """Turn labels into class indices.

    Raises:
        DataError: a label is none of the classes; it is not repeated in the message.
    """
    index = {value: position for position, value in enumerate(classes)}
    try:
        return np.fromiter((index[label] for label in labels), dtype=np.int64, count=len(labels))
    except (KeyError, TypeError):
        raise DataError(
            "The target holds a label that the model does not know.", remedy="Train on a dataset that has it."
        ) from None


def from_labels(predicted: Sequence[Any], classes: Sequence[Scalar]) -> np.ndarray:
    """Probabilities, all 0 or 1, of a model that gives labels only; shape (n, k). A label outside the classes is all 0."""
    index = {value: position for position, value in enumerate(classes)}
    probabilities = np.zeros((len(predicted), len(classes)))
    for row, label in enumerate(predicted):
        if label in index:
            probabilities[row, index[label]] = 1.0
    return probabilities
