"""Naive Bayes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from samovar.scoring.compiler.registry import predict
from samovar.scoring.compiler.rules import answers
from samovar.scoring.compiler.rules.linear import linear
from samovar.scoring.compiler.values import Dense, Sparse
from samovar.scoring.ops import Counted, Gaussians, LogShares, SparseThreshold, Threshold
from samovar.scoring.ops.base import Array

if TYPE_CHECKING:
    from samovar.scoring.compiler.values import Draft, Value


@predict("sklearn.naive_bayes.GaussianNB")
def gaussian(step: Any, value: Value, draft: Draft) -> None:
    """A normal distribution for each column and class."""
    dense = draft.checked(value)
    norms = np.array([-0.5 * np.sum(np.log(2.0 * np.pi * variance)) for variance in step.var_])
    arrays = map(Array.of, (step.theta_, step.var_, norms, np.log(step.class_prior_)))
    draft.single = draft.single or dense.single
    _answer(draft, step, draft.add(Gaussians((dense.number,), *arrays)))


@predict("sklearn.naive_bayes.MultinomialNB")
def multinomial(step: Any, value: Value, draft: Draft) -> None:
    """Counts times log probabilities."""
    _answer(draft, step, linear(draft, value, step.feature_log_prob_, step.class_log_prior_))


@predict("sklearn.naive_bayes.ComplementNB")
def complement(step: Any, value: Value, draft: Draft) -> None:
    """Counts times log probabilities of the other classes; no prior where there are several classes."""
    _answer(draft, step, linear(draft, value, step.feature_log_prob_, np.zeros(len(answers.labels(step)))))


@predict("sklearn.naive_bayes.BernoulliNB")
def bernoulli(step: Any, value: Value, draft: Draft) -> None:
    """Signs times log probabilities, and the absence of signs too."""
    if step.binarize is not None:
        value = _signs(float(step.binarize), value, draft)
    absent = np.log(1 - np.exp(step.feature_log_prob_))
    _answer(draft, step, linear(draft, value, step.feature_log_prob_ - absent, step.class_log_prior_ + absent.sum(axis=1)))


def _signs(threshold: float, value: Value, draft: Draft) -> Dense | Sparse:
    if isinstance(value, Sparse):
        return Sparse(draft.add(SparseThreshold((value.number,), threshold)), value.width)
    dense = draft.checked(value)
    return draft.then(Threshold((dense.number,), threshold), dense, finite=True)


@predict("sklearn.naive_bayes.CategoricalNB")
def categorical(step: Any, value: Value, draft: Draft) -> None:
    """A table for each column."""
    dense = draft.checked(value)
    tables = tuple(Array.of(table.T) for table in step.feature_log_prob_)
    names = tuple(map(dense.name, range(dense.width)))
    _answer(draft, step, draft.add(Counted((dense.number,), tables, Array.of(step.class_log_prior_), names)))


def _answer(draft: Draft, step: Any, logs: int) -> None:
    answers.likeliest(draft, step, logs, draft.add(LogShares((logs,))))
