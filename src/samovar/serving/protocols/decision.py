"""From scores to decisions: the version's threshold, the positive class, how sure the answer is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from samovar.contracts.spec import ModelContract, Scalar

_HALF = 0.5

Decided = tuple[Any, bool | None, float | None, float | None]
"""The decision on one row: a plain tuple, because one is made for every row.

label: the answer, the class that the threshold chooses, else the model's own prediction.
positive: whether the positive class was decided; None for a model that is not binary.
confidence: probability of the answer given; None when the model gives none.
share: probability of the positive class, the answer's with many classes; None when the model gives none.
"""


@dataclass(frozen=True, slots=True)
class Decider:
    """Turns one row's label and probabilities into a decision.

    Attributes:
        classes: the probability columns.
        positive: the position of the positive class; None when the model is not binary.
        threshold: the decision threshold; None leaves the decision to the model.
    """

    classes: tuple[Scalar, ...]
    positive: int | None
    threshold: float | None

    @classmethod
    def of(cls, contract: ModelContract, classes: tuple[Scalar, ...]) -> Decider:
        """Take positive class and threshold from the version's contract."""
        positive = None
        if len(classes) == 2:
            positive = classes.index(contract.positive) if contract.positive in classes else 1
        return cls(classes, positive, contract.threshold)

    def decide(self, label: Any, shares: Sequence[float] | None) -> Decided:
        """Decide one row."""
        if shares is None:
            return label, None, None, None
        if self.positive is None:
            confidence = shares[self.classes.index(label)] if label in self.classes else max(shares)
            return label, None, confidence, confidence
        share = shares[self.positive]
        decided = share >= (_HALF if self.threshold is None else self.threshold)
        answer = self.positive if decided else 1 - self.positive
        if self.threshold is None and label in self.classes:
            answer = self.classes.index(label)  # the model's own prediction: it may know a threshold of its own
            decided = answer == self.positive
        return self.classes[answer], decided, shares[answer], share
