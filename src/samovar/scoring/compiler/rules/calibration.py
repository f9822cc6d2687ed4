"""Calibrated classifiers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from samovar.scoring.compiler.errors import NotLowered
from samovar.scoring.compiler.registry import predict
from samovar.scoring.compiler.rules import answers
from samovar.scoring.compiler.rules.ensemble import scores_of
from samovar.scoring.ops import Activation, Complement, Concat, Scale, Shares, Softmax
from samovar.scoring.ops.base import Array
from samovar.scoring.ops.ensemble import Curves, Logs, Mean

if TYPE_CHECKING:
    from samovar.scoring.compiler.values import Draft, Value


@predict("sklearn.calibration.CalibratedClassifierCV")
def calibrated(step: Any, value: Value, draft: Draft) -> None:
    """The mean of the calibrated probabilities of each fold's model."""
    answers.labels(step)
    each = tuple(_one(pair, value, draft) for pair in step.calibrated_classifiers_)
    shares = each[0] if len(each) == 1 else draft.add(Mean(each, (1.0,) * len(each)))
    answers.likeliest(draft, step, shares, shares)


def _one(pair: Any, value: Value, draft: Draft) -> int:
    """Return the probabilities of one model and its calibrators."""
    known = pair.estimator.classes_
    if len(known) != len(pair.classes) or (pair.method != "temperature" and not np.array_equal(known, pair.classes)):
        raise NotLowered("A calibrated model was fitted on fewer classes than there are.")
    scores, width = scores_of(pair.estimator, value, draft)
    match pair.method:
        case "sigmoid":
            slopes, starts = (np.array([getattr(each, name) for each in pair.calibrators]) for name in ("a_", "b_"))
            line = draft.add(Scale((scores,), Array.of(-slopes, "f8"), Array.of(-starts, "f8")))
            shares = draft.add(Activation((line,), "logistic"))
        case "isotonic":
            shares = draft.add(_curves(pair, scores))
        case "temperature":
            return _heated(pair, scores, width, draft)
        case _:
            raise NotLowered(f"CalibratedClassifierCV calibrates by {pair.method}.")
    return draft.add(Complement((shares,)) if width == 1 else Shares((shares,)))


def _curves(pair: Any, scores: int) -> Curves:
    if any(each.out_of_bounds != "clip" for each in pair.calibrators):
        raise NotLowered("An isotonic calibrator does not hold scores within its bounds.")
    points = [(each.X_thresholds_, each.y_thresholds_) for each in pair.calibrators]
    xs, ys = (tuple(tuple(map(float, side)) for side in sides) for sides in zip(*points, strict=True))
    return Curves((scores,), xs, ys)


def _heated(pair: Any, scores: int, width: int, draft: Draft) -> int:
    """Return the softmax of scores over a temperature; probabilities become scores again by their logarithm."""
    if not hasattr(pair.estimator, "decision_function"):
        scores = draft.add(Logs((draft.add(Complement((scores,))) if width == 1 else scores,)))
    elif width == 1:
        turned = draft.add(Scale((scores,), Array.of([-1.0]), Array.of([0.0])))
        scores = draft.add(Concat((turned, scores)))
    count = len(pair.classes)
    beta = float(pair.calibrators[0].beta_)
    return draft.add(Softmax((draft.add(Scale((scores,), Array.of([beta] * count), Array.of([0.0] * count))),)))
