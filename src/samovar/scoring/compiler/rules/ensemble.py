"""Models made of models: votes, means, stacks, one against the rest."""

from __future__ import annotations

from math import inf, nextafter
from typing import TYPE_CHECKING, Any

import numpy as np

from samovar.scoring.compiler.errors import NotLowered
from samovar.scoring.compiler.registry import lower_predict, lower_transform, predict, transform
from samovar.scoring.compiler.rules import answers
from samovar.scoring.compiler.rules.compose import take
from samovar.scoring.compiler.rules.trees import forest
from samovar.scoring.compiler.values import Dense
from samovar.scoring.ops import Complement, Concat, Scale, Select, Shares, Sigmoid, Softmax
from samovar.scoring.ops.base import Array
from samovar.scoring.ops.ensemble import Choice, Mean, Median, Scatter
from samovar.scoring.program import Answer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from samovar.scoring.compiler.values import Draft, Value

_TREES = {"DecisionTreeClassifier", "ExtraTreeClassifier", "DecisionTreeRegressor", "ExtraTreeRegressor"}


def answer_of(step: Any, value: Value, draft: Draft) -> Answer:
    """Lower a predictor within another one and return its answer."""
    lower_predict(step, value, draft)
    assert draft.answer is not None
    return draft.answer


def shares_of(step: Any, value: Value, draft: Draft) -> tuple[int, Answer]:
    """Return a model's probabilities, one for each of its classes."""
    answer = answer_of(step, value, draft)
    if answer.probabilities is None:
        raise NotLowered(f"{type(step).__name__} gives no probabilities.")
    return answer.probabilities, answer


def scores_of(step: Any, value: Value, draft: Draft) -> tuple[int, int]:
    """Return what scikit-learn calibrates and compares, and its width: a decision function, else probabilities.

    Of two classes it is the second one's score.
    """
    answer = answer_of(step, value, draft)
    count = len(answer.classes)
    if hasattr(step, "decision_function"):
        return answer.label, 1 if answer.rule == "sign" else count
    if answer.probabilities is None:
        raise NotLowered(f"{type(step).__name__} gives no scores.")
    return (second(draft, answer.probabilities), 1) if count == 2 else (answer.probabilities, count)


def second(draft: Draft, shares: int | None) -> int:
    """Return the second class's probability; raises NotLowered when there are none."""
    if shares is None:
        raise NotLowered("A model within another one gives no probabilities.")
    return draft.add(Select((shares,), (1,)))


@predict("sklearn.frozen._frozen.FrozenEstimator")
def frozen(step: Any, value: Value, draft: Draft) -> None:
    """Lower what is frozen."""
    lower_predict(step.estimator, value, draft)


@transform("sklearn.frozen._frozen.FrozenEstimator")
def frozen_transform(step: Any, value: Value, draft: Draft) -> Value:
    """Lower what is frozen."""
    return lower_transform(step.estimator, value, draft)


@predict("sklearn.ensemble._voting.VotingClassifier")
def voting_classifier(step: Any, value: Value, draft: Draft) -> None:
    """The mean of probabilities, or the class most often chosen."""
    weights = _weights(step)
    if step.voting == "soft":
        shares = draft.add(Mean(tuple(shares_of(inner, value, draft)[0] for inner in step.estimators_), weights))
        answers.likeliest(draft, step, shares, shares)
        return
    choices = [choice(inner, value, draft, len(step.classes_)) for inner in step.estimators_]
    draft.answer = Answer(draft.add(Mean(tuple(choices), weights)), "argmax", answers.labels(step))


@predict("sklearn.ensemble._voting.VotingRegressor")
def voting_regressor(step: Any, value: Value, draft: Draft) -> None:
    """The mean of numbers."""
    numbers = tuple(answer_of(inner, value, draft).label for inner in step.estimators_)
    answers.number(draft, draft.add(Mean(numbers, _weights(step))))


def _weights(step: Any) -> tuple[float, ...]:
    weights = step._weights_not_none  # noqa: SLF001 - as predict reads it
    return (1.0,) * len(step.estimators_) if weights is None else tuple(float(weight) for weight in weights)


def choice(step: Any, value: Value, draft: Draft, width: int) -> int:
    """Return a 1 at the class that a model chooses; its classes are the positions themselves."""
    answer = answer_of(step, value, draft)
    places = tuple(int(label) for label in answer.classes)
    return draft.add(Choice((answer.label,), answer.rule == "sign", places, width))


