"""Predictors that do not look at their input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from samovar.scoring.compiler.errors import NotLowered
from samovar.scoring.compiler.registry import predict
from samovar.scoring.compiler.rules import answers
from samovar.scoring.compiler.values import Frame, Sparse
from samovar.scoring.ops import Constant

if TYPE_CHECKING:
    from samovar.scoring.compiler.values import Draft, Value


@predict("sklearn.dummy.DummyClassifier")
def classifier(step: Any, value: Value, draft: Draft) -> None:
    """One class, always."""
    classes = answers.labels(step)
    match step._strategy:  # noqa: SLF001 - as predict reads it
        case "most_frequent" | "prior":
            chosen = int(step.class_prior_.argmax())
        case "constant":
            chosen = classes.index(np.ravel(step.constant).tolist()[0])
        case strategy:
            raise NotLowered(f"DummyClassifier answers by chance ({strategy}).")
    scores = [float(index == chosen) for index in range(len(classes))]
    shares = step.class_prior_.tolist() if step._strategy == "prior" else scores  # noqa: SLF001
    answers.likeliest(draft, step, _constant(draft, value, scores), _constant(draft, value, shares))


@predict("sklearn.dummy.DummyRegressor")
def regressor(step: Any, value: Value, draft: Draft) -> None:
    """One number, always."""
    if step.n_outputs_ != 1:
        raise NotLowered("DummyRegressor was fitted on several targets.")
    answers.number(draft, _constant(draft, value, [float(np.ravel(step.constant_)[0])]))


def _constant(draft: Draft, value: Value, numbers: list[float]) -> int:
    if isinstance(value, Sparse):
        raise NotLowered("A dummy after a sparse step.")
    return draft.add(Constant((value.numbers[0] if isinstance(value, Frame) else value.number,), tuple(numbers)))
