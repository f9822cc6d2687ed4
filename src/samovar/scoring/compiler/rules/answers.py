"""How the numbers of a predictor become its answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from samovar.scoring.compiler.errors import NotLowered
from samovar.scoring.program import Answer

if TYPE_CHECKING:
    from samovar.contracts.spec import Scalar
    from samovar.scoring.compiler.values import Draft


def labels(step: Any) -> tuple[Scalar, ...]:
    """Return a classifier's classes.

    Raises:
        NotLowered: it has several outputs, one class only, or labels of a kind that answers do not have.
    """
    classes = getattr(step, "classes_", None)
    if not isinstance(classes, np.ndarray) or classes.ndim != 1:
        raise NotLowered(f"{type(step).__name__} was fitted on several outputs.")
    found = tuple(classes.tolist())
    if len(found) < 2 or not all(isinstance(label, int | float | str | bool) for label in found):
        raise NotLowered(f"{type(step).__name__} has one class only, or labels of an unusual kind.")
    return found


def choose(draft: Draft, step: Any, decision: int, shares: int | None) -> None:
    """Answer a classifier's decisions: one for two classes, else one for each."""
    classes = labels(step)
    draft.answer = Answer(decision, "sign" if len(classes) == 2 else "argmax", classes, shares)


def likeliest(draft: Draft, step: Any, scores: int, shares: int) -> None:
    """Answer the class of the largest score, one for each class."""
    draft.answer = Answer(scores, "argmax", labels(step), shares)


def number(draft: Draft, value: int) -> None:
    """Answer a regressor's numbers."""
    draft.answer = Answer(value, "value")