@predict("sklearn.ensemble._stacking.StackingClassifier")
def stacking_classifier(step: Any, value: Value, draft: Draft) -> None:
    """A model of the models' answers."""
    classes = answers.labels(step)
    if "predict" in step.stack_method_:
        raise NotLowered("StackingClassifier reads its models' labels as numbers.")
    parts = []
    for inner, method in zip(step.estimators_, step.stack_method_, strict=True):
        if method == "decision_function":
            number, width = scores_of(inner, value, draft)
        else:
            number, width = shares_of(inner, value, draft)[0], len(classes)
            number, width = (second(draft, number), 1) if width == 2 else (number, width)
        parts.append(Dense(number, width))
    final = answer_of(step.final_estimator_, _stack(step, parts, value, draft), draft)
    draft.answer = Answer(final.label, final.rule, tuple(classes[int(label)] for label in final.classes), final.probabilities)


@predict("sklearn.ensemble._stacking.StackingRegressor")
def stacking_regressor(step: Any, value: Value, draft: Draft) -> None:
    """A model of the models' numbers."""
    parts = [Dense(answer_of(inner, value, draft).label, 1) for inner in step.estimators_]
    answers.number(draft, answer_of(step.final_estimator_, _stack(step, parts, value, draft), draft).label)


def _stack(step: Any, parts: list[Dense], value: Value, draft: Draft) -> Dense:
    if step.passthrough:
        whole = draft.dense(value)
        if whole.sparse:
            raise NotLowered(f"{type(step).__name__} passes sparse rows through.")
        parts = [*parts, whole]
    if len(parts) == 1:
        return parts[0]
    names = tuple(part.name(place) for part in parts for place in range(part.width))
    return Dense(draft.add(Concat(tuple(part.number for part in parts))), len(names), names=names)


@predict("sklearn.multiclass.OneVsRestClassifier")
def one_against_rest(step: Any, value: Value, draft: Draft) -> None:
    """A model of two classes for each class."""
    classes = answers.labels(step)
    if step.multilabel_ or (len(step.estimators_) == 1) != (len(classes) == 2):
        raise NotLowered("OneVsRestClassifier was fitted on several labels at once.")
    found = [answer_of(inner, value, draft) for inner in step.estimators_]
    decides = [hasattr(inner, "decision_function") for inner in step.estimators_]
    each = [answer.label if one else second(draft, answer.probabilities) for answer, one in zip(found, decides, strict=True)]
    shares = None
    if all(answer.probabilities is not None for answer in found):
        likely = [second(draft, answer.probabilities) for answer in found]
        shares = draft.add(Complement((likely[0],)) if len(likely) == 1 else Shares((draft.add(Concat(tuple(likely))),)))
    if len(each) > 1:
        draft.answer = Answer(draft.add(Concat(tuple(each))), "argmax", classes, shares)
    else:
        decision = each[0] if decides[0] else draft.add(Scale((each[0],), Array.of([1.0]), Array.of([-0.5])))
        draft.answer = Answer(decision, "sign", classes, shares)


@predict("sklearn.ensemble._bagging.BaggingClassifier")
def bagging_classifier(step: Any, value: Value, draft: Draft) -> None:
    """The mean of the models' probabilities, or of their choices."""
    count = len(answers.labels(step))
    if _grown(step):
        # A tree may know fewer classes than there are.
        places = {id(inner.tree_): inner.classes_ for inner in step.estimators_}

        def values(tree: Any) -> np.ndarray:
            wide = np.zeros((tree.node_count, count))
            own = places[id(tree)]
            wide[:, own.astype(int)] = tree.value[:, 0, : len(own)]
            return wide

        shares = forest(draft, value, step.estimators_, values, features=step.estimators_features_)
    else:
        parts = []
        for inner, part in _bags(step, value, draft):
            if not hasattr(inner, "predict_proba"):
                parts.append(choice(inner, part, draft, count))
                continue
            number, answer = shares_of(inner, part, draft)
            whole = len(answer.classes) == count
            parts.append(number if whole else draft.add(Scatter((number,), tuple(map(int, answer.classes)), count)))
        shares = draft.add(Mean(tuple(parts), (1.0,) * len(parts)))
    answers.likeliest(draft, step, shares, shares)


