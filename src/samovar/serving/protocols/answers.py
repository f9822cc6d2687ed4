"""Answers to rows, in the two shapes that protocols write: what a model's pyfunc gives, and decisions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from samovar.scoring.engine import Scores
    from samovar.serving.traffic.voice import Voice

    Decide = Callable[[Any, Sequence[float] | None], Any]


class Predictions:
    """What a model's ``predict`` gave: one value a row, or something else that only the whole request can be answered with.

    Args:
        values: builtin data.
    """

    __slots__ = ("values",)

    def __init__(self, values: Any) -> None:
        self.values = values

    def __len__(self) -> int:
        """Return the number of rows; 0 for what is no list of answers, which no request has rows for."""
        return len(self.values) if isinstance(self.values, list) else 0

    def cut(self, start: int, stop: int) -> Predictions:
        """Return the answers to some of the rows."""
        return Predictions(self.values[start:stop])

    def logged(self, index: int) -> tuple[Any, Sequence[float] | None]:
        """Return the label of a row, or the probabilities where those are the answer."""
        if not isinstance(self.values, list):  # an answer to the whole request, whatever its rows
            return self.values, None
        value = self.values[index] if index < len(self.values) else None
        return (None, value) if isinstance(value, list) else (value, None)


class Scored:
    """Labels and probabilities, as builtin data.

    Args:
        labels: n labels.
        shares: n lists of probabilities, or an array of them; None when the model gives none.
        decide: from a label and its probabilities to the label that is answered; None where that is the model's own.
        voices: n voices, of versions that answered in the endpoint's place; None where it did, or did all.
    """

    __slots__ = ("_decide", "_shares", "labels", "voices")

    def __init__(
        self,
        labels: list[Any],
        shares: list[list[float]] | np.ndarray | None,
        decide: Decide | None = None,
        voices: list[Voice | None] | None = None,
    ) -> None:
        self.labels = labels
        self.voices = voices
        self._shares = shares
        self._decide = decide

    @classmethod
    def of(cls, scores: Scores, decide: Decide | None = None) -> Scored:
        """Take an engine's scores."""
        labels = cast("list[Any]", scores.labels) if scores.builtin else _plain(scores.labels)
        return cls(labels, scores.probabilities, decide)

    @property
    def shares(self) -> list[list[float]] | None:
        """The n lists of probabilities. An array becomes lists when somebody asks: for many rows that takes longer than scoring."""
        shares = self._shares
        if isinstance(shares, np.ndarray):
            self._shares = shares = cast("list[list[float]]", shares.tolist())
        return shares

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.labels)

    def cut(self, start: int, stop: int) -> Scored:
        """Return the answers to some of the rows."""
        return Scored(self.labels[start:stop], None if self._shares is None else self._shares[start:stop], self._decide)

    def logged(self, index: int) -> tuple[Any, Sequence[float] | None]:
        """Return the label that row ``index`` was answered with, and its probabilities."""
        shares = self.shares
        label, share = self.labels[index], None if shares is None else shares[index]
        return label if self._decide is None else self._decide(label, share), share

    def all_logged(self) -> tuple[list[Any], list[list[float]] | np.ndarray | None]:
        """Return ``logged`` of all rows at once, as two lists, or an array: the prediction log's way for many."""
        decide = self._decide
        if decide is None:
            return self.labels, self._shares
        each: Sequence[Any] = self.shares or [None] * len(self.labels)
        return [decide(label, share) for label, share in zip(self.labels, each, strict=True)], self._shares


def _plain(values: Any) -> list[Any]:
    if isinstance(values, np.ndarray):
        return values.tolist()  # type: ignore[no-any-return]
    if not any(issubclass(kind, np.generic) for kind in set(map(type, values))):  # found out in a tenth of the time
        return values if isinstance(values, list) else list(values)
    return [value.item() if isinstance(value, np.generic) else value for value in values]
