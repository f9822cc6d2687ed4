"""Two versions on the same rows: how often they agree, and who is better where the labels are known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence


class Figure(msgspec.Struct, frozen=True):
    """A score with its interval."""

    value: float
    low: float
    high: float


class Standing(msgspec.Struct, frozen=True):
    """How well one version does on rows with labels.

    Attributes:
        version: registry version.
        metric: the project's score; larger is better.
        rows: labelled rows it was measured on, none of which it was trained on as they are.
        score: on these rows.
    """

    version: int
    metric: str
    rows: int
    score: Figure


class Comparison(msgspec.Struct, frozen=True):
    """Champion and challenger side by side.

    Attributes:
        champion: registry version that production answers with.
        challenger: registry version that shadows it.
        rows: rows both answered.
        agreement: share of rows on which both gave the same answer, 0 to 1.
        champion_standing: its score; None without labels.
        challenger_standing: its score; None without labels.
        gain: challenger minus champion, paired over the same rows; None without labels.
    """

    champion: int
    challenger: int
    rows: int
    agreement: float
    champion_standing: Standing | None = None
    challenger_standing: Standing | None = None
    gain: Figure | None = None

    @property
    def verdict(self) -> Literal["better", "worse", "not told apart", "no labels"]:
        """What is proven of the challenger: its interval lies on one side of zero, or it does not."""
        if self.gain is None:
            return "no labels"
        if self.gain.low > 0:
            return "better"
        return "worse" if self.gain.high < 0 else "not told apart"


def agreement(champion: Sequence[str], challenger: Sequence[str]) -> float:
    """Share of rows with equal answers; 1 without rows.

    Raises:
        ValueError: the answers are not about the same rows.
    """
    same = sum(one == other for one, other in zip(champion, challenger, strict=True))
    return same / len(champion) if champion else 1.0