@predict("sklearn.ensemble._bagging.BaggingRegressor")
def bagging_regressor(step: Any, value: Value, draft: Draft) -> None:
    """The mean of the models' numbers."""
    if _grown(step):
        number = forest(draft, value, step.estimators_, lambda tree: tree.value[:, :, 0], features=step.estimators_features_)
    else:
        parts = tuple(answer_of(inner, part, draft).label for inner, part in _bags(step, value, draft))
        number = draft.add(Mean(parts, (1.0,) * len(parts)))
    answers.number(draft, number)


def _grown(step: Any) -> bool:
    return all(type(inner).__module__ == "sklearn.tree._classes" and type(inner).__name__ in _TREES for inner in step.estimators_)


def _bags(step: Any, value: Value, draft: Draft) -> Sequence[tuple[Any, Value]]:
    """Return the models, each with the positions that it was given: an array, whatever the input was."""
    dense = draft.dense(value)
    return [
        (inner, take(draft, dense, [int(place) for place in places]))
        for inner, places in zip(step.estimators_, step.estimators_features_, strict=True)
    ]


@predict("sklearn.ensemble._weight_boosting.AdaBoostClassifier")
def ada_classifier(step: Any, value: Value, draft: Draft) -> None:
    """A weighted vote of trees."""
    count = len(answers.labels(step))
    if not _grown(step):
        raise NotLowered("AdaBoostClassifier holds other models than trees.")
    weights = {id(inner.tree_): float(weight) for inner, weight in zip(step.estimators_, step.estimator_weights_, strict=False)}
    known = {id(inner.tree_): np.searchsorted(step.classes_, inner.classes_) for inner in step.estimators_}
    total, trees = float(step.estimator_weights_.sum()), len(step.estimators_)

    def values(tree: Any) -> np.ndarray:
        places = known[id(tree)]
        chosen = places[tree.value[:, 0, : len(places)].argmax(axis=1)]
        votes = np.where(chosen[:, None] == np.arange(count), 1.0, -1.0 / (count - 1)) * (weights[id(tree)] * trees / total)
        return votes if count > 2 else votes[:, 1:] - votes[:, :1]

    decision = forest(draft, draft.checked(value), step.estimators_, values)
    if count == 2:
        answers.choose(draft, step, decision, draft.add(Sigmoid((decision,))))
    else:
        flat = draft.add(Scale((decision,), Array.of([1.0 / (count - 1)] * count), Array.of([0.0] * count)))
        answers.choose(draft, step, decision, draft.add(Softmax((flat,))))


@predict("sklearn.ensemble._weight_boosting.AdaBoostRegressor")
def ada_regressor(step: Any, value: Value, draft: Draft) -> None:
    """The weighted median of the models' numbers."""
    dense = draft.checked(value)
    numbers = tuple(answer_of(inner, dense, draft).label for inner in step.estimators_)
    answers.number(draft, draft.add(Median(numbers, tuple(map(float, step.estimator_weights_[: len(numbers)])))))


@predict(
    "sklearn.model_selection._classification_threshold.FixedThresholdClassifier",
    "sklearn.model_selection._classification_threshold.TunedThresholdClassifierCV",
)
def threshold(step: Any, value: Value, draft: Draft) -> None:
    """A model of two classes that chooses the second from a threshold on."""
    inner = getattr(step, "estimator_", None) or step.estimator
    answer = answer_of(inner, value, draft)
    classes = answers.labels(step)
    label = getattr(step, "pos_label", None)
    if len(classes) != 2 or answer.classes != classes or (label is not None and label != classes[1]):
        raise NotLowered(f"{type(step).__name__} does not decide for the second of two classes.")
    likely = _likely(step, inner)
    score = second(draft, answer.probabilities) if likely else answer.label
    if not likely and answer.rule != "sign":
        raise NotLowered(f"{type(inner).__name__} has no decision for two classes.")
    start = getattr(step, "best_threshold_", getattr(step, "threshold", "auto"))
    start = (0.5 if likely else 0.0) if isinstance(start, str) else float(start)
    below = Array.of([-nextafter(start, -inf)])  # at the threshold is enough
    draft.answer = Answer(draft.add(Scale((score,), Array.of([1.0]), below)), "sign", classes, answer.probabilities)


def _likely(step: Any, inner: Any) -> bool:
    """Tell whether the threshold is one of probabilities."""
    methods = step._get_response_method()  # noqa: SLF001 - as predict asks
    methods = [methods] if isinstance(methods, str) else methods
    return bool(next(method for method in methods if hasattr(inner, method)) == "predict_proba")
