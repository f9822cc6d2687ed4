"""From scores to decisions: the version's threshold, the positive class, how sure the answer is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from samovar.contracts.spec import ModelContract, Scalar
    from samovar.scoring.engine import Scores

_HALF = 0.5


@dataclass(frozen=True, slots=True)
class Decided:
    """The decision on one row.

    Attributes:
        label: the answer: the class that the threshold chooses, else the model's own prediction.
        positive: whether the positive class was decided; None for a model that is not binary.
        confidence: probability of the answer given; None when the model gives none.
        shares: class (as text) -> probability, and "" for the positive class.
    """

    label: Any
    positive: bool | None
    confidence: float | None
    shares: Mapping[str, float]

    def probability(self, of: str) -> float | None:
        """Return the probability of class ``of``; the positive class's (or the answer's, with many classes) when empty."""
        return self.shares.get(of, self.confidence if not of else None)


class Decider:
    """Turns scores into decisions.

    Args:
        contract: names the positive class and the threshold.
        classes: the probability columns.
    """

    def __init__(self, contract: ModelContract, classes: tuple[Scalar, ...]) -> None:
        self._classes = classes
        self._names = [str(label) for label in classes]
        self._threshold = contract.threshold
        self._positive: int | None = None
        if len(classes) == 2:
            self._positive = classes.index(contract.positive) if contract.positive in classes else 1

    def decide(self, scores: Scores) -> Iterator[Decided]:
        """Decide every row, in order."""
        labels: Any = scores.labels.tolist() if hasattr(scores.labels, "tolist") else scores.labels
        if scores.probabilities is None:
            for label in labels:
                yield Decided(label, None, None, {})
            return
        for label, row in zip(labels, scores.probabilities.tolist(), strict=True):
            yield self._binary(label, row) if self._positive is not None else self._many(label, row)

    def _binary(self, label: Any, row: list[float]) -> Decided:
        assert self._positive is not None
        share = row[self._positive]
        positive = share >= (_HALF if self._threshold is None else self._threshold)
        answer = self._positive if positive else 1 - self._positive
        if self._threshold is None and label in self._classes:
            answer = self._classes.index(label)  # the model's own prediction: it may know a threshold of its own
            positive = answer == self._positive
        shares = dict(zip(self._names, row, strict=True)) | {"": share}
        return Decided(self._classes[answer], positive, row[answer], shares)

    def _many(self, label: Any, row: list[float]) -> Decided:
        confidence = row[self._classes.index(label)] if label in self._classes else max(row)
        return Decided(label, None, confidence, dict(zip(self._names, row, strict=True)))
